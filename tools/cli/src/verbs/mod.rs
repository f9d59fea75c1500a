//! One file per family of verbs.

mod attributes;
mod content;
mod glob;
mod grep;
mod init;
mod list;
mod log;
mod make;
mod rebuild;
mod remove;
mod rename;
mod several;
mod transfer;
mod tree;
mod verify;
mod xattr;

use nexus_engine::{At, Done};
use nexus_log::ids::Inode;

use crate::args::{BenchArgs, Cli, Global, Verb};
use crate::bench;
use crate::failure::{Failure, Result};
use crate::names::ZonePath;
use crate::output::{Object, Out};
use crate::session::{Session, caller};

/// Changes between two waits for the disk where a verb makes many: bounds what waits there.
const CHANGES_IN_FLIGHT_MAX: u64 = 1024;

pub(crate) fn run(cli: &Cli) -> Result<()> {
    let global = &cli.global;
    let who = caller(global, !matches!(cli.verb, Verb::Log(_)))?;
    match &cli.verb {
        Verb::Init(args) => init::init(args, global, who),
        Verb::Put(args) => content::put(args, global, who),
        Verb::Bench(args) => run_bench(args, global),
        Verb::Verify(_) => verify::verify(global, who),
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
        Verb::Touch(args) => make::touch(args, session),
        Verb::Mkdir(args) => make::mkdir(args, session),
        Verb::Ln(args) => make::ln(args, session),
        Verb::Mv(args) => rename::mv(args, session),
        Verb::Rm(args) => remove::rm(args, session),
        Verb::Rmdir(args) => remove::rmdir(args, session),
        Verb::Chmod(args) => attributes::chmod(args, session),
        Verb::Chown(args) => attributes::chown(args, session),
        Verb::Xattr(verb) => xattr::xattr(verb, session),
        Verb::Import(args) => transfer::import(args, session),
        Verb::Export(args) => transfer::export(args, session),
        Verb::Log(args) => log::log(args, &cli.global, session),
        Verb::Rebuild(args) => rebuild::rebuild(args, session),
        Verb::Init(_) | Verb::Put(_) | Verb::Bench(_) | Verb::Verify(_) => {
            unreachable!("they open a session themselves or none")
        }
    }
}

fn run_bench(args: &BenchArgs, global: &Global) -> Result<()> {
    if args.pairs == 0 || args.threads.is_empty() || args.threads.contains(&0) || args.files == 0 {
        return Err(Failure::Usage("pairs, threads and files are at least 1".into()));
    }
    let options = bench::BenchOptions {
        dir: args.dir.clone(),
        pairs: args.pairs,
        threads: args.threads.clone(),
        drivers: args.drivers,
        files: args.files,
    };
    let report = bench::run(&options, &mut |step| {
        if !global.quiet {
            eprintln!("{step}");
        }
    })?;
    let mut out = Out::new(global.json);
    if global.json {
        for figure in &report.figures {
            out.line(serde_json::to_string(figure).expect("a figure has plain values"))?;
        }
    } else {
        out.bytes(report.table().as_bytes())?;
    }
    out.flush()
}

/// What a changing verb tells a program; people are told nothing.
fn changed<T>(out: &mut Out, path: &ZonePath, inode: Inode, done: &Done<T>) -> Result<()> {
    changed_with(out, path, inode, done, Object::new())
}

fn changed_with<T>(out: &mut Out, path: &ZonePath, inode: Inode, done: &Done<T>, more: Object) -> Result<()> {
    if !out.json {
        return Ok(());
    }
    let mut object = path_object(path).with("inode", inode.0).with("seq", done.seq.map(|seq| seq.0));
    object.extend(more);
    out.object(&object)
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
