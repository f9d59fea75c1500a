//! `nexus-bench-compare`: what `nexus bench --compare` starts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nexus_benches::compare::{self, Options, Scale};

/// Measures this engine beside SQLite, redb, fjall and plain files in one run, and against the project's goals
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Args {
    /// A directory on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Numbers of threads; goals are set for 1, 8 and 64
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// About two minutes instead of half an hour, with fewer files
    #[arg(long)]
    quick: bool,
    /// With --quick: sustained rates over the full minute all the same
    #[arg(long)]
    sustained: bool,
    /// Ten million files, which takes 30 GB of disk and most of an hour
    #[arg(long, conflicts_with = "quick")]
    large: bool,
    /// One JSON object (docs/JSON.md)
    #[arg(long)]
    json: bool,
    /// Do not say what is going on
    #[arg(long, short)]
    quiet: bool,
    /// For tests: so short that figures mean nothing
    #[arg(long, hide = true, conflicts_with_all = ["quick", "large", "sustained"])]
    tiny: bool,
    /// What a run starts to kill it: makes --files files in this new data directory
    #[arg(long, hide = true, requires = "files", value_name = "DIR")]
    hold: Option<PathBuf>,
    #[arg(long, hide = true)]
    files: Option<u64>,
}

/// Files of a run with --large.
const FILES_LARGE: u64 = 10_000_000;

impl Args {
    fn scale(&self) -> Scale {
        let mut scale = match (self.tiny, self.quick) {
            (true, _) => Scale::tiny(),
            (_, true) => Scale::quick(),
            _ => Scale::full(),
        };
        if self.sustained {
            scale.sustained = Scale::full().sustained;
        }
        if self.large {
            scale.files = FILES_LARGE;
        }
        scale
    }

    fn run(&self) -> Result<(), nexus_engine::Error> {
        if let (Some(dir), Some(files)) = (&self.hold, self.files) {
            return compare::hold(dir, files);
        }
        let threads = self.threads.iter().map(|threads| usize::from(*threads)).collect();
        let options = Options { dir: self.dir.clone(), threads, scale: self.scale() };
        let outcome = compare::run(&options, &mut |step| {
            if !self.quiet {
                eprintln!("{step}");
            }
        })?;
        // A reader that goes away has what it wanted.
        let text = if self.json { outcome.json() + "\n" } else { outcome.table() };
        let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
        Ok(())
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Err(error) = args.run() else { return ExitCode::SUCCESS };
    let mut because = Vec::new();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        because.push(error.to_string());
        cause = error.source();
    }
    if args.json {
        let code = format!("NX{:04}", error.kind.code());
        let told = serde_json::json!({ "kind": error.kind.name(), "code": code, "message": error.message, "because": because });
        println!("{}", serde_json::json!({ "error": told }));
    } else {
        eprintln!("nexus-bench-compare: {error}");
        because.iter().for_each(|cause| eprintln!("  because: {cause}"));
    }
    ExitCode::FAILURE
}
