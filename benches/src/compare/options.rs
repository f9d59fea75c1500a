//! How much is measured.

use std::path::PathBuf;
use std::time::Duration;

use crate::turns::TURN;

/// What to measure, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// A directory on the disk to measure; a folder of its own is made in it and removed again.
    pub dir: PathBuf,
    /// Numbers of threads of the bursts. Goals are set for 1, 8 and 64.
    pub threads: Vec<usize>,
    pub scale: Scale,
}

/// How long and how much.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Turns of each contender, one to warm up not counted.
    pub rounds: usize,
    /// Length of a turn.
    pub turn: Duration,
    /// Of ours under load without a pause, its tables' debts included.
    pub sustained: Duration,
    /// Length of each burst of accepted operations.
    pub accepted_burst: Duration,
    /// Files of the zone that hot reads are measured in.
    pub files_small: u64,
    /// Names that came and went in a directory before it is listed.
    pub names_gone: u64,
    /// Operations elsewhere between two listings of the past.
    pub files_elsewhere: u64,
    /// Records decoded and applied into one memtable.
    pub records_applied: u64,
    /// Files of the zone that is killed and reopened, and held against one of [`Scale::FILES_FEW`].
    pub files: u64,
}

impl Scale {
    /// What the cost in a zone of many files is held against.
    pub const FILES_FEW: u64 = 10_000;

    /// About half an hour.
    #[must_use]
    pub fn full() -> Scale {
        Scale {
            rounds: 20,
            turn: TURN,
            sustained: Duration::from_secs(60),
            accepted_burst: Duration::from_secs(2),
            files_small: 20_000,
            names_gone: 20_000,
            files_elsewhere: 200_000,
            records_applied: 200_000,
            files: 1_000_000,
        }
    }

    /// About two minutes.
    #[must_use]
    pub fn quick() -> Scale {
        Scale {
            rounds: 4,
            sustained: Duration::from_secs(6),
            accepted_burst: Duration::from_secs(1),
            files_elsewhere: 50_000,
            records_applied: 100_000,
            files: 100_000,
            ..Scale::full()
        }
    }

    /// So short that figures mean nothing: for tests.
    #[must_use]
    pub fn tiny() -> Scale {
        Scale {
            rounds: 1,
            turn: Duration::from_millis(20),
            sustained: Duration::from_millis(200),
            accepted_burst: Duration::from_millis(50),
            files_small: 60,
            names_gone: 100,
            files_elsewhere: 200,
            records_applied: 300,
            files: 300,
        }
    }
}
