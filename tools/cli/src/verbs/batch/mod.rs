//! `batch`: changes as lines of JSON, each by itself or all as one record.
//!
//! ```text
//!  lines --read, bounded--> object --keys, strict--> Line --Change--> Zone::batch, a chunk at a time
//!                                                                     Zone::batch_atomic, all that there is
//! ```
//!
//! 1. A line that cannot be understood is told with its number and key. Under --atomic then nothing is changed.
//! 2. Memory is bounded by a chunk, or by what one record can hold.
//! 3. Results come in the order of the lines, one for each.

mod base64;
mod keys;
mod line;
mod lines;

use nexus_engine::limits::BATCH_CHANGES_MAX;
use nexus_engine::{BatchItem, Caller, Created, Done, Durability, Error, Seq, Zone};
use nexus_log::event::Reason;

use self::line::Line;
use self::lines::{LINE_BYTES_MAX, Lines};
use super::{CHANGES_IN_FLIGHT_MAX, note_repeat};
use crate::args::{BatchArgs, Global};
use crate::failure::{Failure, Result};
use crate::names::ZonePath;
use crate::output::Object;
use crate::session::Session;
use crate::transfer::ends_the_run;

/// Lines that are read before their changes are made, where each is by itself.
const CHUNK_BYTES_MAX: usize = 8 << 20;
/// Lines of an atomic batch: what one record can hold, its content written as JSON escapes.
const ATOMIC_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(LINE_BYTES_MAX <= ATOMIC_BYTES_MAX);

/// The number of a line, and what it says or why it says nothing.
type Read = (u64, nexus_engine::Result<Line>);

pub(super) fn batch(args: &BatchArgs, global: &Global, caller: Caller) -> Result<()> {
    let mut lines = Lines::begin(&args.file)?;
    if args.atomic {
        let read = read_all(&mut lines)?;
        return Session::with(global, caller, |session| atomic(read, session));
    }
    Session::with(global, caller, |session| one_by_one(&mut lines, session))
}

fn one_by_one(lines: &mut Lines, session: &mut Session) -> Result<()> {
    let mut run = Run::default();
    let caller = session.caller.for_several();
    loop {
        let chunk = lines.chunk(CHANGES_IN_FLIGHT_MAX as usize, CHUNK_BYTES_MAX)?;
        if chunk.is_empty() {
            return run.finish(session);
        }
        run.make(
            chunk.into_iter().map(|(number, text)| (number, text.and_then(|text| Line::parse(&text)))),
            &caller,
            session,
        )?;
    }
}

/// What has come of the lines so far.
#[derive(Default)]
struct Run {
    /// The zone of the first line, and of all others.
    zone: Option<(String, Zone)>,
    changes: u64,
    failed: u64,
    last: Option<Seq>,
}

