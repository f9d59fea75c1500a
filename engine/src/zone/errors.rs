//! What failures below the engine mean to a caller.

use nexus_log::event::Reason;
use nexus_log::log::Poisoned;
use nexus_projections::row::RowError;
use nexus_projections::store::StoreError;

use crate::error::Error;

pub(crate) fn store_error(error: StoreError) -> Error {
    match &error {
        StoreError::Corrupt { .. } => {
            let message = "the tables are damaged; the log is not affected; run `nexus rebuild --discard`";
            Error::new(Reason::Corrupt, message).because(error)
        }
        StoreError::Fatal { .. } => {
            let message = "the tables cannot be used; the log is not affected; if it stays, `nexus rebuild --discard`";
            Error::new(Reason::Unavailable, message).because(error)
        }
    }
}

pub(crate) fn poisoned_error(poisoned: Poisoned) -> Error {
    if poisoned.0.no_space() {
        return Error::new(Reason::NoSpace, "the disk is full; free some space and try again").because(poisoned);
    }
    let message = "writing the log failed; reading goes on; restart to recover";
    Error::new(Reason::Unavailable, message).because(poisoned)
}

/// The record may or may not be found when the log is opened again.
pub(crate) fn outcome_unknown(poisoned: Poisoned) -> Error {
    let message = "writing the log failed before this was certain; look whether it happened before trying again";
    Error::new(Reason::OutcomeUnknown, message).because(poisoned)
}

pub(crate) fn damaged(error: RowError) -> Error {
    Error::new(Reason::Corrupt, "the tables are damaged; the log is not affected; run `nexus rebuild --discard`")
        .because(error)
}
