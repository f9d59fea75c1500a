//! What an event is about: which inodes, by which path, and with what outcome.
//!
//! Every match here names every kind, so that a new kind must answer. The answers go into the sidecars of sealed
//! segments: what they are for a kind that exists is frozen with it, or history would lose records.

use super::{Context, Event, Kind};
use crate::ids::Inode;

/// Whether what was asked for was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Ok,
    Refused,
}

impl Outcome {
    /// The stable name that surfaces show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
        }
    }
}

impl Event {
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Event::Refused(_) | Event::RefusalsCounted(_) => Outcome::Refused,
            Event::ZoneCreated(_)
            | Event::Recovered(_)
            | Event::AuditGap(_)
            | Event::TimeClosed(_)
            | Event::ClockHeld(_)
            | Event::ClockConfirmed(_)
            | Event::PolicySet(_)
            | Event::UsageCounted(_)
            | Event::RequestAnswered(_)
            | Event::Accessed(_)
            | Event::FileCreated(_)
            | Event::DirectoryCreated(_)
            | Event::SymlinkCreated(_)
            | Event::NodeCreated(_)
            | Event::Exchanged(_)
            | Event::DetachedCreated(_)
            | Event::Attached(_)
            | Event::Punched(_)
            | Event::Linked(_)
            | Event::Unlinked(_)
            | Event::DirectoryRemoved(_)
            | Event::Renamed(_)
            | Event::AttributesSet(_)
            | Event::XattrSet(_)
            | Event::XattrRemoved(_)
            | Event::ContentStored(_)
            | Event::Written(_)
            | Event::Truncated(_)
            | Event::OrphansReleased(_) => Outcome::Ok,
        }
    }

    /// Tells `visit` every inode that the event is about: in a role of its own, or as the directory in which a name
    /// came or went. One may be told twice.
    pub fn for_each_inode(&self, mut visit: impl FnMut(Inode)) {
        let mut each = |numbers: &[u64]| numbers.iter().filter(|n| **n != 0).for_each(|n| visit(Inode(*n)));
        match self {
            Event::ZoneCreated(_) => each(&[Inode::ROOT.0]),
            Event::Recovered(_)
            | Event::AuditGap(_)
            | Event::TimeClosed(_)
            | Event::ClockHeld(_)
            | Event::ClockConfirmed(_)
            | Event::UsageCounted(_)
            | Event::RequestAnswered(_)
            | Event::ContentStored(_) => {}
            Event::PolicySet(e) => each(&[e.inode]),
            Event::Accessed(e) => e.inodes.iter().for_each(|count| each(&[count.inode])),
            Event::NodeCreated(e) => each(&[e.inode, e.parent]),
            Event::Exchanged(e) => each(&[e.inode, e.other, e.parent, e.other_parent]),
            Event::DetachedCreated(e) => each(&[e.inode]),
            Event::Attached(e) => each(&[e.inode, e.parent]),
            Event::Punched(e) => each(&[e.inode]),
            Event::FileCreated(e) => each(&[e.inode, e.parent]),
            Event::DirectoryCreated(e) => each(&[e.inode, e.parent]),
            Event::SymlinkCreated(e) => each(&[e.inode, e.parent]),
            Event::Linked(e) => each(&[e.inode, e.parent]),
            Event::Unlinked(e) => each(&[e.inode, e.parent]),
            Event::DirectoryRemoved(e) => each(&[e.inode, e.parent]),
            Event::Renamed(e) => each(&[e.inode, e.replaced, e.from_parent, e.to_parent]),
            Event::AttributesSet(e) => each(&[e.inode]),
            Event::XattrSet(e) => each(&[e.inode]),
            Event::XattrRemoved(e) => each(&[e.inode]),
            Event::Written(e) => each(&[e.inode]),
            Event::Truncated(e) => each(&[e.inode]),
            Event::OrphansReleased(e) => each(&e.inodes),
            Event::Refused(e) => each(&[e.inode]),
            Event::RefusalsCounted(e) => e.counts.iter().for_each(|count| each(&[count.inode])),
        }
    }

    /// The path that the caller gave and the inode that the event is first of all about; empty and `None` where there
    /// is none.
    #[must_use]
    pub fn named(&self) -> (&[u8], Option<Inode>) {
        let (path, inode): (&[u8], u64) = match self {
            Event::ZoneCreated(_) => (b"/", Inode::ROOT.0),
            Event::PolicySet(e) => (&e.path, e.inode),
            Event::Accessed(e) => match (&e.strict, &e.inodes[..]) {
                (Some(strict), [one]) => (&strict.path, one.inode),
                (None, [one]) if e.directories.is_empty() && e.collapsed_calls == 0 => (b"", one.inode),
                _ => (b"", 0),
            },
            Event::NodeCreated(e) => (&e.path, e.inode),
            Event::Exchanged(e) => (&e.other_path, e.inode),
            Event::DetachedCreated(e) => (b"", e.inode),
            Event::Attached(e) => (&e.path, e.inode),
            Event::Punched(e) => (&e.path, e.inode),
            Event::Recovered(_)
            | Event::AuditGap(_)
            | Event::TimeClosed(_)
            | Event::ClockHeld(_)
            | Event::ClockConfirmed(_)
            | Event::UsageCounted(_)
            | Event::RequestAnswered(_)
            | Event::ContentStored(_)
            | Event::OrphansReleased(_)
            | Event::RefusalsCounted(_) => (b"", 0),
            Event::FileCreated(e) => (&e.path, e.inode),
            Event::DirectoryCreated(e) => (&e.path, e.inode),
            Event::SymlinkCreated(e) => (&e.path, e.inode),
            Event::Linked(e) => (&e.path, e.inode),
            Event::Unlinked(e) => (&e.path, e.inode),
            Event::DirectoryRemoved(e) => (&e.path, e.inode),
            Event::Renamed(e) => (&e.to_path, e.inode),
            Event::AttributesSet(e) => (&e.path, e.inode),
            Event::XattrSet(e) => (&e.path, e.inode),
            Event::XattrRemoved(e) => (&e.path, e.inode),
            Event::Written(e) => (&e.path, e.inode),
            Event::Truncated(e) => (&e.path, e.inode),
            Event::Refused(e) => (&e.path, e.inode),
        };
        (path, (inode != 0).then_some(Inode(inode)))
    }
}

