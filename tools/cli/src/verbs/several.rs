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

#[cfg(test)]
mod tests {
    use nexus_engine::Error;
    use nexus_log::event::Reason;

    use super::*;

    #[test]
    fn damage_among_other_failures_is_damage_at_the_end() {
        let path = ZonePath { zone: "root".into(), path: b"/a".to_vec() };
        let failure = |kind| Err(Failure::from(Error::new(kind, "it failed")));
        let (mut failures, mut out) = (Failures::default(), Out::new(false));
        failures.note(&path, Ok(()), &mut out).unwrap();
        assert!(failures.outcome().is_ok());
        failures.note(&path, failure(Reason::NotFound), &mut out).unwrap();
        assert!(!failures.outcome().unwrap_err().is_damage());
        failures.note(&path, failure(Reason::Corrupt), &mut out).unwrap();
        failures.note(&path, failure(Reason::NotFound), &mut out).unwrap();
        assert!(failures.outcome().unwrap_err().is_damage());
        // What was told once as a whole counts as much.
        let inner = failures.outcome();
        let mut outer = Failures::default();
        outer.note(&path, inner, &mut out).unwrap();
        assert!(matches!(outer.outcome(), Err(Failure::SomeFailed { failed: 3, damage: true })));
        let usage = Err(Failure::Usage("no".into()));
        assert!(outer.note(&path, usage, &mut out).is_err(), "it makes no sense for the others either");
    }
}
