//! Where a tail begins, what it says of its way, and where it may resume.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nexus_engine::watch::{
    Credits, Filter, GapReason, Item, Outcome, Scope, Tail, TailFrom, TailOptions, Token, TokenError,
};
use nexus_engine::{At, CommitTime, Durability, NewFile, Zone, open_zone};
use nexus_log::env::Env;
use nexus_log::event::{
    Context, DirectoryCreated, DirectoryRemoved, Event, FileCreated, Reason, Unlinked, ZoneCreated,
};
use nexus_log::ids::{Incarnation, Inode, Seq, Term, ZoneId, ZoneIdentity};
use nexus_log::limits::TAIL_WINDOW_RECORDS_MAX;
use nexus_log::log::Log;
use nexus_log::record::Draft;
use nexus_log::zone_meta::ZoneMeta;
use nexus_projections::store::BTreeStore;
use nexus_projections::zone_tables::ZoneTables;
use nexus_tests::rig::{ROOT, manual};

use super::{DEADLINE, DIR, drain, event, last, me, resumed, seqs, tail, zone_on};

fn make(zone: &Zone, path: &str) -> Seq {
    zone.put(&me(), path, b"x").unwrap().seq.unwrap()
}

/// A zone whose log begins at record 41: what came before is kept elsewhere.
fn begins_at_41() -> Zone {
    let (env, _, _) = Env::simulated(1);
    let dir = Path::new(DIR);
    let options = manual(1 << 20, 0, 0);
    let identity = ZoneIdentity { zone: ZoneId([9; 16]), incarnation: Incarnation(1) };
    let first = Seq(41);
    env.disk.create_dir_all(dir).unwrap();
    let log = Log::create(&env, dir, identity, first, options.log).unwrap();
    let (directory, file) = (Inode::born_at(Seq(42), 0).0, Inode::born_at(Seq(43), 0).0);
    let zone = ZoneCreated { name: "root".into(), mode: 0o755, uid: 0, gid: 0 };
    let (d, f) = (b"d".to_vec(), b"f".to_vec());
    let events: [Event; 5] = [
        zone.into(),
        DirectoryCreated { inode: directory, parent: 1, name: d.clone(), ..Default::default() }.into(),
        FileCreated { inode: file, parent: directory, name: f.clone(), ..Default::default() }.into(),
        Unlinked { inode: file, parent: directory, name: f, ..Default::default() }.into(),
        DirectoryRemoved { inode: directory, parent: 1, name: d, ..Default::default() }.into(),
    ];
    for (n, event) in events.into_iter().enumerate() {
        let seq = Seq(41 + n as u64);
        let position = (seq, Term(1), CommitTime(1_000 + seq.0));
        let context = Context { agent: "system".into(), ..Context::default() };
        log.append(Draft::new(&*env.random, position, &context, &[event], None)).unwrap();
    }
    log.close().unwrap();
    let meta = ZoneMeta { identity, name: "root".into(), created: CommitTime(1), first_seq: first };
    meta.write(&*env.disk, dir).unwrap();
    let store = BTreeStore::default();
    let tables = ZoneTables::open_for(Arc::new(store.clone()), 1, identity).unwrap();
    tables.switch_to(&tables.begin_generation(first.prev()).unwrap()).unwrap();
    drop(tables);
    open_zone(&env, dir, ROOT, Arc::new(store), options).unwrap()
}

