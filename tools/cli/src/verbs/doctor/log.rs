//! The log: whose it is, how it ends, whether a segment or a sidecar is missing, and the clock against its last record.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::root_zone_dir;
use nexus_log::cursor::Cursor;
use nexus_log::env::{DiskFile, Env, OpenMode, read_exact_at};
use nexus_log::ids::Seq;
use nexus_log::log::{OpenError, RecoveryPlan, SEGMENTS, inspect};
use nexus_log::recovery::{Proofs, Verdict};
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use nexus_log::sidecar::{Sidecar, SidecarError, sidecar_file_name};
use nexus_log::zone_meta::{ZoneMeta, ZoneMetaError};

use super::{Findings, Severity, chain};
use crate::at;

/// Sidecars that are read as a whole, the newest; of the others the header is.
const SIDECARS_READ_MAX: usize = 64;
/// Segments without a usable sidecar that are walked to see where they end, the newest.
const SEGMENTS_WALKED_MAX: usize = 8;
/// Looks at a log that is in use before what it shows is believed to be there.
const LOOKS: usize = 3;
/// Records that opening applies to the tables without anybody noticing.
const BEHIND_MAX: u64 = 1_000_000;

const MINUTE_NS: u64 = 60_000_000_000;
const YEAR_NS: u64 = 366 * 24 * 60 * MINUTE_NS;

const VERIFY: &str = "copy the directory elsewhere first, then: nexus verify   (lists all that is damaged)";

/// Whose log it is; `None` where that cannot be told, which is found.
pub(super) fn meta(env: &Env, dir: &Path, findings: &mut Findings) -> Option<ZoneMeta> {
    match ZoneMeta::read(&*env.disk, &root_zone_dir(dir)) {
        Ok((meta, 0)) => {
            findings.ok("identity", format!("zone {}, both copies of its identity are sound", meta.name));
            Some(meta)
        }
        Ok((meta, _)) => {
            let what = "one of the two copies of the zone's identity is damaged; the other is in use";
            let run = "copy the directory to another disk; this one may be failing";
            findings.found("identity", Severity::Problem, what, run.to_owned());
            Some(meta)
        }
        Err(error) => {
            let (severity, run) = match &error {
                ZoneMetaError::NewerFormat { .. } => (Severity::Problem, "use the newer release of nexus"),
                ZoneMetaError::Io(_) => (Severity::Problem, "look at it as its owner; see the permissions above"),
                _ => (Severity::Damage, "put the zone's `meta` file back from a copy of the directory"),
            };
            findings.found("identity", severity, chain(&error), run.to_owned());
            None
        }
    }
}

/// `held` tells whether a process holds the directory, now or when it was first asked.
pub(super) fn examine(
    env: &Env,
    dir: &Path,
    meta: &ZoneMeta,
    applied: Option<Seq>,
    held: &dyn Fn() -> bool,
    findings: &mut Findings,
) {
    let zone = root_zone_dir(dir);
    let proofs = Proofs { applied: applied.unwrap_or(Seq::ZERO), signed: Seq::ZERO };
    let look = || inspect(env, &zone, meta.identity, meta.first_seq, proofs);
    let mut looked = look();
    let mut in_use = held();
    for _ in 1..LOOKS {
        if !in_use || !matches!(&looked, Ok(RecoveryPlan { verdict: Verdict::Damage(_), .. })) {
            break;
        }
        looked = look();
        in_use = held();
    }
    match looked {
        Ok(plan) => {
            end(&plan, in_use, findings);
            clock(env, &plan, findings);
            behind(&plan, applied, findings);
            segments(env, &zone, meta, &plan, findings);
        }
        Err(error) => {
            let (severity, run) = match &error {
                OpenError::Damage { .. } | OpenError::NoSegments { .. } => (Severity::Damage, VERIFY),
                OpenError::Newer { .. } => (Severity::Problem, "use the newer release of nexus"),
                OpenError::Io { .. } => (Severity::Problem, "look at it as its owner; see the permissions above"),
            };
            findings.found("log", severity, chain(&error), run.to_owned());
        }
    }
}

