//! Tails of inodes and subtrees against an oracle: the tree that the log's events make, looked through from the top.

use std::collections::{BTreeMap, BTreeSet};

use nexus_engine::watch::{Filter, Scope, TailFrom};
use nexus_engine::{Durability, Entry, NewFile};
use nexus_log::env::Env;
use nexus_log::event::Event;
use nexus_log::ids::{Inode, Seq};
use nexus_log::record::Record;
use nexus_projections::store::BTreeStore;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::long;
use nexus_tests::model::Tree;
use nexus_tests::model::replay::Replay;
use nexus_tests::op::{Name, Op};
use nexus_tests::rig::{Rig, Tables, manual};

use super::{DIR, drain, event, last, me, seqs, tail, zone_on};

/// All that an event names.
fn named(event: &Event) -> Vec<u64> {
    match event {
        Event::ZoneCreated(_) => vec![1],
        Event::FileCreated(e) => vec![e.inode, e.parent],
        Event::DirectoryCreated(e) => vec![e.inode, e.parent],
        Event::SymlinkCreated(e) => vec![e.inode, e.parent],
        Event::Linked(e) => vec![e.inode, e.parent],
        Event::Unlinked(e) => vec![e.inode, e.parent],
        Event::DirectoryRemoved(e) => vec![e.inode, e.parent],
        Event::Renamed(e) => vec![e.inode, e.from_parent, e.to_parent, e.replaced],
        Event::AttributesSet(e) => vec![e.inode],
        Event::XattrSet(e) => vec![e.inode],
        Event::XattrRemoved(e) => vec![e.inode],
        Event::Written(e) => vec![e.inode],
        Event::Truncated(e) => vec![e.inode],
        Event::OrphansReleased(e) => e.inodes.clone(),
        Event::Refused(e) => vec![e.inode],
        Event::RefusalsCounted(e) => e.counts.iter().map(|count| count.inode).collect(),
        Event::NodeCreated(e) => vec![e.inode, e.parent],
        Event::Exchanged(e) => vec![e.inode, e.parent, e.other, e.other_parent],
        Event::DetachedCreated(e) => vec![e.inode],
        Event::Attached(e) => vec![e.inode, e.parent],
        Event::Punched(e) => vec![e.inode],
        Event::PolicySet(e) => vec![e.inode],
        Event::Accessed(e) => e.inodes.iter().map(|count| count.inode).collect(),
        Event::Recovered(_)
        | Event::AuditGap(_)
        | Event::TimeClosed(_)
        | Event::ClockHeld(_)
        | Event::ClockConfirmed(_)
        | Event::UsageCounted(_)
        | Event::RequestAnswered(_)
        | Event::ContentStored(_) => Vec::new(),
    }
}

fn below(tree: &Tree, top: u64, found: &mut BTreeSet<u64>) {
    let Some(node) = tree.nodes.get(&top) else { return };
    found.insert(top);
    for (_, inode) in node.entries() {
        below(tree, inode, found);
    }
}

/// The events that a tail of the subtree should tell.
fn expected(zone: &nexus_engine::Zone, top: u64, from: Seq) -> Vec<(u64, u16)> {
    let mut wanted = Vec::new();
    let mut before = BTreeSet::new();
    let mut replay = Replay::new(zone.log());
    let visit = |record: &Record, tree: &Tree| {
        let mut after = BTreeSet::new();
        below(tree, top, &mut after);
        // The watched directory is in its own subtree, also when it is gone.
        let inside = |inode: &u64| *inode == top || before.contains(inode) || after.contains(inode);
        for (index, event) in record.events.iter().enumerate() {
            if record.seq >= from && named(event).iter().any(inside) {
                wanted.push((record.seq.0, index as u16));
            }
        }
        before = after;
    };
    replay.run(Seq::FIRST, Seq::MAX, visit).unwrap();
    wanted
}

/// Some directory goes into some other, which the zone may refuse.
fn move_a_directory(tree: &Tree, generator: &mut Generator) -> Op {
    let mut names = Vec::new();
    let mut directories = Vec::new();
    for (inode, node) in tree.nodes.iter().filter(|(_, node)| node.is_directory()) {
        directories.push(*inode);
        let entries = node.entries().filter(|(_, child)| tree.nodes[child].is_directory());
        names.extend(entries.map(|(name, _)| Name::In(*inode, name.clone())));
    }
    let into = directories[generator.below(directories.len() as u64) as usize];
    let to = Name::In(into, format!("moved{}", generator.below(30)).into_bytes());
    match names.len() as u64 {
        0 => Op::Mkdir { name: to, new: NewFile::default(), exclusive: true },
        count => {
            let from = names.swap_remove(generator.below(count) as usize);
            Op::Rename { from, to, mode: nexus_engine::RenameMode::NoReplace }
        }
    }
}

