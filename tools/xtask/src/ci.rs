//! The steps, in the order in which they are cheapest to fail.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::finding::Finding;
use crate::tree::Tree;
use crate::{events, layers, links};

/// One step of the gate.
struct Step {
    name: &'static str,
    /// What to type to run this step alone.
    rerun: &'static str,
    run: Run,
}

enum Run {
    /// `cargo` with these arguments; the pair is a variable set for it.
    Cargo {
        arguments: &'static [&'static str],
        variable: Option<(&'static str, &'static str)>,
    },
    Check(fn(&Path) -> bool),
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        rerun: "cargo fmt --all --check   (cargo xtask fix rewrites)",
        run: Run::Cargo { arguments: &["fmt", "--all", "--check"], variable: None },
    },
    Step { name: "layers", rerun: "cargo xtask layers", run: Run::Check(layers) },
    Step { name: "pages", rerun: "cargo xtask docs", run: Run::Check(pages) },
    Step {
        name: "clippy",
        rerun: "cargo clippy --workspace --all-targets --locked -- -D warnings",
        run: Run::Cargo {
            arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            variable: None,
        },
    },
    Step {
        name: "docs",
        rerun: "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked",
        run: Run::Cargo {
            arguments: &["doc", "--workspace", "--no-deps", "--locked"],
            variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        },
    },
    Step {
        name: "doc tests",
        rerun: "cargo test --doc --workspace --locked",
        run: Run::Cargo { arguments: &["test", "--doc", "--workspace", "--locked"], variable: None },
    },
    Step {
        name: "tests",
        rerun: "cargo nextest run --workspace --locked --profile ci",
        run: Run::Cargo {
            arguments: &["nextest", "run", "--workspace", "--locked", "--profile", "ci"],
            variable: None,
        },
    },
];

/// The whole gate. Stops at the first step that fails.
pub(crate) fn ci(root: &Path) -> bool {
    let begun = Instant::now();
    for (index, step) in STEPS.iter().enumerate() {
        eprintln!("== {}/{} {}", index + 1, STEPS.len(), step.name);
        let step_begun = Instant::now();
        let passed = match &step.run {
            Run::Cargo { arguments, variable } => cargo(root, arguments, *variable),
            Run::Check(check) => check(root),
        };
        let seconds = step_begun.elapsed().as_secs_f64();
        if !passed {
            eprintln!("== {} FAILED after {seconds:.1} s; to run it alone:\n   {}", step.name, step.rerun);
            return false;
        }
        eprintln!("== {} passed in {seconds:.1} s", step.name);
    }
    eprintln!("== all {} steps passed in {:.1} s", STEPS.len(), begun.elapsed().as_secs_f64());
    true
}

/// Rewrites what can be rewritten. Clippy goes first: what it writes is not formatted.
pub(crate) fn fix(root: &Path) -> bool {
    cargo(root, &["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"], None)
        && cargo(root, &["fmt", "--all"], None)
}

/// Prints what [`layers::check`] finds.
pub(crate) fn layers(root: &Path) -> bool {
    let read = || -> io::Result<Vec<Finding>> { Ok(layers::check(&Tree::read(root)?, &metadata(root)?)) };
    report(read())
}

/// Prints what [`events::check`] and [`links::check`] find.
pub(crate) fn pages(root: &Path) -> bool {
    report(Tree::read(root).map(|tree| [events::check(&tree), links::check(&tree)].concat()))
}

fn report(findings: io::Result<Vec<Finding>>) -> bool {
    match findings {
        Ok(findings) => {
            findings.iter().for_each(|finding| eprintln!("{finding}"));
            findings.is_empty()
        }
        Err(error) => {
            eprintln!("cannot read the workspace: {error}");
            false
        }
    }
}

/// The workspace's packages with what their manifests ask for.
fn metadata(root: &Path) -> io::Result<Value> {
    let output = cargo_command(root)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("cargo metadata failed"));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

fn cargo(root: &Path, arguments: &[&str], variable: Option<(&str, &str)>) -> bool {
    let mut command = cargo_command(root);
    command.args(arguments).envs(variable);
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot start cargo: {error}");
            false
        }
    }
}

fn cargo_command(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
