//! Verbs on several things: one that fails does not keep the others from being done.

use super::path_object;
use crate::failure::{Failure, Result};
use crate::names::ZonePath;
use crate::output::Out;
use crate::session::Session;

/// What failed so far, and was told.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failed: u64,
    damage: bool,
}

impl Failures {
    /// Tells of a failure and goes on; only what makes going on senseless comes back.
    pub(super) fn note(&mut self, path: &ZonePath, outcome: Result<()>, out: &mut Out) -> Result<()> {
        match outcome {
            Err(failure @ (Failure::Output(_) | Failure::Usage(_))) => Err(failure),
            // They were told already.
            Err(Failure::SomeFailed { failed, damage }) => {
                self.failed += failed;
                self.damage |= damage;
                Ok(())
            }
            Err(failure) => {
                self.failed += 1;
                self.damage |= failure.is_damage();
                if out.json {
                    return out.object(&path_object(path).with("error", failure.object()));
                }
                eprintln!("nexus: {}", failure.text());
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// At the verb's end.
    pub(super) fn outcome(&self) -> Result<()> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::SomeFailed { failed, damage: self.damage }),
        }
    }
}

/// Does `act` to each of the paths. With one path its failure is the verb's own.
pub(super) fn each(
    paths: &[ZonePath],
    session: &mut Session,
    mut act: impl FnMut(&ZonePath, &mut Session) -> Result<()>,
) -> Result<()> {
    if let [path] = paths {
        return act(path, session);
    }
    let mut failures = Failures::default();
    for path in paths {
        let outcome = act(path, session);
        failures.note(path, outcome, &mut session.out)?;
    }
    failures.outcome()
}