#[test]
fn a_tail_of_a_subtree_tells_what_is_below_before_or_after_and_nothing_else() {
    let (mut told_in_all, mut renames) = (0, 0);
    for seed in 0..if long() { 200 } else { 8 } {
        let (env, _, clock) = Env::simulated(seed);
        let tables = Tables::Memory(BTreeStore::default());
        let mut rig = Rig::open(env, DIR.as_ref(), tables, manual(30_000, 0, 0)).unwrap();
        let mut generator = Generator::new(seed, Scale { large_per_mille: 0, huge_per_mille: 0 });
        for step in 0..500 {
            rig.step(&mut generator);
            if step % 7 == 0 {
                rig.hold_or_release(&mut generator);
            }
            if step % 10 == 0 {
                let op = move_a_directory(&rig.tree, &mut generator);
                rig.run(&op, 0, Durability::Durable);
            }
            clock.advance(generator.below(100_000_000));
        }
        rig.zone.log().flush().unwrap();
        let log = rig.zone.log();
        let mut directories: BTreeMap<u64, Seq> = BTreeMap::from([(1, Seq::FIRST)]);
        for record in log.records(Seq::FIRST) {
            let record = record.unwrap();
            for event in &record.events {
                match event {
                    Event::DirectoryCreated(e) => drop(directories.insert(e.inode, record.seq)),
                    Event::Renamed(e) => renames += usize::from(directories.contains_key(&e.inode)),
                    _ => {}
                }
            }
        }
        // Every directory that there ever was, from its birth on and from anywhere.
        for (top, born) in directories {
            for from in [Seq::FIRST, born, Seq(1 + generator.below(log.flushed().0))] {
                let filter = Filter { scope: Scope::Subtree(Inode(top)), ..Filter::default() };
                let items = drain(&mut tail(&rig.zone, TailFrom::Seq(from), filter));
                let matched = items.into_iter().filter_map(event);
                let told: Vec<(u64, u16)> =
                    matched.flat_map(|m| m.indexes.iter().map(|i| (m.record.seq.0, *i)).collect::<Vec<_>>()).collect();
                assert_eq!(told, expected(&rig.zone, top, from), "seed {seed}, directory {top} from {from}");
                told_in_all += told.len();
            }
        }
    }
    assert!(told_in_all > 1000 && renames > 100, "{told_in_all} events, {renames} renames of directories");
}

#[test]
fn a_tail_of_an_inode_tells_what_names_it() {
    let (env, _, _) = Env::simulated(77);
    let tables = Tables::Memory(BTreeStore::default());
    let mut rig = Rig::open(env, DIR.as_ref(), tables, manual(30_000, 0, 0)).unwrap();
    let mut generator = Generator::new(77, Scale { large_per_mille: 0, huge_per_mille: 0 });
    (0..400).for_each(|_| drop(rig.step(&mut generator)));
    rig.zone.log().flush().unwrap();
    let mut wanted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for record in rig.zone.log().records(Seq::FIRST) {
        let record = record.unwrap();
        let inodes: BTreeSet<u64> = record.events.iter().flat_map(named).filter(|inode| *inode != 0).collect();
        inodes.into_iter().for_each(|inode| wanted.entry(inode).or_default().push(record.seq.0));
    }
    assert!(wanted.len() > 20);
    for (inode, seqs) in wanted {
        let filter = Filter { scope: Scope::Inode(Inode(inode)), ..Filter::default() };
        assert_eq!(super::seqs(&mut tail(&rig.zone, TailFrom::Beginning, filter)), seqs, "inode {inode}");
    }
}

/// A refusal may name a directory that is gone by then. A tail that knew it must not tell more than one that begins there.
#[test]
fn a_directory_that_is_gone_is_below_nothing_whoever_remembers_it() {
    let (env, _, _) = Env::simulated(78);
    let (zone, me) = (zone_on(&env), me());
    let agent = Some(String::from("me"));
    let filter = Filter { scope: Scope::Subtree(Inode::ROOT), agent, ..Filter::default() };
    let another = nexus_engine::Caller::agent("another").unwrap();
    let durable = Durability::Durable;
    let make = |path: &str| zone.mkdir(&me, path, &NewFile::default(), true, durable).unwrap().reply.inode;
    make("/other");
    let (removed, replaced) = (make("/removed"), make("/replaced"));
    // It knows the two, and not the one that moves: that would make it forget.
    let mut knows = tail(&zone, TailFrom::Seq(last(&zone).prev()), filter.clone());
    assert_eq!(seqs(&mut knows).len(), 2);
    zone.rmdir(&another, "/removed", durable).unwrap();
    zone.rename(&another, "/other", "/replaced", nexus_engine::RenameMode::Replace, durable).unwrap();
    let gone = last(&zone);
    let refused = |inode| zone.unlink(&me, Entry::In(inode, b"x"), durable).unwrap_err();
    for inode in [removed, replaced] {
        assert_eq!(refused(inode).kind, nexus_log::event::Reason::NotFound);
    }
    zone.log().flush().unwrap();
    assert_eq!(last(&zone).0, gone.0 + 2, "each refusal is a record");
    assert!(seqs(&mut knows).is_empty());
    assert!(seqs(&mut tail(&zone, TailFrom::Seq(gone.next()), filter)).is_empty());
}
