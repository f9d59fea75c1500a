//! Which events somebody asks for. Used by history, and fit for anything that chooses among records.

use std::collections::BTreeSet;

use crate::event::{Context, Event, Kind, Outcome, Term};
use crate::ids::Inode;
use crate::record::Record;

/// All that is said must hold: of one event, and of the context of its record. What is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The event is about one of these, as [`Event::for_each_inode`] tells.
    pub inodes: Option<BTreeSet<Inode>>,
    pub tenant: Option<String>,
    pub user: Option<String>,
    pub agent: Option<String>,
    pub session: Option<String>,
    pub request_id: Option<String>,
    /// The event is of one of these kinds.
    pub kinds: Option<BTreeSet<Kind>>,
    pub outcome: Option<Outcome>,
}

impl Filter {
    /// Does it hold of any event of the record?
    #[must_use]
    pub fn wants(&self, record: &Record) -> bool {
        self.wants_context(&record.context) && record.events.iter().any(|event| self.wants_event(event))
    }

    /// Indexes of the record's events that are wanted, in order.
    #[must_use]
    pub fn wanted_events(&self, record: &Record) -> Vec<usize> {
        if !self.wants_context(&record.context) {
            return Vec::new();
        }
        let events = record.events.iter().enumerate();
        events.filter(|(_, event)| self.wants_event(event)).map(|(index, _)| index).collect()
    }

    #[must_use]
    pub fn wants_context(&self, context: &Context) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.tenant, &context.tenant)
            && is(&self.user, &context.user)
            && is(&self.agent, &context.agent)
            && is(&self.session, &context.session)
            && self.request_id.as_ref().is_none_or(|wanted| context.request_id.as_ref() == Some(wanted))
    }

    #[must_use]
    pub fn wants_event(&self, event: &Event) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind()))
            && self.outcome.is_none_or(|outcome| outcome == event.outcome())
            && self.inodes.as_ref().is_none_or(|inodes| {
                let mut about = false;
                event.for_each_inode(|inode| about |= inodes.contains(&inode));
                about
            })
    }

    /// The terms of every record that the filter wants: of each group at least one. Fewer than the filter says: what
    /// they find is looked at.
    pub(crate) fn terms(&self) -> Vec<Vec<Term>> {
        let text = |wanted: &Option<String>, term: fn(&str) -> Option<Term>| Some(vec![term(wanted.as_deref()?)?]);
        let groups = [
            text(&self.tenant, Term::tenant),
            text(&self.user, Term::user),
            text(&self.agent, Term::agent),
            text(&self.session, Term::session),
            self.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| Term::kind(*kind)).collect()),
            self.outcome.map(|outcome| vec![Term::outcome(outcome)]),
        ];
        groups.into_iter().flatten().collect()
    }
}