fn end(plan: &RecoveryPlan, in_use: bool, findings: &mut Findings) {
    let last = plan.last;
    match plan.verdict {
        Verdict::Clean if plan.clean => findings.ok("log", format!("closed in order behind record {last}")),
        Verdict::Clean | Verdict::Torn | Verdict::Recreate if in_use => {
            findings.ok("log", format!("in use; sound up to record {last}"));
        }
        Verdict::Clean => {
            let again = last.0.saturating_sub(plan.proven.0);
            let what = format!(
                "ends at record {last}, and was not closed: the next opening writes {again} records again that have \
                 no proof of being on disk"
            );
            findings.found("log", Severity::Notice, what, None);
        }
        Verdict::Torn => {
            let what = format!(
                "ends in a torn record behind {last}: the next opening cuts {} bytes that were never acknowledged",
                plan.cut_bytes
            );
            findings.found("log", Severity::Notice, what, None);
        }
        Verdict::Recreate => {
            let what = format!("its newest segment was being made when it stopped; nothing behind {last} is lost");
            findings.found("log", Severity::Notice, what, None);
        }
        Verdict::Refuse => {
            let what = "was written by a newer release";
            findings.found("log", Severity::Problem, what, "use the newer release of nexus".to_owned());
        }
        Verdict::Damage(kind) => {
            let what = format!("is damaged behind record {last}, byte {} of its segment: {kind}", plan.write_end);
            findings.found("log", Severity::Damage, what, VERIFY.to_owned());
        }
    }
    spares(plan, findings);
}

/// Copies of which another is in use. A slot of the watermark may be torn by the power cut that it is there for.
fn spares(plan: &RecoveryPlan, findings: &mut Findings) {
    let slots = plan.watermark.faults.iter().flatten().count();
    for (index, warning) in plan.warnings.iter().enumerate() {
        let severity = if index < slots { Severity::Notice } else { Severity::Problem };
        findings.found("spare copies", severity, warning.as_str(), "nexus verify".to_owned());
    }
    if plan.warnings.is_empty() {
        findings.ok("spare copies", "sound");
    }
}

fn clock(env: &Env, plan: &RecoveryPlan, findings: &mut Findings) {
    let (now, last) = (env.clock.wall_ns(), plan.last_time().0);
    let shown = at::local_exact(last);
    if now + MINUTE_NS < last {
        let minutes = (last - now) / MINUTE_NS;
        let what = format!("the clock is {minutes} minutes behind the last record, of {shown}; times go on from there");
        findings.found("clock", Severity::Problem, what, "set the machine's clock".to_owned());
    } else if last > 0 && now > last + YEAR_NS {
        let what = format!("the last record is of {shown}, more than a year ago");
        findings.found("clock", Severity::Notice, what, "see that the machine's clock is right".to_owned());
    } else {
        findings.ok("clock", format!("plausible; the last record is of {shown}"));
    }
}

fn behind(plan: &RecoveryPlan, applied: Option<Seq>, findings: &mut Findings) {
    let Some(applied) = applied else { return };
    let behind = plan.last.0.saturating_sub(applied.0);
    if behind > BEHIND_MAX {
        let what = format!("{behind} records behind the log: the next opening applies them, which takes a while");
        findings.found("tables", Severity::Notice, what, None);
    }
}

