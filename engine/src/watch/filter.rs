//! Which events are wanted. Decided at the source: what is filtered costs its consumer nothing.

use std::collections::BTreeSet;

use nexus_log::event::{Event, KINDS, Kind};
use nexus_log::ids::Inode;
use nexus_log::record::Record;

use super::about::About;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Refused,
}

impl Outcome {
    #[must_use]
    pub fn of(event: &Event) -> Outcome {
        match event {
            Event::Refused(_) | Event::RefusalsCounted(_) => Outcome::Refused,
            _ => Outcome::Ok,
        }
    }
}

/// What events are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Anything, also what is about no inode.
    #[default]
    Zone,
    /// An inode, under whatever names it has; of a directory also the names that come and go in it.
    Inode(Inode),
    /// A directory and all that is below it, right before the event or right after it, through renames.
    Subtree(Inode),
}

/// An event is wanted if everything that is said here holds of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these; empty: of any kind.
    pub kinds: BTreeSet<Kind>,
    pub agent: Option<String>,
    pub tenant: Option<String>,
    pub outcome: Option<Outcome>,
    pub scope: Scope,
}

impl Filter {
    /// Bytes of a filter's hash in a token.
    pub(super) const HASH_BYTES: usize = 16;

    /// The kind of a name as `log` shows it.
    #[must_use]
    pub fn kind(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(_, _, known)| *known == name).map(|(kind, _, _)| *kind)
    }

    /// Names the filter: two that want the same by the same words have the same hash, in every release.
    pub(super) fn hash(&self) -> [u8; Filter::HASH_BYTES] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"nexus filter 1");
        hasher.update(&(self.kinds.len() as u64).to_le_bytes());
        for kind in &self.kinds {
            hasher.update(&kind.0.to_le_bytes());
        }
        for name in [&self.agent, &self.tenant] {
            match name {
                None => hasher.update(&[0]),
                Some(name) => hasher.update(&[1]).update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()),
            };
        }
        let outcome = match self.outcome {
            None => 0,
            Some(Outcome::Ok) => 1,
            Some(Outcome::Refused) => 2,
        };
        let (scope, inode) = match self.scope {
            Scope::Zone => (0, 0),
            Scope::Inode(inode) => (1, inode.0),
            Scope::Subtree(inode) => (2, inode.0),
        };
        hasher.update(&[outcome, scope]).update(&inode.to_le_bytes());
        let mut hash = [0; Filter::HASH_BYTES];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..Filter::HASH_BYTES]);
        hash
    }

    /// Could any event of the record be wanted, by what the record says of its actor?
    fn wants_actor(&self, record: &Record) -> bool {
        self.agent.as_ref().is_none_or(|agent| record.context.agent == *agent)
            && self.tenant.as_ref().is_none_or(|tenant| record.context.tenant == *tenant)
    }

    fn wants(&self, event: &Event) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind());
        kind && self.outcome.is_none_or(|outcome| outcome == Outcome::of(event))
    }

    /// Indexes of the events that are wanted as far as the record itself tells: of a subtree it does not.
    #[must_use]
    pub fn indexes(&self, record: &Record) -> Vec<u16> {
        if !self.wants_actor(record) {
            return Vec::new();
        }
        let in_scope = |event: &Event| match self.scope {
            Scope::Inode(inode) => About::of(event).touches(inode),
            Scope::Zone | Scope::Subtree(_) => true,
        };
        let events = record.events.iter().enumerate();
        let wanted = events.filter(|(_, event)| self.wants(event) && in_scope(event));
        wanted.map(|(index, _)| u16::try_from(index).expect("a record has at most 4,096 events")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_filter_is_in_its_hash() {
        let name = |text: &str| Some(text.to_owned());
        let kinds = |kinds: &[u16]| kinds.iter().map(|kind| Kind(*kind)).collect();
        let filters = [
            Filter::default(),
            Filter { kinds: kinds(&[32]), ..Filter::default() },
            Filter { kinds: kinds(&[32, 33]), ..Filter::default() },
            Filter { agent: name(""), ..Filter::default() },
            Filter { agent: name("a"), ..Filter::default() },
            Filter { tenant: name("a"), ..Filter::default() },
            Filter { agent: name("a"), tenant: name("a"), ..Filter::default() },
            Filter { outcome: Some(Outcome::Ok), ..Filter::default() },
            Filter { outcome: Some(Outcome::Refused), ..Filter::default() },
            Filter { scope: Scope::Inode(Inode(1)), ..Filter::default() },
            Filter { scope: Scope::Subtree(Inode(1)), ..Filter::default() },
            Filter { scope: Scope::Subtree(Inode(2)), ..Filter::default() },
        ];
        let hashes: BTreeSet<_> = filters.iter().map(Filter::hash).collect();
        assert_eq!(hashes.len(), filters.len());
        // Tokens outlive releases: the hash of a filter does not change.
        let hex: String = Filter::default().hash().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "8c61fa17b49b0cb0d35070233883345d");
    }
}
