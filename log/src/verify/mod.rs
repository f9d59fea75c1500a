//! Every byte of a log, checked from its files alone.
//!
//! ```text
//!  meta, watermark --> last segment's end: recovery's own decision
//!  segment 1 .. n  --> header, records, chain, chunks, events, zeros behind --> Merkle root
//!  sidecar 1 .. n-1 -> every entry against its segment
//! ```
//!
//! Invariants:
//! 1. Nothing is written and no lock is taken; a log that is in use meanwhile may show a torn end, never damage that
//!    is not there.
//! 2. A bit changed anywhere in these files is a finding. Behind damage the next valid record is looked for, so that
//!    all that is damaged is listed.
//! 3. A torn tail above every proof of flush is no finding where the log was not closed ([`crate::recovery`]).
//! 4. Memory does not grow with the log: one window of a file, the places in the last segment, and at most [`VERIFY_FINDINGS_MAX`] findings.

mod finding;
mod scan;
mod segments;
mod sidecars;

use std::path::{Path, PathBuf};

use crate::env::{Env, OpenMode};
use crate::ids::{Seq, ZoneIdentity};
use crate::limits::VERIFY_FINDINGS_MAX;
use crate::log::{OpenError, SEGMENTS, WATERMARK, look, read_watermark, segments_in};
use crate::merkle::{CompactRange, Root};
use crate::record::Record;
use crate::recovery::{Proofs, Verdict};
use crate::segment::file_name;
use crate::sidecar::sidecar_file_name;
use crate::watermark::WatermarkState;
use crate::zone_meta::{ZONE_META_FILE, ZoneMeta, ZoneMetaError};

pub use finding::{Fault, Finding, Severity, Torn};
use segments::Chain;

/// Told how verification goes.
pub trait Observer {
    /// Bytes done of the bytes there are.
    fn progress(&mut self, _done: u64, _total: u64) {}
    /// A record whose every checksum held, in order; behind damage, records are missing from the order.
    fn record(&mut self, _record: &Record) {}
}

/// Observes nothing.
impl Observer for () {}

/// Why a log could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("cannot tell whose log this is")]
    Meta(#[source] ZoneMetaError),
    #[error("{file} was written by a newer release; verify with that")]
    Newer { file: PathBuf },
    #[error("cannot look at the log")]
    Look(#[source] OpenError),
}

/// What was checked and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    pub identity: ZoneIdentity,
    /// The zone's name.
    pub name: String,
    pub first: Seq,
    /// Last record of the log, as opening it would have it.
    pub last: Seq,
    pub segments: u64,
    /// Records whose every checksum held.
    pub records: u64,
    /// Bytes of the files looked at.
    pub bytes: u64,
    /// Merkle root over all records; absent where one is damaged.
    pub root: Option<Root>,
    /// The log was closed in order.
    pub closed: bool,
    /// What opening would cut: never acknowledged, so no finding.
    pub torn: Option<Torn>,
    /// Full segments without a sidecar: a crash may leave them, idle time writes them.
    pub sidecars_missing: u64,
    pub findings: Vec<Finding>,
    /// Findings beyond [`VERIFY_FINDINGS_MAX`].
    pub findings_more: u64,
}

impl VerifyReport {
    /// Is every byte as it was written?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Is something of the log lost or damaged, spare copies and derivable files apart?
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings_more > 0 || self.findings.iter().any(|f| f.severity() == Severity::Damage)
    }
}

/// Verifies the log of the zone in `dir`. `proofs` is what others know to be flushed.
pub fn verify(env: &Env, dir: &Path, proofs: Proofs, observer: &mut dyn Observer) -> Result<VerifyReport, VerifyError> {
    let (meta, bad_copies) = ZoneMeta::read(&*env.disk, dir).map_err(|error| match error {
        ZoneMetaError::NewerFormat { .. } => VerifyError::Newer { file: dir.join(ZONE_META_FILE) },
        error => VerifyError::Meta(error),
    })?;
    let marked = read_watermark(env, dir, meta.identity).map_err(not_judged)?;
    let firsts = segments_in(env, dir).map_err(not_judged)?;
    let mut verifier = Verifier::new(env, dir, &meta, firsts, observer);
    verifier.total = verifier.total_bytes();
    if bad_copies > 0 {
        verifier.found(ZONE_META_FILE.into(), 0, None, Fault::MetaCopy);
    }
    verifier.check_spares(&marked);
    verifier.check_segments(marked, proofs)?;
    verifier.observer.progress(verifier.total, verifier.total);
    Ok(verifier.report)
}

fn not_judged(error: OpenError) -> VerifyError {
    match error {
        OpenError::Newer { file } => VerifyError::Newer { file },
        error => VerifyError::Look(error),
    }
}

