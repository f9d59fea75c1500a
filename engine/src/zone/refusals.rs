//! Refusals are events: the first of a kind in a second is a record of its own, its repeats are counted, and the
//! count is a record at the end of the second (DESIGN section 3). Nothing is dropped silently, and nobody can fill a
//! log by being refused.

use std::collections::BTreeMap;

use nexus_log::event::{Context, Event, Reason, RefusalCount, RefusalsCounted, Refused, Syscall};
use nexus_log::ids::Inode;

use crate::limits::{REFUSAL_ACTORS_MAX, REFUSAL_KINDS_PER_ACTOR_MAX, REFUSAL_WINDOW};

/// What makes two refusals the same.
type Kind = (Syscall, u64, Reason);

#[derive(Default)]
struct ActorCounts {
    context: Context,
    kinds: BTreeMap<Kind, u64>,
    collapsed: u64,
}

/// The current second's counts, per actor.
#[derive(Default)]
pub(super) struct Refusals {
    from_ns: u64,
    /// The window is kept open until then where its counts could not be written.
    deferred_ns: u64,
    actors: BTreeMap<(String, String, String), ActorCounts>,
    /// Refusals of actors beyond the bound.
    others: u64,
}

impl Refusals {
    /// Notes a refusal. Returns the event to append if it is the first of its kind.
    pub(super) fn note(
        &mut self,
        now_ns: u64,
        context: &Context,
        syscall: Syscall,
        reason: Reason,
        inode: Option<Inode>,
        path: &[u8],
    ) -> Option<Event> {
        if self.is_empty() {
            self.from_ns = now_ns;
        }
        let actor = (context.tenant.clone(), context.user.clone(), context.agent.clone());
        if !self.actors.contains_key(&actor) && self.actors.len() >= REFUSAL_ACTORS_MAX {
            self.others += 1;
            return None;
        }
        let counts = self.actors.entry(actor).or_default();
        if counts.context.agent.is_empty() {
            counts.context = context.clone();
        }
        let inode = inode.map_or(0, |i| i.0);
        let kind = (syscall, inode, reason);
        if let Some(repeats) = counts.kinds.get_mut(&kind) {
            *repeats += 1;
            return None;
        }
        if counts.kinds.len() >= REFUSAL_KINDS_PER_ACTOR_MAX {
            counts.collapsed += 1;
            return None;
        }
        counts.kinds.insert(kind, 0);
        let refused = Refused { syscall: syscall.code(), reason: reason.code(), inode, path: path.to_vec() };
        Some(refused.into())
    }

    /// The record of a refusal of this kind could not be appended: it is a count.
    pub(super) fn not_recorded(&mut self, now_ns: u64, context: &Context, kind: (Syscall, Option<Inode>, Reason)) {
        let (syscall, inode, reason) = kind;
        // Where its window was closed meanwhile, the first call begins one and the second counts.
        if self.note(now_ns, context, syscall, reason, inode, b"").is_some() {
            self.note(now_ns, context, syscall, reason, inode, b"");
        }
    }

    /// Keeps the window open for another one: its counts cannot be written now.
    pub(super) fn defer(&mut self, now_ns: u64) {
        self.deferred_ns = now_ns + REFUSAL_WINDOW.as_nanos() as u64;
    }

    fn is_empty(&self) -> bool {
        self.actors.is_empty() && self.others == 0
    }

    /// Nanoseconds until the window closes; `None` where none is open.
    pub(super) fn closes_in(&self, now_ns: u64) -> Option<u64> {
        let end = self.deferred_ns.max(self.from_ns + REFUSAL_WINDOW.as_nanos() as u64);
        (!self.is_empty()).then(|| end.saturating_sub(now_ns))
    }

    /// Closes the window: the counts to append, each on behalf of its actor. Windows are measured by the clock that does
    /// not step (`now_ns`); the events say wall time.
    pub(super) fn close(&mut self, now_ns: u64, wall_ns: u64) -> Vec<(Context, Event)> {
        let closed = std::mem::take(self);
        let from_ns = wall_ns.saturating_sub(now_ns.saturating_sub(closed.from_ns));
        let counted = |counts: Vec<RefusalCount>, collapsed| -> Event {
            RefusalsCounted { from_ns, until_ns: wall_ns, counts, collapsed }.into()
        };
        let mut events = Vec::new();
        for actor in closed.actors.into_values() {
            let repeated = actor.kinds.iter().filter(|(_, repeats)| **repeats > 0);
            let counts: Vec<RefusalCount> = repeated
                .map(|((syscall, inode, reason), repeats)| RefusalCount {
                    syscall: syscall.code(),
                    reason: reason.code(),
                    inode: *inode,
                    count: *repeats,
                })
                .collect();
            if !counts.is_empty() || actor.collapsed > 0 {
                events.push((actor.context, counted(counts, actor.collapsed)));
            }
        }
        if closed.others > 0 {
            events.push((crate::decide::system_context(), counted(Vec::new(), closed.others)));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(agent: &str) -> Context {
        Context { agent: agent.into(), ..Context::default() }
    }

    #[test]
    fn the_first_of_a_kind_is_a_record_and_repeats_are_counted_exactly() {
        let mut refusals = Refusals::default();
        let mut note = |inode| {
            refusals.note(5, &context("a"), Syscall::Unlink, Reason::NotFound, Some(Inode(inode)), b"/x").is_some()
        };
        assert!(note(1));
        assert!(!note(1));
        assert!(!note(1));
        assert!(note(2));
        let closed = refusals.close(9, 109);
        assert_eq!(closed.len(), 1);
        let Event::RefusalsCounted(counted) = &closed[0].1 else { panic!("{closed:?}") };
        assert_eq!((counted.from_ns, counted.until_ns, counted.collapsed), (105, 109, 0));
        assert_eq!(counted.counts.len(), 1);
        assert_eq!((counted.counts[0].inode, counted.counts[0].count), (1, 2));
        assert!(refusals.close(10, 110).is_empty());
    }

    #[test]
    fn many_kinds_and_many_actors_collapse_into_numbers_and_none_is_lost() {
        let mut refusals = Refusals::default();
        let mut recorded = 0;
        for agent in 0..REFUSAL_ACTORS_MAX as u64 + 10 {
            for inode in 0..REFUSAL_KINDS_PER_ACTOR_MAX as u64 + 5 {
                let context = context(&format!("agent-{agent}"));
                let event = refusals.note(1, &context, Syscall::Rmdir, Reason::NotEmpty, Some(Inode(inode)), b"");
                recorded += u64::from(event.is_some());
            }
        }
        let counted: u64 = refusals
            .close(2, 2)
            .iter()
            .map(|(_, event)| match event {
                Event::RefusalsCounted(c) => c.collapsed + c.counts.iter().map(|c| c.count).sum::<u64>(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(recorded, (REFUSAL_ACTORS_MAX * REFUSAL_KINDS_PER_ACTOR_MAX) as u64);
        let all = (REFUSAL_ACTORS_MAX as u64 + 10) * (REFUSAL_KINDS_PER_ACTOR_MAX as u64 + 5);
        assert_eq!(recorded + counted, all);
    }
}
