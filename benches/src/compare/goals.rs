//! The goals: what each is called, how good it must be, and by which of our figures it is met.

use super::engines::Who;

/// On which side of the goal the value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Bound {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Bound::AtLeast => ">=",
            Bound::Above => ">",
            Bound::AtMost => "<=",
            Bound::Below => "<",
        }
    }

    pub(super) fn is_met(self, value: f64, goal: f64) -> bool {
        match self {
            Bound::AtLeast => value >= goal,
            Bound::Above => value > goal,
            Bound::AtMost => value <= goal,
            Bound::Below => value < goal,
        }
    }
}

/// One goal.
pub(super) struct Goal {
    pub(super) id: Id,
    pub(super) name: &'static str,
    pub(super) bound: Bound,
    pub(super) goal: f64,
    pub(super) unit: &'static str,
}

macro_rules! goals {
    ($($id:ident: $name:literal, $bound:ident $goal:expr, $unit:literal;)*) => {
        /// Which goal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Id { $($id,)* }

        /// All of them, in the order in which they are shown.
        pub(super) const GOALS: &[Goal] =
            &[$(Goal { id: Id::$id, name: $name, bound: Bound::$bound, goal: $goal, unit: $unit },)*];
    };
}

/// What a zone may hold in memory by the limits that are named: rows, the tables' cache, what waits for the disk; and as
/// much again as the program itself and its allocator's gaps take.
const MEMORY_MIB: f64 = {
    use nexus_log::limits::{APPEND_QUEUE_BYTES_MAX, INFLIGHT_BYTES_MAX};
    use nexus_projections::limits::{MEMORY_BYTES_MAX, STORE_CACHE_BYTES};
    const PROGRAM_BYTES: u64 = 64 << 20;
    let bytes = MEMORY_BYTES_MAX as u64 + STORE_CACHE_BYTES + APPEND_QUEUE_BYTES_MAX as u64 + INFLIGHT_BYTES_MAX;
    ((bytes + PROGRAM_BYTES) >> 20) as f64
};

goals! {
    CreateRing1: "durable create 1 KiB to the ring, 1 thread", AtLeast 0.85, "ratio";
    CreateRing8: "durable create 1 KiB to the ring, 8 threads", AtLeast 0.7, "ratio";
    CreateRing64: "durable create 1 KiB to the ring, 64 threads", AtLeast 0.6, "ratio";
    CreateFjall1: "durable create 1 KiB to fjall, 1 thread", Above 1.0, "ratio";
    CreateFjall8: "durable create 1 KiB to fjall, 8 threads", Above 1.0, "ratio";
    CreateFjall64: "durable create 1 KiB to fjall, 64 threads", Above 1.0, "ratio";
    CreateRedb1: "durable create 1 KiB to redb, 1 thread", Above 1.0, "ratio";
    CreateRedb8: "durable create 1 KiB to redb, 8 threads", Above 1.0, "ratio";
    CreateRedb64: "durable create 1 KiB to redb, 64 threads", Above 1.0, "ratio";
    CreateSqlite1: "durable create 1 KiB to SQLite equally batched, 1 thread", Above 1.0, "ratio";
    CreateSqlite8: "durable create 1 KiB to SQLite equally batched, 8 threads", Above 1.0, "ratio";
    CreateSqlite64: "durable create 1 KiB to SQLite equally batched, 64 threads", AtLeast 2.5, "ratio";
    SustainedRing: "durable create 1 KiB sustained for 60 s to the ring, 64 threads", AtLeast 0.35, "ratio";
    SustainedFjall: "durable create 1 KiB sustained for 60 s to fjall, 64 threads", Above 1.0, "ratio";
    AcceptedBurst: "accepted create 1 KiB, burst", AtLeast 150_000.0, "ops/s";
    AcceptedSustained: "accepted create 1 KiB, sustained for 60 s", AtLeast 60_000.0, "ops/s";
    Content1MiB: "durable content of 1 MiB to the raw sequential rate", AtLeast 0.7, "ratio";
    WarmRead: "warm read", AtLeast 2.0, "GB/s";
    StatHot: "stat by path, hot", Below 0.5, "us";
    Read1KiB: "read of 1 KiB by path, hot", Below 2.0, "us";
    Readdir: "readdir", Above 2_000_000.0, "entries/s";
    PastRatio: "point read of the past to the same at latest", AtMost 4.0, "ratio";
    PastRatioAim: "point read of the past to the same at latest, the aim", AtMost 2.0, "ratio";
    PastMicros: "point read of the past, warm", Below 8.0, "us";
    PastListing: "listing of the past, after much work elsewhere to before", AtMost 1.5, "ratio";
    LatestListing: "listing at latest, of a directory that held 100 times as much to one that never did", AtMost 1.5, "ratio";
    DecodeApply: "decode and apply into the memtable, 1 core", AtLeast 300_000.0, "records/s";
    Rebuild: "full rebuild", AtLeast 60_000.0, "records/s";
    Reopen: "reopen after SIGKILL with 1,000,000 files", Below 1.0, "s";
    Overhead: "bytes at rest per small operation beside its content", AtMost 800.0, "bytes";
    DevicePerByte64KiB: "device bytes per byte stored, files of 64 KiB", AtMost 1.3, "ratio";
    Memory: "resident memory with 1,000,000 files, against the named limits", AtMost MEMORY_MIB, "MiB";
    LargeDurable: "cost of a durable create with 10,000,000 files to that with 10,000", AtMost 1.5, "ratio";
    LargeHot: "cost of a hot stat with 10,000,000 files to that with 10,000", AtMost 1.5, "ratio";
    PathHistory: "history of a path in a log of 10,000,000 records", Below 50.0, "ms";
}

/// The goals that a burst of `threads` threads answers, and by its ratio to whom.
pub(super) fn of_burst(threads: usize) -> Vec<(Id, Who)> {
    let whos = [Who::Ring, Who::Fjall, Who::Redb, Who::Sqlite];
    let ids = match threads {
        1 => [Id::CreateRing1, Id::CreateFjall1, Id::CreateRedb1, Id::CreateSqlite1],
        8 => [Id::CreateRing8, Id::CreateFjall8, Id::CreateRedb8, Id::CreateSqlite8],
        64 => [Id::CreateRing64, Id::CreateFjall64, Id::CreateRedb64, Id::CreateSqlite64],
        _ => return Vec::new(),
    };
    ids.into_iter().zip(whos).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_goals_have_one_name_and_each_number_of_threads_answers_its_own() {
        let names: BTreeSet<&str> = GOALS.iter().map(|goal| goal.name).collect();
        assert_eq!(names.len(), GOALS.len());
        let answered: BTreeSet<Id> = [1, 8, 64].into_iter().flat_map(of_burst).map(|(id, _)| id).collect();
        assert_eq!(answered.len(), 12);
        assert!(of_burst(2).is_empty());
        for threads in [1, 8, 64] {
            for (id, who) in of_burst(threads) {
                let name = GOALS.iter().find(|goal| goal.id == id).unwrap().name.to_lowercase();
                assert!(name.contains(&format!(", {threads} thread")) && name.contains(who.name()), "{name}");
            }
        }
    }

    #[test]
    fn a_bound_says_on_which_side_the_goal_is_met() {
        for (bound, at, above) in [
            (Bound::AtLeast, true, true),
            (Bound::Above, false, true),
            (Bound::AtMost, true, false),
            (Bound::Below, false, false),
        ] {
            assert_eq!((bound.is_met(2.0, 2.0), bound.is_met(2.1, 2.0)), (at, above), "{}", bound.sign());
        }
    }
}