#[test]
fn t1_a_tail_from_before_the_first_record_kept_says_so_and_from_there_on_misses_nothing() {
    let zone = begins_at_41();
    let end = last(&zone).0;
    assert_eq!(end, 45);
    let scopes = [Scope::Zone, Scope::Inode(Inode::ROOT), Scope::Subtree(Inode::ROOT)];
    for scope in scopes {
        let filter = Filter { scope, ..Filter::default() };
        for from in 0..=end + 1 {
            let mut began = tail(&zone, TailFrom::Seq(Seq(from)), filter.clone());
            let items = drain(&mut began);
            let compacted = matches!(items[0], Item::Compacted { earliest: Seq(41), image: None });
            assert_eq!(compacted, from < 41, "from {from}: {items:?}");
            let expected: Vec<u64> = match scope {
                Scope::Inode(_) => [41, 42, 45].into_iter().filter(|seq| *seq >= from).collect(),
                _ => (from.max(41)..=end).collect(),
            };
            let told: Vec<u64> = items.into_iter().filter_map(event).map(|m| m.record.seq.0).collect();
            assert_eq!(told, expected, "from {from}");
            // A token of the position before is the same place.
            let token = Token::new(zone.identity(), Seq(from).prev(), &filter).to_string();
            let again = drain(&mut tail(&zone, TailFrom::Token(token), filter.clone()));
            assert_eq!(matches!(again[0], Item::Compacted { .. }), from.max(1) < 41, "from {from}");
            assert_eq!(again.into_iter().filter_map(event).map(|m| m.record.seq.0).collect::<Vec<_>>(), expected);
        }
    }
    assert!(
        !drain(&mut tail(&zone, TailFrom::Beginning, Filter::default()))
            .iter()
            .any(|item| matches!(item, Item::Compacted { .. }))
    );
    let beyond = TailOptions { from: TailFrom::Seq(Seq(end + 2)), ..TailOptions::default() };
    assert_eq!(zone.tail(&me(), beyond).unwrap_err().kind, Reason::Invalid);
}

#[test]
fn t2_a_filtered_tail_resumes_over_long_stretches_of_nothing() {
    let (env, _, _) = Env::simulated(2);
    let zone = zone_on(&env);
    let rare = nexus_engine::Caller::agent("rare").unwrap();
    let file = make(&zone, "/f");
    let inode = zone.view(At::Latest).unwrap().stat(&me(), "/f", true).unwrap().inode;
    let mut expected = Vec::new();
    let records = 13_000;
    for n in 0..records {
        let who = if [17, 4_200, 12_999].contains(&n) { &rare } else { &me() };
        let done = zone.append(who, inode, b"x", Durability::Accepted).unwrap();
        if who == &rare {
            expected.push(done.seq.unwrap());
        }
    }
    zone.log().flush().unwrap();
    let filter = Filter { agent: Some("rare".into()), ..Filter::default() };
    // A consumer that is stopped and started again behind every single item, and keeps nothing but the token.
    let mut told = Vec::new();
    let mut progress = 0;
    let mut now = tail(&zone, TailFrom::Seq(file), filter.clone());
    while now.position() < last(&zone) {
        let before = now.position();
        match now.next(Duration::ZERO).unwrap().expect("there is more to read") {
            Item::Events(matched) => told.push(matched.record.seq),
            Item::Progress(position) => {
                progress += 1;
                assert_eq!(position, now.position());
                assert!(position > before, "an empty stretch still gets it further");
            }
            other => panic!("{other:?}"),
        }
        now = resumed(&zone, &now, &filter);
    }
    assert_eq!(told, expected);
    assert!(progress >= 3, "{progress}");
}

#[test]
fn t4_a_view_and_the_tail_behind_it_are_the_whole_story() {
    let (mut env, _, _) = Env::simulated(3);
    env.clock = Env::real().clock;
    let zone = zone_on(&env);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (zone, stop) = (&zone, &stop);
            scope.spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("/{writer}-{}", n % 20);
                    if n % 3 == 2 {
                        let _ = zone.unlink(&me(), format!("/{writer}-{}", (n / 2) % 20).as_str(), Durability::Durable);
                    } else {
                        zone.put(&me(), name.as_str(), b"x").unwrap();
                    }
                    n += 1;
                }
            });
        }
        for _ in 0..15 {
            let view = zone.view(At::Latest).unwrap();
            let names = |at| -> std::collections::BTreeSet<Vec<u8>> {
                let view = zone.view(at).unwrap();
                view.readdir(&me(), "/", None, 1000).unwrap().into_iter().map(|entry| entry.name).collect()
            };
            let mut state = names(At::Exactly(view.at()));
            let mut follows = tail(&zone, TailFrom::Seq(view.at().next()), Filter::default());
            let until = view.at().0 + 60;
            while follows.position().0 < until {
                let Some(Item::Events(matched)) = follows.next(DEADLINE).unwrap() else { continue };
                for (_, event) in matched.events() {
                    match event {
                        // Each effect exactly once: a creation of what is there, or a removal of what is not, is one
                        // too many or one too few.
                        Event::FileCreated(e) => assert!(state.insert(e.name.clone()), "created twice"),
                        Event::Unlinked(e) => assert!(state.remove(&e.name), "removed twice"),
                        _ => {}
                    }
                }
            }
            assert_eq!(state, names(At::Exactly(follows.position())));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn refused(zone: &Zone, token: String, filter: Filter) -> (Reason, TokenError) {
    let options = TailOptions { from: TailFrom::Token(token), filter, credits: Credits::NONE };
    let error = zone.tail(&me(), options).unwrap_err();
    let why = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<TokenError>());
    (error.kind, *why.expect("the error says why"))
}

