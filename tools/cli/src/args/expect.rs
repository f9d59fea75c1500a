//! What a changing verb expects to find, as typed. Each verb takes the options that mean something for it.

use clap::Args;
use nexus_engine::{CallOptions, Durability, Expect};

use crate::failure::{Failure, Result};

/// Of a verb that changes what exists.
#[derive(Debug, Default, Args)]
pub(crate) struct ExistingArgs {
    /// Only if it is at this version, which `stat` shows; otherwise nothing happens (version_conflict)
    #[arg(long, value_name = "N")]
    pub(crate) if_version: Option<u64>,
    /// Only if it exists; otherwise nothing happens (not_found)
    #[arg(long)]
    pub(crate) if_exists: bool,
}

/// Of a verb that makes something new.
#[derive(Debug, Default, Args)]
pub(crate) struct NewArgs {
    /// Only if the name is free; otherwise nothing happens (exists)
    #[arg(long)]
    pub(crate) if_absent: bool,
}

/// Of a verb that changes what exists or makes it.
#[derive(Debug, Default, Args)]
pub(crate) struct ExpectArgs {
    #[command(flatten)]
    pub(crate) existing: ExistingArgs,
    /// Only if the name is free; otherwise nothing happens (exists)
    #[arg(long, conflicts_with_all = ["if_version", "if_exists"])]
    pub(crate) if_absent: bool,
}

impl ExistingArgs {
    pub(crate) fn expect(&self) -> Expect {
        Expect { version: self.if_version, exists: self.if_exists.then_some(true) }
    }
}

impl NewArgs {
    pub(crate) fn expect(&self) -> Expect {
        Expect { version: None, exists: self.if_absent.then_some(false) }
    }
}

impl ExpectArgs {
    pub(crate) fn expect(&self) -> Expect {
        if self.if_absent { Expect { version: None, exists: Some(false) } } else { self.existing.expect() }
    }
}

/// A durable call that expects this. One expectation is about one thing, so a verb that was given several takes none.
pub(crate) fn options(expect: Expect, things: usize) -> Result<CallOptions> {
    if expect != Expect::default() && things != 1 {
        return Err(Failure::Usage("--if-version, --if-absent and --if-exists are about one path; give one".into()));
    }
    Ok(CallOptions { durability: Durability::Durable, expect })
}
