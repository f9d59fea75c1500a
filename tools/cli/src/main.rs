//! The `nexus` command: the engine embedded in a program, one data directory, one verb.
//!
//! ```text
//!  args --parse--> Verb --> Session::open (lock, recovery, notice) --> verbs::* --> Out --> close --> exit code
//! ```
//!
//! | module    | what it holds                                                   |
//! |-----------|-----------------------------------------------------------------|
//! | `args`    | the verbs and what each takes                                   |
//! | `at`      | positions and times as people type them, times as we print them |
//! | `names`   | paths as typed, users and groups by name                        |
//! | `mode`    | permission bits as typed and as shown                           |
//! | `session` | an open data directory and who acts                             |
//! | `output`  | lines for people and JSON lines, and no noise on a closed pipe  |
//! | `failure` | every way to fail, and its exit code                            |
//! | `history` | the log as people and programs read it                          |
//! | `transfer`| moving whole trees in and out                                   |
//! | `verbs`   | one file per family of verbs                                    |

mod args;
mod at;
mod failure;
mod history;
mod mode;
mod names;
mod output;
mod session;
mod transfer;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match verbs::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(cli.global.json),
    }
}
