//! `bench`: the canonical workload here, other engines by the program that stands beside this one.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nexus_benches::canonical::{self, BenchOptions};
use nexus_engine::Error;
use nexus_log::event::Reason;

use crate::args::{BenchArgs, Global};
use crate::failure::{Failure, Result};
use crate::output::Out;

/// Other engines are heavy to build, so they are in a program of their own.
const COMPARE_PROGRAM: &str = "nexus-bench-compare";

pub(super) fn bench(args: &BenchArgs, global: &Global) -> Result<()> {
    if args.pairs == 0 || args.threads.is_empty() || args.threads.contains(&0) || args.files == 0 {
        return Err(Failure::Usage("pairs, threads and files are at least 1".into()));
    }
    if args.compare {
        return compare(args, global);
    }
    let options = BenchOptions {
        dir: args.dir.clone(),
        pairs: args.pairs,
        threads: args.threads.clone(),
        drivers: args.drivers,
        files: args.files,
    };
    let report = canonical::run(&options, &mut |step| {
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

/// Becomes the other program. Comes back only where that is not there.
fn compare(args: &BenchArgs, global: &Global) -> Result<()> {
    let own =
        std::env::current_exe().map_err(|source| Failure::Input { what: "the program's own path".into(), source })?;
    let program = own.parent().unwrap_or(Path::new("/")).join(COMPARE_PROGRAM);
    let threads: Vec<String> = args.threads.iter().map(ToString::to_string).collect();
    let mut command = Command::new(&program);
    command.arg("--dir").arg(&args.dir).arg("--threads").arg(threads.join(","));
    let flags = [
        ("--quick", args.quick),
        ("--sustained", args.sustained),
        ("--large", args.large),
        ("--json", global.json),
        ("--quiet", global.quiet),
    ];
    command.args(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
    let error = command.exec();
    let (kind, message) = if error.kind() == std::io::ErrorKind::NotFound {
        let message = format!(
            "{} is not there: build it with `cargo build --release -p nexus-benches` and put it beside `nexus`",
            program.display()
        );
        (Reason::Unsupported, message)
    } else {
        (Reason::Unavailable, format!("cannot start {}", program.display()))
    };
    Err(Error::new(kind, message).because(error).into())
}
