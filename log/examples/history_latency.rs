//! Prints how long the history of a file and of an actor takes in a long log.
//!
//! `cargo run --release -p nexus-log --example history_latency -- DIR [RECORDS]` makes a log of RECORDS creates (default
//! 1,000,000, 260 bytes of content each) in DIR, which must not exist, with a file that is written and renamed now and
//! then, by an agent of its own. Asked is on the open log, and on the log opened anew.
#![expect(clippy::unwrap_used, reason = "a program for measuring stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

use nexus_log::env::Env;
use nexus_log::event::{About, Context, Event, FileContent, FileCreated, Outcome, Piece, Renamed, Written};
use nexus_log::filter::Filter;
use nexus_log::ids::{CommitTime, Incarnation, Inode, Seq, Term, ZoneId, ZoneIdentity};
use nexus_log::log::{Direction, Log, LogOptions};
use nexus_log::record::{Draft, Payload};
use nexus_log::recovery::Proofs;

const IDENTITY: ZoneIdentity = ZoneIdentity { zone: ZoneId([3; 16]), incarnation: Incarnation(1) };
const WATCHED: u64 = 77 << 16;
/// Between two events of the watched file.
const EVERY: u64 = 50_000;
const CONTENT_BYTES: usize = 260;

fn now_ns() -> u64 {
    Env::real().clock.boot_ns()
}

fn event(seq: u64) -> Event {
    let path = |name: &str| format!("/data/dir-{}/{name}", seq % 1000).into_bytes();
    if seq.is_multiple_of(2 * EVERY) {
        let (from_parent, to_parent) = (2 << 16, 3 << 16);
        return Renamed { inode: WATCHED, from_parent, to_parent, to_path: path("watched"), ..Renamed::default() }
            .into();
    }
    let pieces = vec![Piece { length: CONTENT_BYTES as u32, ..Piece::default() }];
    let content = FileContent { size: CONTENT_BYTES as u64, pieces, ..FileContent::default() };
    if seq.is_multiple_of(EVERY) {
        let length = CONTENT_BYTES as u64;
        return Written { inode: WATCHED, path: path("watched"), length, content, ..Written::default() }.into();
    }
    let name = format!("file-{seq}");
    let (inode, parent) = (seq << 16, ((2 + seq % 1000) << 16) | 1);
    let (path, name) = (path(&name), name.into_bytes());
    FileCreated { inode, parent, name, path, mode: 0o644, content, ..FileCreated::default() }.into()
}

fn fill(log: &Log, env: &Env, records: u64) {
    let agents = ["alice", "bob", "carol"].map(|agent| Context { agent: agent.into(), ..Context::default() });
    let watcher = Context { agent: "watcher".into(), ..Context::default() };
    for seq in 1..=records {
        let content = vec![seq as u8; CONTENT_BYTES].into();
        let event = event(seq);
        let payload =
            (!matches!(event, Event::Renamed(_))).then(|| Payload::of_hashed(&*env.random, vec![(hash(seq), content)]));
        let context = if seq.is_multiple_of(EVERY) { &watcher } else { &agents[(seq / 977 % 3) as usize] };
        let position = (Seq(seq), Term(1), CommitTime(1_700_000_000_000_000_000 + seq * 1000));
        let draft = Draft::new(&*env.random, position, context, &[event], payload);
        if log.is_full(draft.record_bytes()) {
            log.flush().unwrap();
        }
        log.append(draft).unwrap();
    }
    log.flush().unwrap();
}

/// Reading history looks at no content, so what the hash is does not matter.
fn hash(seq: u64) -> nexus_log::ids::ChunkHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&seq.to_le_bytes());
    nexus_log::ids::ChunkHash(hash)
}

fn ask(log: &Log, filter: &Filter, direction: Direction, limit: usize) -> (usize, u64) {
    let start = now_ns();
    let found = log.history(filter.clone(), Seq::ZERO..Seq::MAX, direction).take(limit);
    let count = found.inspect(|record| assert!(record.is_ok(), "{record:?}")).count();
    (count, now_ns() - start)
}

fn report(log: &Log, when: &str) {
    let file = Filter { inodes: Some(BTreeSet::from([Inode(WATCHED)])), ..Filter::default() };
    let fresh = Filter { inodes: Some(BTreeSet::from([Inode((log.flushed().0 / 2 + 1) << 16)])), ..Filter::default() };
    let actor = Filter { agent: Some("watcher".into()), ..Filter::default() };
    let refused = Filter { outcome: Some(Outcome::Refused), ..Filter::default() };
    let busy = Filter { agent: Some("alice".into()), ..Filter::default() };
    let all = usize::MAX;
    let questions = [
        ("a file's history", &file, Direction::Forward, all),
        ("the same again", &file, Direction::Forward, all),
        ("a file created once", &fresh, Direction::Forward, all),
        ("a rare actor", &actor, Direction::Forward, all),
        ("all refusals", &refused, Direction::Forward, all),
        ("a busy actor's last 100", &busy, Direction::Reverse, 100),
        ("a busy actor's first 100,000", &busy, Direction::Forward, 100_000),
    ];
    for (what, filter, direction, limit) in questions {
        let (count, took) = ask(log, filter, direction, limit);
        println!("{when:<12} {what:<30} {count:>7} records {:>10.3} ms", took as f64 / 1e6);
    }
}

/// What a write pays for being found later, but for a few pushes.
fn report_cost() {
    let context = Context { agent: "alice".into(), user: "ann".into(), session: "s-17".into(), ..Context::default() };
    let events = [event(4711)];
    let (rounds, start) = (1_000_000, now_ns());
    for _ in 0..rounds {
        std::hint::black_box(About::of(std::hint::black_box(&context), std::hint::black_box(&events)));
    }
    println!("what a record is about: {:.0} ns", (now_ns() - start) as f64 / f64::from(rounds));
    let (rounds, start) = (200_000, now_ns());
    let random = Env::real().random;
    for seq in 1..=rounds {
        let position = (Seq(seq), Term(1), CommitTime(seq));
        std::hint::black_box(Draft::new(&*random, position, &context, &events, None));
    }
    println!("a whole draft of it: {:.0} ns", (now_ns() - start) as f64 / rounds as f64);
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().expect("the directory to make the log in");
    let records = args.next().map_or(1_000_000, |text| text.parse().expect("how many records"));
    let (env, dir) = (Env::real(), Path::new(&dir));
    env.disk.create_dir_all(dir).unwrap();
    report_cost();
    let start = now_ns();
    let log = Log::create(&env, dir, IDENTITY, Seq::FIRST, LogOptions::default()).unwrap();
    fill(&log, &env, records);
    println!("{records} records in {:.1} s", (now_ns() - start) as f64 / 1e9);
    let start = now_ns();
    log.close().unwrap();
    println!("sealing what was left took {:.1} s", (now_ns() - start) as f64 / 1e9);
    report(&log, "open log");
    drop(log);
    let start = now_ns();
    let log = Log::open(&env, dir, IDENTITY, Seq::FIRST, Proofs::default(), LogOptions::default()).unwrap().log;
    println!("opened in {:.3} ms", (now_ns() - start) as f64 / 1e6);
    report(&log, "opened anew");
}