struct Verifier<'a> {
    env: &'a Env,
    dir: &'a Path,
    firsts: Vec<Seq>,
    observer: &'a mut dyn Observer,
    total: u64,
    told: u64,
    /// Leaves so far; absent once a record is not known.
    tree: Option<CompactRange>,
    report: VerifyReport,
}

impl<'a> Verifier<'a> {
    fn new(
        env: &'a Env,
        dir: &'a Path,
        meta: &ZoneMeta,
        firsts: Vec<Seq>,
        observer: &'a mut dyn Observer,
    ) -> Verifier<'a> {
        let report = VerifyReport {
            identity: meta.identity,
            name: meta.name.clone(),
            first: meta.first_seq,
            last: meta.first_seq.prev(),
            segments: 0,
            records: 0,
            bytes: 0,
            root: None,
            closed: false,
            torn: None,
            sidecars_missing: 0,
            findings: Vec::new(),
            findings_more: 0,
        };
        Verifier { env, dir, firsts, observer, total: 0, told: 0, tree: Some(CompactRange::new()), report }
    }

    fn bytes_of(&self, file: &Path) -> u64 {
        let opened = self.env.disk.open(&self.dir.join(file), OpenMode::Read);
        opened.and_then(|f| f.len()).unwrap_or(0)
    }

    fn total_bytes(&self) -> u64 {
        let spares = [ZONE_META_FILE, WATERMARK].map(|name| self.bytes_of(name.as_ref()));
        let segments = self.firsts.iter().map(|first| self.bytes_of(&segment_file(*first)));
        let sidecars = self.firsts.iter().map(|first| self.bytes_of(&sidecar_file(*first)));
        spares.into_iter().chain(segments).chain(sidecars).sum()
    }

    /// Counts `bytes` as done and says so from time to time.
    fn done(&mut self, bytes: u64) {
        const STEP_BYTES: u64 = 1 << 20;
        self.report.bytes += bytes;
        if self.report.bytes >= self.told + STEP_BYTES {
            self.told = self.report.bytes;
            self.observer.progress(self.told.min(self.total), self.total);
        }
    }

    fn found(&mut self, file: PathBuf, offset: u64, seq: Option<Seq>, what: Fault) {
        if self.report.findings.len() < VERIFY_FINDINGS_MAX {
            self.report.findings.push(Finding { file, offset, seq, what });
        } else {
            self.report.findings_more += 1;
        }
    }

    fn check_spares(&mut self, marked: &WatermarkState) {
        for (slot, fault) in marked.faults.iter().enumerate() {
            if let Some(fault) = fault {
                self.found(WATERMARK.into(), slot as u64 * 4096, None, Fault::WatermarkSlot(*fault));
            }
        }
        let spares: u64 = [ZONE_META_FILE, WATERMARK].map(|name| self.bytes_of(name.as_ref())).iter().sum();
        self.done(spares);
    }

    fn check_segments(&mut self, marked: WatermarkState, proofs: Proofs) -> Result<(), VerifyError> {
        let Some(&last) = self.firsts.last() else {
            self.found(SEGMENTS.into(), 0, Some(self.report.first), Fault::NoSegments);
            return Ok(());
        };
        let identity = self.report.identity;
        let closed_at = marked.mark.filter(|mark| mark.clean).map(|mark| mark.flushed);
        let plan = match look(self.env, self.dir, identity, (marked, self.firsts.clone()), proofs, OpenMode::Read) {
            Ok(plan) if plan.verdict == Verdict::Refuse => {
                return Err(VerifyError::Newer { file: self.dir.join(segment_file(last)) });
            }
            Ok(plan) => Some(plan),
            // The walk says where it cannot be read.
            Err(OpenError::Io { operation: "read", .. }) => None,
            Err(error) => return Err(not_judged(error)),
        };
        let mut chain = Chain::new(self.report.first);
        for index in 0..self.firsts.len() - 1 {
            let (first, next) = (self.firsts[index], self.firsts[index + 1]);
            self.check_full(first, next, &mut chain)?;
        }
        self.check_last(last, plan.as_ref(), closed_at, &mut chain)?;
        let whole = !self.report.is_damaged();
        self.report.root = self.tree.take().filter(|_| whole).map(|tree| tree.root());
        Ok(())
    }
}

/// The segment's file, from the zone's directory.
fn segment_file(first: Seq) -> PathBuf {
    Path::new(SEGMENTS).join(file_name(first))
}

fn sidecar_file(first: Seq) -> PathBuf {
    Path::new(SEGMENTS).join(sidecar_file_name(first))
}
