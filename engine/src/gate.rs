//! The one path that every call takes: gate, hooks, the call, hooks.
//!
//! ```text
//!  call --> gate (may it?) --> PRE hooks (in order, may refuse) --> the call itself --> POST hooks (told, no say)
//! ```
//!
//! With no gate and no hooks installed this is one look at a flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexus_log::event::Syscall;
use nexus_log::ids::{Inode, Seq};
use parking_lot::RwLock;

use crate::caller::Caller;
use crate::error::{Error, Result};

/// What is being called, by whom, on what.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub syscall: Syscall,
    pub caller: &'a Caller,
    /// The path as given; empty where the caller named an inode.
    pub path: &'a [u8],
    pub inode: Option<Inode>,
}

/// Decides who may do what.
pub trait Gate: Send + Sync {
    fn check(&self, call: &Call<'_>) -> Result<()>;
}

/// Looks on, and may refuse before.
pub trait Hook: Send + Sync {
    fn pre(&self, call: &Call<'_>) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// `outcome` is the position of the record, if the call made one. Never changes the result.
    fn post(&self, call: &Call<'_>, outcome: std::result::Result<Option<Seq>, &Error>) {
        let _ = (call, outcome);
    }
}

/// Proof that the gate let a call through; nothing changes a zone without one.
#[derive(Debug)]
pub(crate) struct Authorized {
    pub(crate) rank: Rank,
}

/// What may hold a change back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A caller's: waits while the tables are behind, and leaves the disk's reserve alone.
    Call,
    /// Of the engine's upkeep, on which relief may wait: does not wait, but leaves the reserve alone.
    Upkeep,
    /// What must be on record before anything else: may use the reserve.
    Reserve,
}

/// What is installed in front of a zone's calls.
#[derive(Default)]
pub(crate) struct Dispatch {
    /// There may be a gate or hooks: a call need not look for them where this is not set.
    guarded: AtomicBool,
    gate: RwLock<Option<Arc<dyn Gate>>>,
    hooks: RwLock<Arc<[Arc<dyn Hook>]>>,
}

impl Dispatch {
    pub(crate) fn install_gate(&self, gate: Option<Arc<dyn Gate>>) {
        // Set for good: whoever installs and removes gates pays for looking.
        self.guarded.store(true, Ordering::Release);
        *self.gate.write() = gate;
    }

    pub(crate) fn install_hooks(&self, hooks: Vec<Arc<dyn Hook>>) {
        self.guarded.store(true, Ordering::Release);
        *self.hooks.write() = hooks.into();
    }

    /// The gate by itself, for calls that find things which the caller did not name.
    pub(crate) fn gate(&self) -> Option<Arc<dyn Gate>> {
        self.gate.read().clone()
    }

    /// Takes a call through. `seq_of` tells the position of its record from its reply.
    pub(crate) fn call<T>(
        &self,
        call: &Call<'_>,
        seq_of: impl Fn(&T) -> Option<Seq>,
        run: impl FnOnce(&Authorized) -> Result<T>,
    ) -> Result<T> {
        if !self.guarded.load(Ordering::Acquire) {
            return run(&Authorized { rank: Rank::Call });
        }
        let gate = self.gate.read().clone();
        if let Some(gate) = gate {
            gate.check(call)?;
        }
        let hooks = Arc::clone(&self.hooks.read());
        hooks.iter().try_for_each(|hook| hook.pre(call))?;
        let result = run(&Authorized { rank: Rank::Call });
        hooks.iter().for_each(|hook| hook.post(call, result.as_ref().map(&seq_of)));
        result
    }

    /// Asks gate and hooks before a step of a call that has several.
    pub(crate) fn admit(&self, call: &Call<'_>) -> Result<()> {
        if !self.guarded.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check(call)?;
        let hooks = Arc::clone(&self.hooks.read());
        hooks.iter().try_for_each(|hook| hook.pre(call))
    }

    pub(crate) fn has_gate(&self) -> bool {
        self.gate.read().is_some()
    }

    /// Asks the gate alone: for what is part of a call that is let through already.
    pub(crate) fn check(&self, call: &Call<'_>) -> Result<()> {
        let gate = self.gate.read().clone();
        gate.map_or(Ok(()), |gate| gate.check(call))
    }

    /// What the engine does of itself passes no gate.
    pub(crate) fn internal(rank: Rank) -> Authorized {
        Authorized { rank }
    }
}