#[test]
fn t5_a_token_of_a_fork_of_a_restored_zone_or_of_a_lost_future_is_refused() {
    let (env, disk, _) = Env::simulated(4);
    let zone = zone_on(&env);
    (0..5).map(|n| make(&zone, &format!("/{n}"))).for_each(|seq| assert!(seq > Seq::FIRST));
    let saved = disk.fork();
    let mut whole = tail(&zone, TailFrom::Beginning, Filter::default());
    assert_eq!(seqs(&mut whole).len(), 6);
    let token = whole.token();
    assert!(seqs(&mut resumed(&zone, &whole, &Filter::default())).is_empty());
    // Another zone, a fork for one.
    let (other_env, _, _) = Env::simulated(5);
    let other = zone_on(&other_env);
    let id = zone.identity();
    let whose = refused(&other, token.to_string(), Filter::default());
    assert_eq!(whose, (Reason::CrossZone, TokenError::OtherZone(id.zone)));
    // A restored copy.
    let later = ZoneIdentity { incarnation: Incarnation(id.incarnation.0 + 1), ..id };
    let of_copy = Token::new(later, Seq(3), &Filter::default()).to_string();
    let whose = refused(&zone, of_copy, Filter::default());
    assert_eq!(whose, (Reason::CrossZone, TokenError::OtherIncarnation(later.incarnation)));
    // Another question.
    let filter = Filter { outcome: Some(Outcome::Ok), ..Filter::default() };
    assert_eq!(refused(&zone, token.to_string(), filter), (Reason::Invalid, TokenError::OtherFilter));
    let cut = token.to_string()[..40].to_owned();
    assert_eq!(refused(&zone, cut, Filter::default()), (Reason::Invalid, TokenError::Malformed));
    // The files were put back to an earlier day.
    make(&zone, "/later");
    assert_eq!(seqs(&mut whole).len(), 1);
    let mut env = env.clone();
    env.disk = Arc::new(saved);
    let back = zone_on(&env);
    let (kind, why) = refused(&back, Token::new(id, Seq(5_000), &Filter::default()).to_string(), Filter::default());
    assert!(kind == Reason::Invalid && matches!(why, TokenError::Future { seq: Seq(5_000), .. }), "{why:?}");
}

#[test]
fn a_tail_may_begin_now_at_a_position_or_at_a_time() {
    let (env, _, clock) = Env::simulated(6);
    let zone = zone_on(&env);
    let seq = make(&zone, "/a");
    clock.advance(1_000_000_000);
    let time = zone.log().time_of(make(&zone, "/b")).unwrap();
    let mut now = tail(&zone, TailFrom::Now, Filter::default());
    assert!(matches!(drain(&mut now)[..], [Item::CaughtUp(position)] if position == seq.next()));
    let later = make(&zone, "/c");
    assert_eq!(seqs(&mut now), [later.0]);
    let from = |from| seqs(&mut tail(&zone, from, Filter::default()));
    assert_eq!(from(TailFrom::Seq(seq.next())), [seq.0 + 1, later.0]);
    assert_eq!(from(TailFrom::Time(time)), [seq.0 + 1, later.0]);
    assert_eq!(from(TailFrom::Time(CommitTime(time.0 + 1))), [later.0]);
    assert_eq!(from(TailFrom::Time(CommitTime(time.0 - 1))), [seq.0 + 1, later.0]);
    assert_eq!(from(TailFrom::Time(CommitTime(0))).len(), 4);
    // A time that is yet to come: what is earlier is filtered.
    let mut future = tail(&zone, TailFrom::Time(CommitTime(time.0 + 60_000_000_000)), Filter::default());
    make(&zone, "/d");
    assert!(seqs(&mut future).is_empty());
    clock.advance(70_000_000_000);
    let late = make(&zone, "/e");
    assert_eq!(seqs(&mut future), [late.0]);
}

