//! The project's own gate.
//!
//! ```text
//! cargo xtask ci      everything that must hold before a change is merged; writes nothing
//! cargo xtask fix     formats, and applies what clippy can rewrite
//! cargo xtask layers  who may import whom, and how long a file may be
//! cargo xtask docs    docs/EVENTS.md against the code it describes; links between pages
//! ```
//!
//! The checkers are pure: files in, findings out ([`tree::Tree`] reads the disk once).

#![expect(clippy::disallowed_methods, reason = "a developer's tool: the seam to disk and clock is for the engine")]

mod ci;
mod events;
mod finding;
mod layers;
mod links;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask ci | fix | layers | docs";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = workspace_root();
    let passed = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ci"] => ci::ci(&root),
        ["fix"] => ci::fix(&root),
        ["layers"] => ci::layers(&root),
        ["docs"] => ci::pages(&root),
        _ => {
            eprintln!("{USAGE}");
            false
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The folder of the workspace's manifest. Cargo sets the variable anew for each run: a target directory shared by two
/// checkouts must not make one check the other.
fn workspace_root() -> PathBuf {
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned().into());
    let mut root = PathBuf::from(manifest_dir);
    assert!(root.pop() && root.pop(), "xtask stands two folders below the workspace's root");
    root
}
