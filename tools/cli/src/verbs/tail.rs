//! `tail`: through the engine where the directory is free, by its files where it is not, or where what comes is followed.
//!
//! A process that follows would keep the directory from all others, and then nothing would come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nexus_engine::watch::{Credits, Filter, Item, Scope, TailFrom, TailOptions, Token};
use nexus_engine::{Caller, Error, Nexus, Zone, ZoneOptions, root_zone_dir};
use nexus_log::env::Env;
use nexus_log::event::Reason;
use nexus_log::ids::{CommitTime, Seq};
use nexus_log::log::{FileTail, FileTailError, ReadError};
use nexus_log::record::Record;

use crate::args::{Global, TailArgs, TailStart};
use crate::at::{Position, commit_time};
use crate::failure::{About, Failure, Result};
use crate::history::{describe, event_object};
use crate::output::{Object, Out};
use crate::session::{Session, data_dir};

/// How often the files are looked at again.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Records without an event to show, between two lines that say how far it is.
const PROGRESS_RECORDS: u64 = 4096;

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        let kind = match &error {
            error if error.is_damage() => Reason::Corrupt,
            ReadError::Index { .. } => Reason::Corrupt,
            ReadError::Unknown { .. } | ReadError::NewerFormat { .. } => Reason::Unsupported,
            _ => Reason::Unavailable,
        };
        Error::new(kind, "the log cannot be read there").because(error).into()
    }
}

impl From<FileTailError> for Failure {
    fn from(error: FileTailError) -> Failure {
        match error {
            FileTailError::Read(ReadError::NotYet { seq, last }) => {
                let message = format!("the files show records up to {last} so far, and not yet {seq}; try again");
                Error::new(Reason::Unavailable, message).into()
            }
            FileTailError::Read(error) => error.into(),
            error => Error::new(Reason::Unavailable, "the log's files cannot be followed").because(error).into(),
        }
    }
}

pub(super) fn tail(args: &TailArgs, global: &Global, caller: Caller) -> Result<()> {
    let dir = data_dir(global)?;
    let mut filter = Filter { agent: global.agent.clone(), ..Filter::default() };
    filter.kinds.extend(&args.kinds);
    if args.follow {
        if args.path.is_some() {
            let nexus = open(args, global)?;
            Session::with_open(nexus, global, caller, |session| {
                filter.scope = scope_of(args, session)?;
                Ok(())
            })?;
        }
        return by_files(args, global, &filter);
    }
    match Nexus::open(&dir, ZoneOptions::default()) {
        Ok(nexus) => Session::with_open(nexus, global, caller, |session| {
            filter.scope = scope_of(args, session)?;
            by_engine(args, &filter, session)
        }),
        Err(error) if error.kind == Reason::Busy && args.path.is_none() => by_files(args, global, &filter),
        Err(error) => Err(no_path_now(args, error).into()),
    }
}

fn open(args: &TailArgs, global: &Global) -> Result<Nexus> {
    Nexus::open(&data_dir(global)?, ZoneOptions::default()).map_err(|error| no_path_now(args, error).into())
}

/// Without the tables nobody knows what a path names.
fn no_path_now(args: &TailArgs, error: Error) -> Error {
    match &args.path {
        Some(path) if error.kind == Reason::Busy => {
            let message = format!("{path} cannot be looked up now: {error}; without a path the files can be read");
            Error::new(Reason::Busy, message)
        }
        _ => error,
    }
}

fn scope_of(args: &TailArgs, session: &mut Session) -> Result<Scope> {
    let Some(path) = &args.path else { return Ok(Scope::Zone) };
    let zone = session.zone(path)?;
    let inode = zone.last_seen(&path.path).about(path)?;
    Ok(if args.recursive { Scope::Subtree(inode) } else { Scope::Inode(inode) })
}

/// All that is there, up to the end.
fn by_engine(args: &TailArgs, filter: &Filter, session: &mut Session) -> Result<()> {
    let zone = match &args.path {
        Some(path) => session.zone(path)?,
        None => session.root(),
    };
    let from = match &args.from {
        None => TailFrom::Beginning,
        Some(TailStart::At(Position::Seq(seq))) => TailFrom::Seq(*seq),
        Some(TailStart::At(Position::Time(time))) => TailFrom::Time(commit_time(*time)),
        Some(TailStart::Token(token)) => TailFrom::Token(token.to_string()),
    };
    let options = TailOptions { from, filter: filter.clone(), credits: Credits::UNLIMITED };
    let mut tail = zone.tail(&session.caller, options)?;
    while let Some(item) = tail.next(Duration::ZERO)? {
        let token = tail.token();
        match item {
            Item::Events(matched) => {
                for index in matched.indexes {
                    show(&matched.record, index, Some(&zone), &mut session.out)?;
                }
            }
            Item::Progress(_) => say(&mut session.out, "progress", token, Object::new())?,
            Item::CaughtUp(_) => say(&mut session.out, "caught_up", token, Object::new())?,
            Item::FellBehind(_) => say(&mut session.out, "fell_behind", token, Object::new())?,
            Item::Compacted { earliest, .. } => say_compacted(&mut session.out, token, earliest)?,
            Item::Gap { from, to, .. } => say_gap(&mut session.out, token, from, to)?,
            _ => {}
        }
    }
    let token = tail.token();
    end(&mut session.out, token)
}

