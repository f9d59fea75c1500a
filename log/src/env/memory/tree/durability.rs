//! What becomes of names at a directory sync and at a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{NodeId, ROOT, State};

impl State {
    /// Makes the directory's changes up to number `through` durable, and first what they wait for (invariant 2).
    pub(super) fn persist_names(&mut self, node: NodeId, through: u64) {
        while let Some(directory) = self.directories.get_mut(&node) {
            let directory = Arc::make_mut(directory);
            if directory.pending.first().is_none_or(|c| c.number > through) {
                return;
            }
            let change = directory.pending.remove(0);
            if let Some(target) = change.after {
                self.persist_names(target, change.number);
            }
            change.apply(&mut self.directory_mut(node).durable);
        }
    }

    /// The power goes and comes back: `choose` says what of the unsynced names and content was kept.
    pub(in crate::env::memory) fn power_cut(&mut self, choose: &mut dyn FnMut() -> bool) {
        for file in self.files.values_mut().filter(|f| f.handles > 0) {
            Arc::make_mut(file).handles = 0;
        }
        self.settle_names(choose);
        self.collect();
        for file in self.files.values_mut().filter(|f| !f.is_settled()) {
            let file = Arc::make_mut(file);
            file.settle(choose);
            file.drop_cache();
        }
        self.generation += 1;
        self.locks.clear();
        self.faults.power_returns();
    }

    fn settle_names(&mut self, choose: &mut dyn FnMut() -> bool) {
        let mut kept = BTreeMap::new();
        for (&node, directory) in &self.directories {
            let count = directory.pending.iter().take_while(|_| choose()).count();
            kept.insert(node, count);
        }
        while let Some((node, count)) = self.first_premature(&kept) {
            kept.insert(node, count);
        }
        for (node, directory) in &mut self.directories {
            let directory = Arc::make_mut(directory);
            for change in directory.pending.drain(..).take(kept[node]) {
                change.apply(&mut directory.durable);
            }
            directory.names = directory.durable.clone();
        }
    }

    /// A directory that keeps a change whose other half is not kept, and how many it may keep.
    fn first_premature(&self, kept: &BTreeMap<NodeId, usize>) -> Option<(NodeId, usize)> {
        let lost = |target: NodeId, number| {
            self.directories.get(&target).is_some_and(|d| d.pending[kept[&target]..].iter().any(|c| c.number == number))
        };
        self.directories.iter().find_map(|(&node, directory)| {
            let mut changes = directory.pending[..kept[&node]].iter();
            changes.position(|c| c.after.is_some_and(|target| lost(target, c.number))).map(|at| (node, at))
        })
    }

    /// Forgets what no name and no handle leads to, and counts the visible names of the rest.
    pub(super) fn collect(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut todo = vec![ROOT];
        let mut links = BTreeMap::<NodeId, u32>::new();
        while let Some(node) = todo.pop() {
            let Some(directory) = self.directories.get(&node) else { continue };
            for &node in directory.names.values() {
                *links.entry(node).or_default() += 1;
            }
            let pending = directory.pending.iter().filter_map(|c| c.put.as_ref().map(|(_, node)| node));
            for &node in directory.names.values().chain(directory.durable.values()).chain(pending) {
                if reached.insert(node) {
                    todo.push(node);
                }
            }
        }
        self.directories.retain(|node, _| reached.contains(node));
        self.files.retain(|node, file| reached.contains(node) || file.handles > 0);
        for (node, file) in &mut self.files {
            let count = links.get(node).copied().unwrap_or(0);
            if file.links != count {
                Arc::make_mut(file).links = count;
            }
        }
    }
}
