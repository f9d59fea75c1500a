//! One generation of a zone's tables: its memtables and its rows in the store.
//!
//! Three parties meet here and none waits for another's I/O: the sequencer inserts, the flusher seals and writes, and
//! readers take the list of memtables as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nexus_log::ids::Seq;
use parking_lot::{Mutex, RwLock};

use crate::layout::Place;
use crate::levels::Levels;
use crate::put::WriteSet;
use crate::store::Store;

/// Whether anybody will look for this generation once its handles are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// What the zone's tables are, also after reopening.
    Live,
    /// Being built, or replaced by another one.
    Passing,
}

pub(crate) struct Generation {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) place: Place,
    levels: RwLock<Arc<Levels>>,
    /// The newest record inserted as a whole.
    last: AtomicU64,
    /// No run that was begun goes beyond this record. Raised before the run begins.
    reaching: AtomicU64,
    /// Held by the writer of the active memtable while it inserts, and by whoever replaces that memtable.
    inserting: Mutex<()>,
    /// Held by the flusher for one step.
    pub(crate) flushing: Mutex<()>,
    pub(crate) standing: Mutex<Standing>,
}

impl Generation {
    pub(crate) fn new(store: Arc<dyn Store>, place: Place, applied: Seq, standing: Standing) -> Generation {
        Generation {
            store,
            place,
            levels: RwLock::new(Arc::new(Levels::new(applied))),
            last: AtomicU64::new(applied.0),
            reaching: AtomicU64::new(applied.0),
            inserting: Mutex::new(()),
            flushing: Mutex::new(()),
            standing: Mutex::new(standing),
        }
    }

    pub(crate) fn levels(&self) -> Arc<Levels> {
        Arc::clone(&self.levels.read())
    }

    pub(crate) fn last(&self) -> Seq {
        Seq(self.last.load(Ordering::Acquire))
    }

    /// The memtables, and a position at most `at` that they are good for.
    pub(crate) fn stand(&self, at: Seq) -> (Seq, Arc<Levels>) {
        // The position first: a record published before the list was taken is in the list or in the store. And once
        // more: where records were dropped in between, the list knows nothing of them.
        let at = at.min(self.last());
        let levels = self.levels();
        (at.min(self.last()), levels)
    }

    pub(crate) fn reaching(&self) -> Seq {
        Seq(self.reaching.load(Ordering::Acquire))
    }

    pub(crate) fn reach(&self, seq: Seq) {
        self.reaching.store(seq.0, Ordering::Release);
    }

    pub(crate) fn insert(&self, set: WriteSet) {
        self.insert_in_steps(set, || {});
    }

    /// `pause` is called between the steps that a reader may see.
    pub(crate) fn insert_in_steps(&self, set: WriteSet, pause: impl Fn()) {
        let _inserting = self.inserting.lock();
        let seq = set.seq;
        assert_eq!(seq, self.last().next(), "records are inserted in order and without holes");
        let levels = self.levels();
        // Before the record can be looked at: an entry from before it would answer for it.
        levels.cache.wrote(&set);
        pause();
        levels.active.insert(set);
        pause();
        self.publish(seq);
    }

    /// Lets views stand at `seq`.
    pub(crate) fn publish(&self, seq: Seq) {
        self.last.store(seq.0, Ordering::Release);
    }

    /// Seals the active memtable if it holds anything and `is_due`.
    pub(crate) fn seal(&self, is_due: impl FnOnce(&Levels) -> bool) {
        let _inserting = self.inserting.lock();
        let levels = self.levels();
        if !levels.active.is_empty() && is_due(&levels) {
            self.replace(Levels::sealed);
        }
    }

    /// Every change of the list passes here, so none is lost.
    pub(crate) fn replace(&self, next: impl FnOnce(&Levels) -> Levels) {
        let mut levels = self.levels.write();
        *levels = Arc::new(next(&levels));
    }

    pub(crate) fn drop_above(&self, seq: Seq) {
        self.drop_above_by(seq, Levels::cut);
    }

    /// `cut` makes the list without the records above its argument.
    pub(crate) fn drop_above_by(&self, seq: Seq, cut: fn(&Levels, Seq) -> Levels) {
        let _inserting = self.inserting.lock();
        if self.last() <= seq {
            return;
        }
        assert!(self.reaching() <= seq, "what is in the store was committed and cannot be dropped");
        // The position first: whoever takes the new list must not read it at a position that it does not have.
        self.last.store(seq.0, Ordering::Release);
        self.replace(|levels| cut(levels, seq));
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // Not before the last view is gone: a reader would lose rows in the middle of a scan.
        if *self.standing.get_mut() == Standing::Passing {
            self.store.set_dead(&[self.place.prefix()]);
        }
    }
}
