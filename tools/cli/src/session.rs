//! An open data directory and who acts on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nexus_engine::{At, Caller, ClockState, Error, Nexus, ROOT_ZONE, View, Zone, ZoneOptions};
use nexus_log::event::{Context, Reason};
use nexus_log::log::RecoveryReport;

use crate::args::{AtArg, Global};
use crate::at::local_exact;
use crate::failure::{About, Failure, Result};
use crate::names::{ZonePath, user_name};
use crate::output::Out;

/// Everything that a verb works with.
pub(crate) struct Session {
    nexus: Nexus,
    zones: BTreeMap<String, Zone>,
    pub(crate) caller: Caller,
    pub(crate) out: Out,
    pub(crate) quiet: bool,
}

/// The data directory that was named.
pub(crate) fn data_dir(global: &Global) -> Result<PathBuf> {
    let missing = || Failure::Usage("no data directory was named; give --data DIR or set NEXUS_DATA".into());
    global.data.clone().filter(|dir| !dir.as_os_str().is_empty()).ok_or_else(missing)
}

/// A variable that is set and says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who acts. `log` filters by --agent, --session and --request-id, so for it only the environment says who asks.
pub(crate) fn caller(global: &Global, flags_say_who: bool) -> Result<Caller> {
    let user = user_name(rustix::process::getuid().as_raw());
    let flag = |value: &Option<String>| value.clone().filter(|_| flags_say_who);
    let program = std::env::args_os().next().unwrap_or_default();
    let command = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let context = Context {
        agent: flag(&global.agent).or_else(|| variable("NEXUS_AGENT")).unwrap_or_else(|| user.clone()),
        session: flag(&global.session).or_else(|| variable("NEXUS_SESSION")).unwrap_or_default(),
        request_id: flag(&global.request_id),
        user,
        process: std::process::id(),
        command: if command.len() <= nexus_engine::IDENTITY_BYTES_MAX { command } else { "nexus".into() },
        ..Context::default()
    };
    Ok(Caller::new(context)?)
}

/// Changes are waited for at a verb's end. Where the zone opened itself anew in between, earlier ones may be lost.
fn still_the_same_life(zone: &Zone) -> Result<()> {
    if zone.life() == 0 {
        return Ok(());
    }
    let message = "the disk was full for a while and some of this may be lost; look, and run it again";
    Err(Error::new(Reason::OutcomeUnknown, message).into())
}

impl Session {
    /// Opens the data directory, runs `verb` on it and closes it, also where the verb failed.
    pub(crate) fn with(global: &Global, caller: Caller, verb: impl FnOnce(&mut Session) -> Result<()>) -> Result<()> {
        let nexus = Nexus::open(&data_dir(global)?, ZoneOptions::default())?;
        Session::with_open(nexus, global, caller, verb)
    }

    /// As [`Session::with`], of a data directory that is open.
    pub(crate) fn with_open(
        nexus: Nexus,
        global: &Global,
        caller: Caller,
        verb: impl FnOnce(&mut Session) -> Result<()>,
    ) -> Result<()> {
        let root = nexus.zone(ROOT_ZONE)?;
        let quiet = global.quiet || global.json;
        if !quiet {
            notice(&root.recovery());
        }
        let zones = BTreeMap::from([(ROOT_ZONE.to_owned(), root)]);
        let mut out = Out::new(global.json);
        out.notes = !quiet;
        let mut session = Session { nexus, zones, caller, out, quiet };
        let (before, _) = session.root().log().appended();
        let done = verb(&mut session).and_then(|()| session.out.flush());
        let root = session.root();
        if !quiet && root.log().appended().0 > before {
            warn_of_the_clock(&root.clock());
        }
        let done = done.and_then(|()| still_the_same_life(&session.root()));
        let closed = session.nexus.close();
        if !quiet && root.unrecorded_reads() > 0 {
            eprintln!(
                "nexus: warning: the zone takes no records: what was read now is not in the log, only a gap will be"
            );
        }
        done?;
        Ok(closed?)
    }

    /// Who makes one of so many changes. The request id makes a repeat known where it names one change; of several it is
    /// noted with each.
    pub(crate) fn caller_for(&self, changes: usize) -> Caller {
        if changes == 1 { self.caller.clone() } else { self.caller.for_several() }
    }

    /// The caller gave the request a name.
    pub(crate) fn is_named(&self) -> bool {
        self.caller.context().request_id.is_some()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.nexus.dir()
    }

    /// The zone of a path.
    pub(crate) fn zone(&mut self, path: &ZonePath) -> Result<Zone> {
        if let Some(zone) = self.zones.get(&path.zone) {
            return Ok(zone.clone());
        }
        let zone = self.nexus.zone(&path.zone)?;
        self.zones.insert(path.zone.clone(), zone.clone());
        Ok(zone)
    }

    pub(crate) fn root(&self) -> Zone {
        self.zones[ROOT_ZONE].clone()
    }

    /// The zone of a path, readable at the position that was asked for.
    pub(crate) fn view(&mut self, path: &ZonePath, at: &AtArg) -> Result<View> {
        let at = at.at.map_or(At::Latest, |position| position.at());
        let zone = self.zone(path)?;
        let view = zone.view_for(&self.caller, at).about(path)?;
        if view.is_open() && !self.quiet {
            eprintln!(
                "nexus: warning: the zone takes no records: asked for this time again, the answer may be another"
            );
        }
        Ok(view)
    }
}

/// Whoever writes while the wall clock is held should know.
fn warn_of_the_clock(clock: &ClockState) {
    if clock.held {
        let (wall, zone) = (local_exact(clock.wall_ns), local_exact(clock.zone_ns));
        eprintln!(
            "nexus: warning: the clock of this machine says {wall}, the zone goes by {zone}; put the clock right, or if \
             it is right run `nexus clock confirm`"
        );
    }
}

/// Says what opening found after an unclean end.
fn notice(report: &RecoveryReport) {
    for warning in &report.warnings {
        eprintln!("nexus: warning: {warning}");
    }
    if report.clean {
        return;
    }
    let cut = report.cut.map_or_else(String::new, |cut| format!("; cut a torn end from record {} on", cut.from));
    let rewritten = match report.rewritten {
        0 => String::new(),
        count => format!("; wrote {count} records again that had no proof of being on disk"),
    };
    eprintln!("nexus: recovered after an unclean end: the log holds records up to {}{cut}{rewritten}", report.last);
}
