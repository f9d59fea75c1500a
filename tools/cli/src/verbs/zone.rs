//! `usage`, `policy` and `clock`: what the zone says of its use, its readers and its time.

use std::collections::BTreeMap;

use nexus_engine::{At, Durability, UsageFilter};
use nexus_log::event::{UsageCount, UsageCounts};
use nexus_projections::usage::add;

use super::{changed_with, path_object};
use crate::args::{AtArg, ClockAction, ClockArgs, Global, PolicyAction, PolicySetting, UsageArgs, UsageBy};
use crate::at::{local_exact, rfc3339};
use crate::failure::{About, Result};
use crate::history::{HOUR_NS, usage_counts};
use crate::names::ZonePath;
use crate::output::{Object, shown};
use crate::session::Session;

/// An hour, and who: what is summed over is absent.
type Line = (Option<u64>, Option<[String; 3]>);

pub(super) fn usage(args: &UsageArgs, global: &Global, session: &mut Session) -> Result<()> {
    let at = args.at.at.map_or(At::Latest, |position| position.at());
    let filter = UsageFilter { agent: global.agent.clone(), ..UsageFilter::default() };
    let usage = session.root().usage(&session.caller, at, &filter)?;
    let mut sums: BTreeMap<Line, UsageCounts> = BTreeMap::new();
    for UsageCount { tenant, user, agent, hour, counts } in usage.counts {
        let hour = (args.by != Some(UsageBy::Agent)).then_some(hour);
        let who = (args.by != Some(UsageBy::Hour)).then_some([tenant, user, agent]);
        add(sums.entry((hour, who)).or_default(), &counts);
    }
    if !session.out.json {
        session.out.line(format_args!(
            "{:<20}  {:<24} {:>10} {:>10} {:>10} {:>14} {:>14}",
            "hour", "agent", "changes", "refusals", "reads", "bytes in", "bytes out"
        ))?;
    }
    for ((hour, who), counts) in sums {
        let hour = hour.map(|hour| rfc3339(hour.saturating_mul(HOUR_NS)));
        if session.out.json {
            let [tenant, user, agent] = who.map_or([None, None, None], |who| who.map(Some));
            let mut object = Object::new().with("at", usage.at.0).with("hour", hour);
            object = object.with("tenant", tenant).with("user", user).with("agent", agent);
            object.extend(usage_counts(&counts));
            session.out.object(&object)?;
            continue;
        }
        let hour = hour.map_or_else(|| "all".into(), |hour| hour[..16].replace('T', " ") + "Z");
        let who = who.map_or_else(|| "all".into(), |[_, _, agent]| shown(agent.as_bytes()));
        let UsageCounts { changes, refusals, reads, bytes_in, bytes_out } = counts;
        session.out.line(format_args!(
            "{hour:<20}  {who:<24} {changes:>10} {refusals:>10} {reads:>10} {bytes_in:>14} {bytes_out:>14}"
        ))?;
    }
    Ok(())
}

pub(super) fn policy(action: &PolicyAction, session: &mut Session) -> Result<()> {
    match action {
        PolicyAction::Set { path, setting } => set_policy(path, *setting, session),
        PolicyAction::Show { path, at } => show_policy(path, at, session),
    }
}

fn set_policy(path: &ZonePath, PolicySetting(reads): PolicySetting, session: &mut Session) -> Result<()> {
    let zone = session.zone(path)?;
    let done = zone.set_policy(&session.caller, &path.path[..], reads, Durability::Durable).about(path)?;
    let more = Object::new().with("reads", reads.map(|reads| reads.name()));
    changed_with(&mut session.out, path, done.reply, &done, more)
}

fn show_policy(path: &ZonePath, at: &AtArg, session: &mut Session) -> Result<()> {
    let view = session.view(path, at)?;
    let (inode, policy) = view.policy(&session.caller, &path.path[..]).about(path)?;
    let from = policy.from.map(|from| view.path_of(from)).transpose()?.flatten();
    if session.out.json {
        let mut object = path_object(path).with("at", view.at().0).with("inode", inode.0);
        object.set("reads", policy.reads.name());
        object.set("from_inode", policy.from.map(|from| from.0));
        match from {
            Some(from) => object.set_bytes("from_path", &from),
            None => object.set("from_path", crate::output::Json::Null),
        }
        return session.out.object(&object);
    }
    let from = match (policy.from, from) {
        (None, _) => "not set; the default".into(),
        (Some(from), _) if from == inode => "set here".into(),
        (Some(_), Some(from)) => format!("from {}", shown(&from)),
        (Some(from), None) => format!("from inode {from}"),
    };
    session.out.line(format_args!("reads={}  ({from})", policy.reads.name()))
}

pub(super) fn clock(args: &ClockArgs, session: &mut Session) -> Result<()> {
    let zone = session.root();
    let (state, seq) = match args.action {
        None => (zone.clock(), None),
        Some(ClockAction::Confirm) => {
            let done = zone.confirm_clock(&session.caller)?;
            (done.reply, Some(done.seq))
        }
    };
    if session.out.json {
        let mut object = Object::new()
            .with("wall", rfc3339(state.wall_ns))
            .with("zone", rfc3339(state.zone_ns))
            .with("held", state.held);
        if let Some(seq) = seq {
            object.set("seq", seq.map(|seq| seq.0));
        }
        return session.out.object(&object);
    }
    session.out.line(format_args!("this machine: {}", local_exact(state.wall_ns)))?;
    session.out.line(format_args!("the zone:     {}", local_exact(state.zone_ns)))?;
    session.out.line(match (state.held, seq) {
        (true, _) => {
            "held: the clock of this machine is too far from the zone's and is not followed; put it right, or if it is \
             right run `nexus clock confirm`"
        }
        (false, Some(Some(_))) => "confirmed: the clock of this machine is followed",
        (false, Some(None)) => "nothing to confirm: the clock of this machine is followed",
        (false, None) => "the clock of this machine is followed",
    })
}
