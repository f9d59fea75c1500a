//! The sidecar beside a segment, entry by entry against what the segment says.

use super::{Fault, Verifier, sidecar_file};
use crate::cursor::Found;
use crate::ids::Seq;
use crate::record::Record;
use crate::sidecar::{Gathered, SegmentEnd, Sidecar, SidecarError};

/// The sidecar of the segment being walked. One finding is enough: it is written anew as a whole.
pub(super) struct Beside {
    sidecar: Option<Sidecar>,
    first: Seq,
    /// What the segment's records are about.
    gathered: Gathered,
}

impl Beside {
    /// Of a segment that has none yet.
    pub(super) fn none() -> Beside {
        Beside { sidecar: None, first: Seq::ZERO, gathered: Gathered::default() }
    }

    pub(super) fn open(verifier: &mut Verifier<'_>, first: Seq) -> Beside {
        let name = sidecar_file(first);
        let path = verifier.dir.join(&name);
        let opened = Sidecar::open(&*verifier.env.disk, &path, verifier.report.identity, first);
        let checked = opened.and_then(|sidecar| sidecar.check_all().map(|()| sidecar));
        let bytes = verifier.bytes_of(&name);
        verifier.done(bytes);
        match checked {
            Ok(sidecar) => {
                let gathered = Gathered::default();
                return Beside { sidecar: Some(sidecar), first, gathered };
            }
            Err(SidecarError::Missing) => verifier.report.sidecars_missing += 1,
            Err(error) => {
                let why =
                    std::error::Error::source(&error).map_or(error.to_string(), |cause| format!("{error}: {cause}"));
                verifier.found(name, 0, None, Fault::Sidecar(why));
            }
        }
        Beside { first, ..Beside::none() }
    }

    fn differs(&mut self, verifier: &mut Verifier<'_>, seq: Option<Seq>, what: &'static str) {
        verifier.found(sidecar_file(self.first), 0, seq, Fault::SidecarDiffers(what));
        self.sidecar = None;
    }

    /// Compares the entry of a record.
    pub(super) fn compare(&mut self, verifier: &mut Verifier<'_>, found: &Found, record: &Record, leaf: [u8; 32]) {
        let Some(sidecar) = &self.sidecar else { return };
        self.gathered.push(&record.about());
        let (seq, time) = (found.prefix().seq, found.prefix().commit_time);
        let differs = if !sidecar.offset_of(seq).is_ok_and(|at| at.map(u64::from) == Some(found.offset)) {
            "offset"
        } else if !sidecar.time_of(seq).is_ok_and(|at| at == Some(time)) {
            "commit time"
        } else if !sidecar.leaves(seq, seq.next()).all(|stored| stored.is_ok_and(|stored| stored == leaf)) {
            "leaf hash"
        } else {
            return;
        };
        self.differs(verifier, Some(seq), differs);
    }

    /// Compares what it says of the segment's end: behind the last record, and the CRC of that one's prefix.
    pub(super) fn finish(&mut self, verifier: &mut Verifier<'_>, end: Option<(u64, u32)>, next: Seq) {
        let Some(sidecar) = &self.sidecar else { return };
        let ends =
            end.is_some_and(|(bytes, last_prefix_crc)| sidecar.segment_end() == SegmentEnd { bytes, last_prefix_crc });
        if sidecar.last_seq().next() != next || !ends {
            self.differs(verifier, None, "end");
        } else if self.gathered.records() == sidecar.records() && !sidecar.says(&self.gathered).is_ok_and(|same| same) {
            // Where a record is damaged, nothing can be said of what it was about.
            self.differs(verifier, None, "index of its records");
        }
    }
}