fn by_files(args: &TailArgs, global: &Global, filter: &Filter) -> Result<()> {
    let env = Env::real();
    let dir = data_dir(global)?;
    if !nexus_engine::exists(&env, &dir)? {
        return Err(nexus_engine::not_there(&env, &dir).into());
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    if args.follow {
        listen(&interrupted).map_err(|source| Failure::Input { what: "signals".into(), source })?;
    }
    let mut out = Out::new(global.json);
    let mut tail = FileTail::open(&env, &root_zone_dir(&dir))?;
    let not_before = begin(args, filter, &mut tail, &mut out)?;
    let (mut caught_up, mut said) = (false, tail.next_seq());
    loop {
        match tail.try_next() {
            Ok(Some(told)) => {
                let early = told.record.commit_time < not_before;
                for index in if early { Vec::new() } else { filter.indexes(&told.record) } {
                    show(&told.record, index, None, &mut out)?;
                }
                if tail.next_seq().0 - said.0 >= PROGRESS_RECORDS {
                    say(&mut out, "progress", token_of(&tail, filter), Object::new())?;
                    said = tail.next_seq();
                }
            }
            Ok(None) => {
                if !caught_up || tail.next_seq() > said {
                    let what = if caught_up { "progress" } else { "caught_up" };
                    say(&mut out, what, token_of(&tail, filter), Object::new())?;
                    (caught_up, said) = (true, tail.next_seq());
                }
                out.flush()?;
                if !args.follow || !pause(&interrupted) {
                    break;
                }
            }
            Err(FileTailError::Read(error)) if error.is_damage() => {
                say_gap(&mut out, token_of(&tail, filter), tail.next_seq(), tail.next_seq())?;
                out.flush()?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
    }
    end(&mut out, token_of(&tail, filter))?;
    out.flush()
}

/// Puts the tail where it is to begin. What is earlier than the time returned is passed over.
fn begin(args: &TailArgs, filter: &Filter, tail: &mut FileTail, out: &mut Out) -> Result<CommitTime> {
    let always = CommitTime(0);
    let seq = match &args.from {
        None if args.follow => {
            tail.seek_end()?;
            return Ok(always);
        }
        None => return Ok(always),
        Some(TailStart::At(Position::Time(time))) => return Ok(commit_time(*time)),
        Some(TailStart::At(Position::Seq(seq))) => (*seq).max(Seq::FIRST),
        Some(TailStart::Token(token)) => {
            // What the files do not prove yet may be what the token is of: that is for `seek` to say.
            token.check(tail.identity(), filter, Seq::MAX).map_err(Error::from)?;
            token.seq().next()
        }
    };
    if seq < tail.first() {
        say_compacted(out, token_of(tail, filter), tail.first())?;
    }
    tail.seek(seq.max(tail.first()))?;
    Ok(always)
}

fn token_of(tail: &FileTail, filter: &Filter) -> Token {
    Token::new(tail.identity(), tail.next_seq().prev(), filter)
}

/// Sleeps until the files are to be looked at again. False once the person has had enough.
fn pause(interrupted: &AtomicBool) -> bool {
    let (never, nobody) = (Mutex::new(()), Condvar::new());
    let guard = never.lock().expect("nobody else has it");
    // A signal ends no wait; the flag is seen behind it.
    drop(nobody.wait_timeout(guard, LOOK_INTERVAL));
    !interrupted.load(Ordering::Relaxed)
}

/// The first signal ends the tail in order, a second one at once.
fn listen(interrupted: &Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(interrupted))?;
    }
    Ok(())
}

fn show(record: &Record, index: u16, zone: Option<&Zone>, out: &mut Out) -> Result<()> {
    let index = usize::from(index);
    let event = &record.events[index];
    let path = match zone {
        Some(zone) => zone.path_shown(record.seq, event)?,
        None => Some(event.named().0.to_vec()).filter(|path| !path.is_empty()),
    };
    if out.json {
        return out.object(&event_object(record, index, path.as_deref()));
    }
    out.line(describe(record, index, path.as_deref()))
}

/// A line between events, for programs.
fn say(out: &mut Out, what: &'static str, token: Token, more: Object) -> Result<()> {
    if !out.json {
        return Ok(());
    }
    let mut object = Object::new().with("tail", what).with("at", token.seq().0);
    object.extend(more);
    object.set("token", token.to_string());
    out.object(&object)
}

fn say_compacted(out: &mut Out, token: Token, earliest: Seq) -> Result<()> {
    if !out.json {
        return out.line(format_args!("the log begins at record {earliest}"));
    }
    say(out, "compacted", token, Object::new().with("earliest", earliest.0))
}

fn say_gap(out: &mut Out, token: Token, from: Seq, to: Seq) -> Result<()> {
    if !out.json {
        return Ok(());
    }
    say(out, "gap", token, Object::new().with("from", from.0).with("to", to.0).with("reason", "damage"))
}

fn end(out: &mut Out, token: Token) -> Result<()> {
    if out.json {
        return say(out, "end", token, Object::new());
    }
    out.line(format_args!("--from {token}"))
}
