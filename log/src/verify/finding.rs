//! What verification can find, and how bad it is.

use std::io;
use std::path::PathBuf;

use crate::block::BlockFault;
use crate::cursor::BadRecord;
use crate::ids::Seq;
use crate::recovery::DamageKind;

/// One thing that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the zone's directory.
    pub file: PathBuf,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The record that stands there or is missing there.
    pub seq: Option<Seq>,
    pub what: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something of the log is lost or changed.
    Damage,
    /// A spare copy, a derivable file or unwritten space: nothing is lost.
    Spare,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("one copy of the zone's meta is damaged")]
    MetaCopy,
    #[error("a slot of the watermark is damaged: {0}")]
    WatermarkSlot(BlockFault),
    #[error("there is no segment")]
    NoSegments,
    #[error("records up to {until} are missing: the segment begins behind them")]
    Gap { until: Seq },
    #[error("the header is damaged in both copies")]
    Header,
    #[error("one copy of the header is damaged")]
    HeaderCopy,
    #[error("the header does not follow on the last record of the segment before")]
    HeaderLink,
    #[error("{0}")]
    Tail(DamageKind),
    /// From the place of the finding to byte `end`.
    #[error("bytes up to {end} are no records{}: {why}", up_to(.until))]
    Lost {
        end: u64,
        /// The last seq that is missing, where a later record tells.
        until: Option<Seq>,
        why: BadRecord,
    },
    #[error("the record is damaged: {0}")]
    Record(BadRecord),
    #[error("the record's commit time is not later than the one before")]
    TimeOrder,
    #[error("the record knows less to be flushed than one before it")]
    FlushedOrder,
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error("unwritten space holds {bytes} bytes that are not zero")]
    Unwritten { bytes: u64 },
    #[error("the sidecar is damaged: {0}")]
    Sidecar(String),
    #[error("the sidecar says another {0} than its segment")]
    SidecarDiffers(&'static str),
}

fn up_to(until: &Option<Seq>) -> String {
    until.map(|seq| format!(", records up to {seq} are lost")).unwrap_or_default()
}

impl Finding {
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.what {
            Fault::MetaCopy
            | Fault::WatermarkSlot(_)
            | Fault::HeaderCopy
            | Fault::Unwritten { .. }
            | Fault::Sidecar(_)
            | Fault::SidecarDiffers(_) => Severity::Spare,
            Fault::NoSegments
            | Fault::Gap { .. }
            | Fault::Header
            | Fault::HeaderLink
            | Fault::Tail(_)
            | Fault::Lost { .. }
            | Fault::Record(_)
            | Fault::TimeOrder
            | Fault::FlushedOrder
            | Fault::Unreadable(_) => Severity::Damage,
        }
    }
}

/// A tail that opening would cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub file: PathBuf,
    pub offset: u64,
    /// The record expected there.
    pub from: Seq,
    /// Bytes behind the offset that are not zero.
    pub bytes: u64,
}