#[test]
fn without_credits_nothing_is_read_and_a_record_is_never_cut_in_two() {
    let (env, _, _) = Env::simulated(7);
    let zone = zone_on(&env);
    (0..9).map(|n| make(&zone, &format!("/{n}"))).for_each(|seq| assert!(seq > Seq::FIRST));
    let options = TailOptions { from: TailFrom::Beginning, credits: Credits::NONE, ..TailOptions::default() };
    let mut slow = zone.tail(&me(), options).unwrap();
    assert!(slow.next(DEADLINE).unwrap().is_none(), "at once");
    assert_eq!(slow.position(), Seq::ZERO);
    // The first record holds two events, the others one each.
    slow.grant(Credits { events: 3, bytes: 1 });
    assert!(event(slow.next(Duration::ZERO).unwrap().unwrap()).is_some());
    assert_eq!(slow.credits().bytes, 0);
    assert!(slow.next(DEADLINE).unwrap().is_none());
    slow.grant(Credits { events: 0, bytes: 1 << 20 });
    assert_eq!(seqs(&mut slow), [2]);
    assert_eq!(slow.credits().events, 0);
    slow.grant(Credits::UNLIMITED);
    assert_eq!(seqs(&mut slow), (3..=10).collect::<Vec<u64>>());
    assert_eq!(slow.credits().events, u64::MAX);
}

#[test]
fn who_falls_behind_is_told_and_is_told_when_it_is_back() {
    let (env, _, _) = Env::simulated(8);
    let zone = zone_on(&env);
    let inode = zone.put(&me(), "/f", b"").unwrap().reply.inode;
    let mut slow = tail(&zone, TailFrom::Now, Filter::default());
    assert!(matches!(drain(&mut slow)[..], [Item::CaughtUp(_)]));
    let behind = slow.position();
    for _ in 0..TAIL_WINDOW_RECORDS_MAX + 10 {
        zone.append(&me(), inode, b"x", Durability::Accepted).unwrap();
    }
    zone.log().flush().unwrap();
    let items = drain(&mut slow);
    assert!(matches!(items[0], Item::FellBehind(position) if position == behind), "{:?}", items[0]);
    assert!(matches!(items[items.len() - 1], Item::CaughtUp(position) if position == last(&zone)));
    let told: Vec<u64> = items.into_iter().filter_map(event).map(|m| m.record.seq.0).collect();
    assert_eq!(told, (behind.0 + 1..=last(&zone).0).collect::<Vec<u64>>());
    assert!(drain(&mut slow).is_empty(), "once");
}

#[test]
fn a_tail_to_which_nothing_comes_shows_signs_of_life() {
    let (env, _, clock) = Env::simulated(9);
    let zone = zone_on(&env);
    let mut quiet = tail(&zone, TailFrom::Now, Filter { agent: Some("nobody".into()), ..Filter::default() });
    drain(&mut quiet);
    let seq = make(&zone, "/a");
    assert!(drain(&mut quiet).is_empty());
    clock.advance(6_000_000_000);
    assert!(matches!(drain(&mut quiet)[..], [Item::Progress(position)] if position == seq));
    clock.advance(6_000_000_000);
    assert!(matches!(drain(&mut quiet)[..], [Item::Progress(position)] if position == seq));
}