impl Run {
    /// Makes the changes of some lines and tells what came of each.
    fn make(&mut self, lines: impl Iterator<Item = Read>, caller: &Caller, session: &mut Session) -> Result<()> {
        let mut read: Vec<Read> = Vec::new();
        for (number, line) in lines {
            let line = match line {
                Ok(line) => self.in_zone(line, session)?,
                Err(error) => Err(error),
            };
            read.push((number, line));
        }
        let items: Vec<BatchItem<'_>> = read.iter().filter_map(|(_, line)| Some(line.as_ref().ok()?.item())).collect();
        let mut results = match &self.zone {
            Some((_, zone)) => zone.batch(caller, &items, Durability::Durable),
            None => Vec::new(),
        }
        .into_iter();
        let mut ended = None;
        for (number, line) in read {
            self.changes += 1;
            let failure = match line {
                Err(error) => Failure::Engine { subject: None, error },
                Ok(line) => match results.next().expect("a result for every change") {
                    Ok(done) => {
                        self.last = self.last.max(done.seq);
                        made(number, &line, &done.reply, &done, session)?;
                        continue;
                    }
                    Err(error) => Failure::Engine { subject: Some(line.shown()), error },
                },
            };
            self.failed += 1;
            failed(number, &failure, session)?;
            let ends = matches!(&failure, Failure::Engine { error, .. } if ends_the_run(error.kind));
            if ends && ended.is_none() {
                ended = Some(failure);
            }
        }
        match ended {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// A batch is one zone's; a line about another one fails.
    fn in_zone(&mut self, line: Line, session: &mut Session) -> Result<nexus_engine::Result<Line>> {
        match &self.zone {
            Some((name, _)) if *name != line.zone => Ok(Err(other_zone(&line, name))),
            Some(_) => Ok(Ok(line)),
            None => {
                let root = ZonePath { zone: line.zone.clone(), path: b"/".to_vec() };
                self.zone = Some((line.zone.clone(), session.zone(&root)?));
                Ok(Ok(line))
            }
        }
    }

    fn finish(self, session: &mut Session) -> Result<()> {
        let Run { changes, failed, last, .. } = self;
        summary(changes - failed, last, session)?;
        if failed > 0 { Err(Failure::BatchIncomplete { failed, changes }) } else { Ok(()) }
    }
}

fn other_zone(line: &Line, first: &str) -> Error {
    Error::new(
        Reason::CrossZone,
        format!("the zone {} is not the first line's, {first}; a batch is one zone's", line.zone),
    )
}

/// All lines of an atomic batch, refused where they are more than a record can hold.
fn read_all(lines: &mut Lines) -> Result<Vec<Read>> {
    let read = lines.chunk(BATCH_CHANGES_MAX + 1, ATOMIC_BYTES_MAX + 1)?;
    let bytes: usize = read.iter().map(|(_, text)| text.as_ref().map_or(0, Vec::len)).sum();
    let message = match () {
        () if read.len() > BATCH_CHANGES_MAX => format!("over {BATCH_CHANGES_MAX} changes do not fit into one record"),
        () if bytes > ATOMIC_BYTES_MAX => {
            format!("over {ATOMIC_BYTES_MAX} bytes of changes do not fit into one record")
        }
        () => return Ok(read.into_iter().map(|(n, text)| (n, text.and_then(|text| Line::parse(&text)))).collect()),
    };
    Err(Error::new(Reason::TooLarge, format!("{message}; make several batches, or leave --atomic out")).into())
}

fn atomic(read: Vec<Read>, session: &mut Session) -> Result<()> {
    let first = read.iter().find_map(|(_, line)| Some(line.as_ref().ok()?.zone.clone()));
    let (mut lines, mut bad) = (Vec::with_capacity(read.len()), 0u64);
    let changes = read.len() as u64;
    for (number, line) in read {
        let line = match (line, &first) {
            (Ok(line), Some(first)) if line.zone != *first => Err(other_zone(&line, first)),
            (line, _) => line,
        };
        match line {
            Ok(line) => lines.push((number, line)),
            Err(error) => {
                failed(number, &error.into(), session)?;
                bad += 1;
            }
        }
    }
    if bad > 0 {
        let message = format!("{bad} of {changes} lines cannot be used; nothing was changed");
        return Err(Error::new(Reason::Invalid, message).into());
    }
    let Some(first) = first else { return summary(0, None, session) };
    let zone = session.zone(&ZonePath { zone: first, path: b"/".to_vec() })?;
    let items: Vec<BatchItem<'_>> = lines.iter().map(|(_, line)| line.item()).collect();
    let done = zone.batch_atomic(&session.caller, &items, Durability::Durable)?;
    for ((number, line), created) in lines.iter().zip(&done.reply) {
        made(*number, line, created, &done, session)?;
    }
    note_repeat(&session.out, &done);
    summary(changes, done.seq, session)
}

fn made<T>(number: u64, line: &Line, created: &Created, done: &Done<T>, session: &mut Session) -> Result<()> {
    if !session.out.json {
        return Ok(());
    }
    let mut object = Object::new()
        .with("line", number)
        .with("op", line.op)
        .with_bytes("path", &line.path)
        .with("inode", created.inode.0)
        .with("seq", done.seq.map(|seq| seq.0))
        .with("created", created.fresh);
    if done.repeated {
        object.set("repeated", true);
    }
    session.out.object(&object)
}

fn failed(number: u64, failure: &Failure, session: &mut Session) -> Result<()> {
    if session.out.json {
        return session.out.object(&Object::new().with("line", number).with("error", failure.object()));
    }
    eprintln!("nexus: line {number}: {}", failure.text());
    Ok(())
}

fn summary(made: u64, last: Option<Seq>, session: &mut Session) -> Result<()> {
    if session.quiet {
        return Ok(());
    }
    let up_to = last.map_or_else(String::new, |seq| format!(", up to record {seq}"));
    session.out.line(format_args!("made {made} changes{up_to}"))
}
