//! How reads are recorded, by path: a policy belongs to an inode and holds for what is below it, until another does.

use std::sync::atomic::{AtomicU8, Ordering};

use nexus_log::event::{PolicySet, ReadPolicy, Syscall};
use nexus_log::ids::Inode;
use nexus_projections::loads::Prior;
use nexus_projections::row::PolicyRow;
use nexus_projections::table::{RowKey, RowRange, Table};
use nexus_projections::view::View as TableView;
use nexus_projections::zone_tables::ZoneTables;
use parking_lot::Mutex;

use super::calls::{Done, Durability};
use super::errors::{damaged, store_error};
use super::{Inner, Zone};
use crate::caller::Caller;
use crate::decide::{About, Decision, Operation, Request, RequestDigest, Turn};
use crate::error::Result;
use crate::limits::DEPTH_MAX;
use crate::lookup::{Found, Stop, inode_row, resolve};
use crate::path::Target;
use crate::view::answer;

/// What holds where no policy was set.
pub const READ_POLICY_DEFAULT: ReadPolicy = ReadPolicy::Summary;

/// How reads of something are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyInForce {
    pub reads: ReadPolicy,
    /// Where it was set: on the inode itself, or on something above it; `None` where nothing was set.
    pub from: Option<Inode>,
}

/// The policies of the zone, as far as a read must know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effective {
    /// One for all: none is set but on the root directory.
    Everywhere(ReadPolicy),
    ByInode,
}

const BY_INODE: u8 = 0;

/// [`Effective`], to be read without a lock.
#[derive(Debug)]
pub(super) struct Policies {
    code: AtomicU8,
    /// Who looks last has seen all that was set before.
    looking: Mutex<()>,
}

impl Default for Policies {
    fn default() -> Policies {
        Policies { code: AtomicU8::new(BY_INODE), looking: Mutex::default() }
    }
}

impl Policies {
    pub(super) fn effective(&self) -> Effective {
        match ReadPolicy::from_code(self.code.load(Ordering::Acquire).into()) {
            Some(policy) => Effective::Everywhere(policy),
            None => Effective::ByInode,
        }
    }

    /// Looks at the rows again.
    pub(super) fn refresh(&self, tables: &ZoneTables) -> Result<()> {
        let _alone = self.looking.lock();
        // Whatever is read while this looks is looked up.
        self.code.store(BY_INODE, Ordering::Release);
        let view = tables.view(tables.applied());
        let mut rows = view.scan(&RowRange::all(Table::Policy));
        let code = match (rows.next().transpose().map_err(store_error)?, rows.next().is_some()) {
            (None, _) => READ_POLICY_DEFAULT as u8,
            (Some((key, version)), false) if key == RowKey::policy(Inode::ROOT) => {
                PolicyRow::decode(&version.value).map_err(damaged)?.reads as u8
            }
            _ => BY_INODE,
        };
        self.code.store(code, Ordering::Release);
        Ok(())
    }
}

/// Sets the policy of what `target` names; a symlink in the last place is followed.
struct SetPolicy<'a> {
    target: Target<'a>,
    /// `None`: what holds above holds.
    reads: Option<ReadPolicy>,
}

impl Operation for SetPolicy<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let inode = resolve(rows, self.target, true)?.inode;
        if own(rows, inode)? == self.reads {
            return Ok(Decision::nothing(inode));
        }
        let reads = self.reads.map(ReadPolicy::code);
        Ok(Decision::one(PolicySet { inode: inode.0, path: self.target.path().to_vec(), reads }, inode))
    }
}

impl Request for SetPolicy<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::SetPolicy
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: true }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.maybe(self.reads.map(|reads| reads.code().into()));
    }
}

fn own<P: Prior>(rows: &P, inode: Inode) -> Found<Option<ReadPolicy>, P> {
    let Some(version) = rows.get(&RowKey::policy(inode)).map_err(Stop::Miss)? else { return Ok(None) };
    Ok(Some(PolicyRow::decode(&version.value)?.reads))
}

/// The policy in force for `inode`: policies from `policies`, what is above what from `tree`. `None` where the inode is
/// not in the tree.
fn in_force(policies: &TableView, tree: &TableView, inode: Inode) -> Found<Option<PolicyInForce>, TableView> {
    let mut at = inode;
    for _ in 0..=DEPTH_MAX {
        if let Some(reads) = own(policies, at)? {
            return Ok(Some(PolicyInForce { reads, from: Some(at) }));
        }
        if at == Inode::ROOT {
            break;
        }
        match inode_row(tree, at)? {
            Some(node) => at = node.row.parent,
            None if at == inode => return Ok(None),
            // Its directory is gone: what held there is no more.
            None => at = Inode::ROOT,
        }
    }
    Ok(Some(PolicyInForce { reads: READ_POLICY_DEFAULT, from: None }))
}

/// As [`in_force`], for showing.
pub(crate) fn policy_in_force(tables: &TableView, target: Target<'_>) -> Result<(Inode, PolicyInForce)> {
    let inode = answer(resolve(tables, target, true))?.inode;
    let policy = answer(in_force(tables, tables, inode))?;
    Ok((inode, policy.unwrap_or(PolicyInForce { reads: READ_POLICY_DEFAULT, from: None })))
}

impl Zone {
    /// Sets how reads of `target` and of what is below it are recorded; `None`: as those of what is above it.
    pub fn set_policy<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        reads: Option<ReadPolicy>,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let done = self.change(caller, &SetPolicy { target, reads }, None, durability.into());
        // Also where the outcome is not known.
        self.inner.policies.refresh(&self.inner.core().tables)?;
        done
    }
}

impl Inner {
    /// The policy for a read of `inode` in `tables`. A policy governs reads of the past too, from where the inode is now
    /// and from where it was: the stricter one holds.
    pub(super) fn policy_of(&self, inode: Inode, tables: &TableView, past: bool) -> Result<ReadPolicy> {
        let core = self.core();
        let newest = core.tables.view(core.newest());
        let now = answer(in_force(&newest, &newest, inode))?.map(|policy| policy.reads);
        let then = match past || now.is_none() {
            true => answer(in_force(&newest, tables, inode))?.map(|policy| policy.reads),
            false => None,
        };
        Ok(now.max(then).unwrap_or(READ_POLICY_DEFAULT))
    }
}