/// Every full segment is there as a whole, and its sidecar is.
fn segments(env: &Env, zone: &Path, meta: &ZoneMeta, plan: &RecoveryPlan, findings: &mut Findings) {
    let before = findings.0.len();
    let full = plan.firsts.len() - 1;
    let mut walked = 0;
    // The newest first: there most happens, and the bounded looks go to them.
    for (age, pair) in plan.firsts.windows(2).rev().enumerate() {
        let look = Look { env, zone, meta, first: pair[0], next: pair[1] };
        let sidecar = look.sidecar(age < SIDECARS_READ_MAX, findings);
        let ends = match &sidecar {
            Some(sidecar) => {
                look.length(sidecar, findings);
                Some(sidecar.last_seq().next())
            }
            None if walked < SEGMENTS_WALKED_MAX => {
                walked += 1;
                look.walk(findings)
            }
            None => None,
        };
        if let Some(ends) = ends
            && ends != look.next
        {
            let (file, next) = (file_name(look.first), look.next);
            let file = file.to_string_lossy();
            let what = format!(
                "{file} ends before record {ends}, and the next segment begins at {next}: one is missing or cut"
            );
            findings.found("segments", Severity::Damage, what, VERIFY.to_owned());
        }
    }
    if findings.0.len() == before {
        findings.ok("segments", format!("{full} full ones and the last; every byte: nexus verify"));
    }
}

/// A full segment and where the next one begins.
struct Look<'a> {
    env: &'a Env,
    zone: &'a Path,
    meta: &'a ZoneMeta,
    first: Seq,
    next: Seq,
}

impl Look<'_> {
    fn file(&self) -> std::io::Result<Arc<dyn DiskFile>> {
        self.env.disk.open(&self.zone.join(SEGMENTS).join(file_name(self.first)), OpenMode::Read)
    }

    /// A usable one.
    fn sidecar(&self, whole: bool, findings: &mut Findings) -> Option<Sidecar> {
        let name = sidecar_file_name(self.first);
        let path = self.zone.join(SEGMENTS).join(&name);
        let opened = Sidecar::open(&*self.env.disk, &path, self.meta.identity, self.first);
        let checked =
            opened.and_then(|sidecar| if whole { sidecar.check_all().map(|()| sidecar) } else { Ok(sidecar) });
        match checked {
            Ok(sidecar) => return Some(sidecar),
            Err(SidecarError::Missing) => {
                let what = format!("{name} is missing; it is written anew when its segment is first read");
                findings.found("sidecars", Severity::Notice, what, None);
            }
            Err(error) => {
                let what = format!("{name} cannot be used: {}; nothing of the log is lost", chain(&error));
                let run = format!("rm {}   (it is written anew when its segment is first read)", path.display());
                findings.found("sidecars", Severity::Problem, what, run);
            }
        }
        None
    }

    /// Is the segment as long as its sidecar says?
    fn length(&self, sidecar: &Sidecar, findings: &mut Findings) {
        let (name, end) = (file_name(self.first), sidecar.segment_end().bytes);
        let name = name.to_string_lossy();
        let what = match self.file().and_then(|file| file.len()) {
            Ok(bytes) if bytes >= end => return,
            Ok(bytes) => format!("{name} has {bytes} bytes of {end}: it was cut"),
            Err(error) => format!("{name} cannot be read: {error}"),
        };
        findings.found("segments", Severity::Damage, what, VERIFY.to_owned());
    }

    /// The seq behind the segment's last sound record; `None` where it cannot be walked, which is found.
    fn walk(&self, findings: &mut Findings) -> Option<Seq> {
        let walk = || -> std::io::Result<Option<Seq>> {
            let file = self.file()?;
            let mut block = vec![0; file.len()?.min(SEGMENT_HEADER_BYTES) as usize];
            read_exact_at(&*file, &mut block, 0)?;
            let HeaderBlock::Good { header, .. } = SegmentHeader::decode(&block, self.meta.identity, self.first) else {
                return Ok(None);
            };
            let (identity, crc) = (header.identity, Some(header.previous_crc));
            let mut cursor = Cursor::new(file, identity, header.seed(), SEGMENT_HEADER_BYTES, header.first, crc);
            while cursor.next_seq() < self.next && cursor.next_checked()?.is_ok() {}
            Ok(Some(cursor.next_seq()))
        };
        let what = match walk() {
            Ok(Some(end)) => return Some(end),
            Ok(None) => "its header is damaged".to_owned(),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let name = file_name(self.first);
        let what = format!("{}: {what}", name.to_string_lossy());
        findings.found("segments", Severity::Damage, what, VERIFY.to_owned());
        None
    }
}