/// Something that records have in common, as one number: what kind of property in the highest byte, its value or the
/// FNV-1a hash of it in the others. Part of the sidecar's format. Two strings may share a term: whoever finds a record
/// by a term looks at the record too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    const VALUE_BITS: u32 = 56;

    fn of(property: u8, value: u64) -> Term {
        Term(u64::from(property) << Self::VALUE_BITS | value & ((1 << Self::VALUE_BITS) - 1))
    }

    /// A term of a string; the empty string has none.
    fn of_text(property: u8, text: &str) -> Option<Term> {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        // Folded, so that the byte that the property takes is not lost.
        (!text.is_empty()).then(|| Term::of(property, hash ^ hash >> Self::VALUE_BITS))
    }

    #[must_use]
    pub fn tenant(name: &str) -> Option<Term> {
        Term::of_text(1, name)
    }

    #[must_use]
    pub fn user(name: &str) -> Option<Term> {
        Term::of_text(2, name)
    }

    #[must_use]
    pub fn agent(name: &str) -> Option<Term> {
        Term::of_text(3, name)
    }

    #[must_use]
    pub fn session(name: &str) -> Option<Term> {
        Term::of_text(4, name)
    }

    #[must_use]
    pub fn kind(kind: Kind) -> Term {
        Term::of(5, kind.0.into())
    }

    #[must_use]
    pub fn outcome(outcome: Outcome) -> Term {
        Term::of(6, outcome as u64)
    }
}

/// What a record can be found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Sorted, each once.
    pub inodes: Vec<Inode>,
    /// Sorted, each once.
    pub terms: Vec<Term>,
}

impl About {
    #[must_use]
    pub fn of(context: &Context, events: &[Event]) -> About {
        let mut about = About { inodes: Vec::with_capacity(4), terms: Vec::with_capacity(6) };
        let texts = [
            Term::tenant(&context.tenant),
            Term::user(&context.user),
            Term::agent(&context.agent),
            Term::session(&context.session),
        ];
        about.terms.extend(texts.into_iter().flatten());
        for event in events {
            about.terms.extend([Term::kind(event.kind()), Term::outcome(event.outcome())]);
            event.for_each_inode(|inode| about.inodes.push(inode));
        }
        about.terms.sort_unstable();
        about.terms.dedup();
        about.inodes.sort_unstable();
        about.inodes.dedup();
        about
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FileCreated, OrphansReleased, RefusalCount, RefusalsCounted, Refused, Renamed};

    /// Sidecars hold these numbers for ever.
    #[test]
    fn terms_are_frozen() {
        let terms = [
            Term::tenant("acme"),
            Term::user("ann"),
            Term::agent("alice"),
            Term::session("s1"),
            Some(Term::kind(Kind(32))),
            Some(Term::outcome(Outcome::Ok)),
            Some(Term::outcome(Outcome::Refused)),
        ];
        let numbers = terms.map(|term| format!("{:016x}", term.unwrap().0));
        assert_eq!(
            numbers,
            [
                "0124d383f4f6de08",
                "02f79d19051ffc5e",
                "038b2abb65a03957",
                "04d8ff07b578d141",
                "0500000000000020",
                "0600000000000000",
                "0600000000000001"
            ]
        );
        assert_eq!([Term::tenant(""), Term::user(""), Term::agent(""), Term::session("")], [None; 4]);
    }

    #[test]
    fn a_record_is_found_by_all_its_events_and_by_each_once() {
        let context = Context { agent: "alice".into(), user: "ann".into(), ..Context::default() };
        let renamed = Renamed { inode: 9, from_parent: 4, to_parent: 4, replaced: 0, ..Renamed::default() };
        let released = OrphansReleased { inodes: vec![70, 60] };
        let created = FileCreated { inode: 60, parent: 1, ..FileCreated::default() };
        let about = About::of(&context, &[renamed.into(), released.into(), created.into()]);
        assert_eq!(about.inodes, [1, 4, 9, 60, 70].map(Inode));
        let mut terms = vec![Term::agent("alice").unwrap(), Term::user("ann").unwrap(), Term::outcome(Outcome::Ok)];
        terms.extend([39, 51, 32].map(|kind| Term::kind(Kind(kind))));
        terms.sort_unstable();
        assert_eq!(about.terms, terms);
    }

    #[test]
    fn a_refusal_is_about_what_was_reached() {
        let refused: Event = Refused { inode: 0, ..Refused::default() }.into();
        assert_eq!(refused.outcome(), Outcome::Refused);
        let counts = [5, 0, 7].map(|inode| RefusalCount { inode, ..RefusalCount::default() }).to_vec();
        let counted: Event = RefusalsCounted { counts, ..RefusalsCounted::default() }.into();
        let about = About::of(&Context::default(), &[refused, counted]);
        assert_eq!(about.inodes, [5, 7].map(Inode));
    }
}
