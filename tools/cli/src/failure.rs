//! Every way in which a verb fails: what people read, what programs read, the exit code.
//!
//! | exit | meaning                                                    |
//! |------|------------------------------------------------------------|
//! | 0    | done; also where the reader of our output went away        |
//! | 1    | refused or failed                                          |
//! | 2    | the command line makes no sense                            |
//! | 3    | stored bytes are not what was written                      |

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;

use nexus_engine::Error;
use nexus_log::event::Reason;

use crate::output::Object;
use crate::transfer::TransferError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The engine's answer, and the path it is about where that is known.
    #[error("{}", with_subject(.subject.as_deref(), .error))]
    Engine {
        subject: Option<String>,
        #[source]
        error: Error,
    },
    #[error("{0}")]
    Usage(String),
    #[error("cannot read {what}")]
    Input {
        what: Cow<'static, str>,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A run moved what it could, and not everything.
    #[error("{failed} entries could not be moved; the others were")]
    Incomplete { failed: u64 },
    /// A verb did what it could, of several things; what failed was told where it failed.
    #[error("{failed} of what was asked for failed; the rest was done")]
    SomeFailed { failed: u64, damage: bool },
    /// A search found nothing, which is an answer and no error.
    #[error("nothing matched")]
    NothingMatched,
    /// A batch made what it could, and not everything.
    #[error("{failed} of {changes} changes failed; the others were made")]
    BatchIncomplete { failed: u64, changes: u64 },
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// A look found what should be seen to, and no damage.
    #[error("{count} found, see above", count = if *.0 == 1 { "a problem was".into() } else { format!("{} problems were", .0) })]
    Problems(usize),
    /// A check found damage, or tables that differ from the log.
    #[error("{0}")]
    Damage(String),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

fn with_subject(subject: Option<&str>, error: &Error) -> String {
    match subject {
        // The engine names the last part of the path; people gave the whole.
        Some(subject) if !subject.contains(" -> ") => {
            match subject.rsplit('/').next().and_then(|last| error.message.strip_prefix(last)) {
                Some(rest) if rest.starts_with(' ') => format!("{subject}{rest}"),
                _ => format!("{subject}: {error}"),
            }
        }
        Some(subject) => format!("{subject}: {error}"),
        None => error.to_string(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine { subject: None, error }
    }
}

/// Says which path an error is about.
pub(crate) trait About<T> {
    fn about(self, subject: &impl std::fmt::Display) -> Result<T>;
}

impl<T> About<T> for nexus_engine::Result<T> {
    fn about(self, subject: &impl std::fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::Engine { subject: Some(subject.to_string()), error })
    }
}

impl Failure {
    /// The stable name and code that programs branch on.
    fn kind_and_code(&self) -> (&'static str, String) {
        let of = |reason: Reason| (reason.name(), format!("NX{:04}", reason.code()));
        match self {
            Failure::Engine { error, .. } => of(error.kind),
            Failure::Transfer(error) => of(error.kind()),
            Failure::Damage(_) => of(Reason::Corrupt),
            Failure::Incomplete { .. } | Failure::SomeFailed { .. } | Failure::BatchIncomplete { .. } => {
                ("incomplete", "NX9003".into())
            }
            Failure::NothingMatched => ("nothing_matched", "NX9005".into()),
            Failure::Problems(_) => ("problem", "NX9004".into()),
            Failure::Usage(_) => ("usage", "NX9001".into()),
            Failure::Input { .. } | Failure::Output(_) => ("io", "NX9002".into()),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Damage(_) | Failure::SomeFailed { damage: true, .. } => 3,
            Failure::Engine { error, .. } if error.is_damage() => 3,
            Failure::Transfer(error) if error.kind() == Reason::Corrupt => 3,
            _ => 1,
        }
    }

    fn chain(&self) -> Vec<String> {
        let mut causes = Vec::new();
        // The engine's error is shown in our own message.
        let mut cause = match self {
            Failure::Engine { error, .. } => std::error::Error::source(error),
            other => std::error::Error::source(other),
        };
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes
    }

    /// What programs are told.
    pub(crate) fn object(&self) -> Object {
        let (kind, code) = self.kind_and_code();
        let mut error = Object::new().with("kind", kind).with("code", code).with("message", self.to_string());
        let causes = self.chain();
        if !causes.is_empty() {
            error.set("because", causes);
        }
        error
    }

    /// What people are told.
    pub(crate) fn text(&self) -> String {
        let because: String = self.chain().iter().map(|cause| format!("\n  because: {cause}")).collect();
        format!("{self}{because}")
    }

    pub(crate) fn is_damage(&self) -> bool {
        self.exit_code() == 3
    }

    /// Tells the person or the program, and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if let Failure::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        // Where nobody takes the message, the exit code still tells.
        let _ = match self {
            Failure::NothingMatched => Ok(()),
            // People were told of each.
            Failure::SomeFailed { .. } if !json => Ok(()),
            _ if json => {
                let line = Object::new().with("error", self.object());
                writeln!(io::stdout(), "{}", serde_json::to_string(&line).expect("an object of strings"))
            }
            _ => writeln!(io::stderr(), "nexus: {}", self.text()),
        };
        ExitCode::from(self.exit_code())
    }
}
