//! One file per family of verbs.

mod attributes;
mod batch;
mod bench;
mod content;
mod copy;
mod doctor;
mod edit;
mod glob;
mod grep;
mod init;
mod input;
mod list;
mod log;
mod make;
mod node;
mod rebuild;
mod remove;
mod rename;
mod several;
mod tail;
mod transfer;
mod tree;
mod verify;
mod xattr;
mod zone;

use nexus_engine::{At, CallOptions, Done, Durability, Expect};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;

use crate::args::{Cli, Verb};
use crate::failure::{Failure, Result};
use crate::names::ZonePath;
use crate::output::{Object, Out};
use crate::session::{Session, caller};

/// Changes between two waits for the disk where a verb makes many: bounds what waits there.
const CHANGES_IN_FLIGHT_MAX: u64 = 1024;

pub(crate) fn run(cli: &Cli) -> Result<()> {
    let global = &cli.global;
    let who = caller(global, !matches!(cli.verb, Verb::Log(_) | Verb::Tail(_) | Verb::Usage(_)))?;
    match &cli.verb {
        Verb::Init(args) => init::init(args, global, who),
        Verb::Put(args) => content::put(args, global, who),
        Verb::Bench(args) => bench::bench(args, global),
        Verb::Doctor(_) => doctor::doctor(global),
        Verb::Append(args) => content::append(args, global, who),
        Verb::Batch(args) => batch::batch(args, global, who),
        Verb::Verify(_) => verify::verify(global, who),
        Verb::Tail(args) => tail::tail(args, global, who),
        Verb::Rebuild(args) if args.discard => rebuild::discard(global, who),
        verb => Session::with(global, who, |session| on_session(verb, cli, session)),
    }
}

fn on_session(verb: &Verb, cli: &Cli, session: &mut Session) -> Result<()> {
    match verb {
        Verb::Ls(args) => list::ls(args, session),
        Verb::Tree(args) => tree::tree(args, session),
        Verb::Glob(args) => glob::glob(args, session),
        Verb::Grep(args) => grep::grep(args, session),
        Verb::Stat(args) => list::stat(args, session),
        Verb::Cat(args) => content::cat(args, session),
        Verb::Truncate(args) => content::truncate(args, session),
        Verb::Punch(args) => content::punch(args, session),
        Verb::Edit(args) => edit::edit(args, session),
        Verb::Touch(args) => make::touch(args, session),
        Verb::Mkdir(args) => make::mkdir(args, session),
        Verb::Ln(args) => make::ln(args, session),
        Verb::Mknod(args) => node::mknod(args, session),
        Verb::Cp(args) => copy::cp(args, session),
        Verb::Mv(args) => rename::mv(args, session),
        Verb::Rm(args) => remove::rm(args, session),
        Verb::Rmdir(args) => remove::rmdir(args, session),
        Verb::Chmod(args) => attributes::chmod(args, session),
        Verb::Chown(args) => attributes::chown(args, session),
        Verb::Xattr(verb) => xattr::xattr(verb, session),
        Verb::Import(args) => transfer::import(args, session),
        Verb::Export(args) => transfer::export(args, session),
        Verb::Log(args) => log::log(args, &cli.global, session),
        Verb::Usage(args) => zone::usage(args, &cli.global, session),
        Verb::Policy(args) => zone::policy(&args.action, session),
        Verb::Clock(args) => zone::clock(args, session),
        Verb::Rebuild(args) => rebuild::rebuild(args, session),
        Verb::Init(_)
        | Verb::Put(_)
        | Verb::Append(_)
        | Verb::Batch(_)
        | Verb::Bench(_)
        | Verb::Verify(_)
        | Verb::Doctor(_)
        | Verb::Tail(_) => {
            unreachable!("they open a session themselves or none")
        }
    }
}

/// What a changing verb tells a program; people are told only that it was a repeat.
fn changed<T>(out: &mut Out, path: &ZonePath, inode: Inode, done: &Done<T>) -> Result<()> {
    changed_with(out, path, inode, done, Object::new())
}

fn changed_with<T>(out: &mut Out, path: &ZonePath, inode: Inode, done: &Done<T>, more: Object) -> Result<()> {
    note_repeat(out, done);
    if !out.json {
        return Ok(());
    }
    let mut object = path_object(path).with("inode", inode.0).with("seq", done.seq.map(|seq| seq.0));
    object.extend(more);
    if done.repeated {
        object.set("repeated", true);
    }
    out.object(&object)
}

fn note_repeat<T>(out: &Out, done: &Done<T>) {
    if let (true, true, Some(seq)) = (out.notes, done.repeated, done.seq) {
        eprintln!("nexus: this request was answered before, by record {seq}; nothing was changed now");
    }
}

/// What nothing fits: of a named request only the answer that was given before comes through.
const ONLY_A_REPEAT: CallOptions =
    CallOptions { durability: Durability::Durable, expect: Expect { version: Some(u64::MAX), exists: None } };

/// A change whose destination may have been its new name, or a directory to go into: `call` is given the path. What a
/// first answer made of a free name is a directory when the request comes again, and is then no place to go into.
fn into_or_as<T>(
    session: &mut Session,
    (name, to): (Option<&[u8]>, &ZonePath),
    as_name: bool,
    options: CallOptions,
    call: impl Fn(&mut Session, &ZonePath, CallOptions) -> Result<Done<T>>,
) -> Result<(ZonePath, Done<T>)> {
    let Some(name) = name else { return Ok((to.clone(), call(session, to, options)?)) };
    if as_name || !is_directory(session, to)? {
        return Ok((to.clone(), call(session, to, options)?));
    }
    let inside = to.join(name);
    match call(session, &inside, options) {
        // That a name was given to another request is Invalid.
        Err(Failure::Engine { error, subject }) if error.kind == Reason::Invalid && session.is_named() => {
            match call(session, to, ONLY_A_REPEAT) {
                Ok(done) if done.repeated => Ok((to.clone(), done)),
                _ => Err(Failure::Engine { error, subject }),
            }
        }
        done => Ok((inside, done?)),
    }
}

/// `zone` and `path`, with which every line about a path begins.
fn path_object(path: &ZonePath) -> Object {
    Object::new().with("zone", path.zone.as_str()).with_bytes("path", &path.path)
}

/// Does the path lead to a directory at present?
fn is_directory(session: &mut Session, path: &ZonePath) -> Result<bool> {
    let view = session.zone(path)?.view(At::Newest)?;
    let stat = view.stat(&session.caller, &path.path[..], true);
    Ok(stat.is_ok_and(|stat| stat.kind == nexus_projections::row::FileKind::Directory))
}