#[test]
fn damage_is_a_gap_that_is_named_and_never_passed_over() {
    let (env, disk, _) = Env::simulated(10);
    let zone = zone_on(&env);
    let seqs: Vec<Seq> = (0..6).map(|n| make(&zone, &format!("/{n}"))).collect();
    let path = Path::new(DIR).join("log/00000000000000000001.seg");
    let bytes = disk.read(&path).unwrap();
    let record = bytes
        .windows(12)
        .position(|window| window == [b"NXR1".as_slice(), &[1, 0, 0, 0], &zone.identity().zone.0[..4]].concat());
    let starts: Vec<usize> =
        (record.unwrap()..bytes.len()).step_by(8).filter(|at| bytes[*at..].starts_with(b"NXR1")).collect();
    disk.flip_bit(&path, starts[4] as u64 + 120, 2).unwrap();
    let bad = Seq(5);
    assert!(seqs.contains(&bad));
    let mut reads = tail(&zone, TailFrom::Beginning, Filter::default());
    for seq in 1..bad.0 {
        assert_eq!(event(reads.next(DEADLINE).unwrap().unwrap()).unwrap().record.seq, Seq(seq));
    }
    let gap = reads.next(DEADLINE).unwrap().unwrap();
    assert!(matches!(gap, Item::Gap { from, to, reason: GapReason::Damage } if (from, to) == (bad, bad)), "{gap:?}");
    for _ in 0..3 {
        assert!(reads.next(DEADLINE).unwrap_err().is_damage());
        assert_eq!(reads.position(), bad.prev());
    }
}

/// The zone opens itself again after a full disk: the tail goes on, and tells once what is committed.
#[test]
fn a_tail_lives_through_the_zone_opening_itself_again() {
    let (env, disk, _) = Env::simulated(11);
    let zone = zone_on(&env);
    make(&zone, "/a");
    let mut told = Vec::new();
    let mut lives = tail(&zone, TailFrom::Beginning, Filter::default());
    told.extend(seqs(&mut lives));
    for round in 0..3 {
        disk.set_free_bytes(Some(100));
        let full = zone.put(&me(), "/lost", &[7; 9000]).unwrap_err();
        assert!([Reason::NoSpace, Reason::OutcomeUnknown].contains(&full.kind), "{full:?}");
        told.extend(seqs(&mut lives));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| event_within(&mut lives, &mut told));
            disk.set_free_bytes(None);
            make(&zone, &format!("/b{round}"));
            waits.join().unwrap();
        });
        assert_eq!(zone.life(), round + 1);
    }
    told.extend(seqs(&mut lives));
    assert_eq!(told, (1..=last(&zone).0).collect::<Vec<u64>>());
    zone.close().unwrap();
    let closed = lives.next(DEADLINE).unwrap_err();
    assert_eq!(closed.kind, Reason::Unavailable);
}

fn event_within(tail: &mut Tail, told: &mut Vec<u64>) {
    loop {
        match tail.next(DEADLINE).unwrap().expect("something happens") {
            Item::Events(matched) => return told.push(matched.record.seq.0),
            _ => continue,
        }
    }
}

#[test]
fn a_watch_sees_what_happens_to_its_target_from_now_on() {
    let (env, _, _) = Env::simulated(12);
    let zone = zone_on(&env);
    let me = me();
    zone.mkdir(&me, "/d", &NewFile::default(), true, Durability::Durable).unwrap();
    make(&zone, "/d/before");
    let mut here = zone.watch(&me, "/d", false).unwrap();
    let mut below = zone.watch(&me, "/d", true).unwrap();
    let made = make(&zone, "/d/new");
    let written = make(&zone, "/d/new");
    make(&zone, "/elsewhere");
    zone.rename(&me, "/d", "/e", nexus_engine::RenameMode::NoReplace, Durability::Durable).unwrap();
    let renamed = last(&zone);
    let changed = make(&zone, "/e/new");
    assert_eq!(seqs(&mut here), [made.0, renamed.0]);
    assert_eq!(seqs(&mut below), [made.0, written.0, renamed.0, changed.0]);
    assert_eq!(zone.watch(&me, "/none", true).unwrap_err().kind, Reason::NotFound);
}
