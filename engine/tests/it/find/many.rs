//! Vectored reads, and questions answered yes or no.

use nexus_engine::find::{AccessMode, ReadRequest};
use nexus_engine::limits::{READ_MANY_BYTES_MAX, VECTOR_REQUESTS_MAX};
use nexus_engine::{At, Durability, Target};
use nexus_log::event::{Event, Reason, Syscall};
use nexus_projections::row::FileKind;

use super::Bench;

#[test]
fn every_read_of_a_call_is_answered_by_itself() {
    let bench = Bench::new();
    bench.make(b"d", FileKind::Directory);
    bench.zone.put(&bench.me, "/a", b"0123456789").unwrap();
    let view = bench.zone.view(At::Latest).unwrap();
    let inode = view.stat(&bench.me, "/a", true).unwrap().inode;
    let request = |target, offset, length| ReadRequest { target, offset, length };
    let answers = view.read_many(
        &bench.me,
        &[
            request(Target::Path(b"/a"), 2, 3),
            request(Target::Path(b"/none"), 0, 1),
            request(Target::Inode(inode), 8, 100),
            request(Target::Path(b"/d"), 0, 1),
            request(Target::Path(b"/a"), 99, 1),
            request(Target::Path(b"not absolute"), 0, 1),
        ],
    );
    let answers: Vec<_> = answers.iter().map(|answer| answer.as_deref().map_err(|error| error.kind)).collect();
    assert_eq!(
        answers,
        [Ok(&b"234"[..]), Err(Reason::NotFound), Ok(b"89"), Err(Reason::IsDir), Ok(b""), Err(Reason::Invalid)]
    );
    assert!(view.read_many(&bench.me, &[]).is_empty());
    bench.close();
}

#[test]
fn a_call_that_asks_for_too_much_says_so_and_cuts_nothing_short() {
    let bench = Bench::new();
    bench.make(b"big", FileKind::Regular);
    bench.zone.truncate(&bench.me, "/big", READ_MANY_BYTES_MAX as u64 - 5, Durability::Durable).unwrap();
    bench.zone.put(&bench.me, "/a", b"0123456789").unwrap();
    let view = bench.zone.view(At::Latest).unwrap();
    let request = |path: &'static str, length| ReadRequest { target: path.into(), offset: 0, length };
    let requests =
        [request("/big", usize::MAX), request("/a", 6), request("/a", 5), request("/a", 1), request("/a", 0)];
    let answers = view.read_many(&bench.me, &requests);
    let lengths: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(|b| b.len()).map_err(|e| e.kind)).collect();
    let too_large = Err(Reason::TooLarge);
    assert_eq!(lengths, [Ok(READ_MANY_BYTES_MAX - 5), too_large, Ok(5), too_large, Ok(0)]);
    let answers = view.read_many(&bench.me, &vec![request("/a", 1); VECTOR_REQUESTS_MAX + 1]);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), VECTOR_REQUESTS_MAX);
    assert_eq!(answers.last().unwrap().as_ref().unwrap_err().kind, Reason::TooLarge);
    bench.close();
}

#[test]
fn existence_is_asked_of_many_and_of_one() {
    let bench = Bench::new();
    bench.make(b"d", FileKind::Directory);
    bench.make(b"f", FileKind::Regular);
    bench.make(b"root", FileKind::Link);
    let view = bench.zone.view(At::Newest).unwrap();
    let targets = ["/d", "/f", "/none", "/f/below", "/root", "relative"].map(Target::from);
    let there: Vec<_> =
        view.exists_many(&bench.me, &targets).into_iter().map(|answer| answer.map_err(|error| error.kind)).collect();
    assert_eq!(there, [Ok(true), Ok(true), Ok(false), Ok(false), Ok(true), Err(Reason::Invalid)]);
    let directory = |path| view.is_directory(&bench.me, path).unwrap();
    assert!(directory("/d") && directory("/root") && !directory("/f") && !directory("/none"));
    let read_write = AccessMode::READ | AccessMode::WRITE;
    assert!(view.access(&bench.me, "/f", read_write).is_ok());
    assert_eq!(view.access(&bench.me, "/none", AccessMode::EXISTS).unwrap_err().kind, Reason::NotFound);
    assert_eq!(AccessMode::from_bits(6).unwrap(), read_write);
    assert_eq!(AccessMode::from_bits(8).unwrap_err().kind, Reason::Invalid);
    bench.close();
}

#[test]
fn locks_are_refused_as_not_there_yet_and_the_refusal_is_in_the_log() {
    let bench = Bench::new();
    bench.make(b"f", FileKind::Regular);
    assert_eq!(bench.zone.lock(&bench.me, "/f").unwrap_err().kind, Reason::Unsupported);
    assert_eq!(bench.zone.unlock(&bench.me, "/f").unwrap_err().kind, Reason::Unsupported);
    let log = bench.zone.log();
    bench.close();
    let refused: Vec<_> = log
        .records(log.first())
        .flat_map(|record| record.unwrap().events)
        .filter_map(|event| match event {
            Event::Refused(refused) => Some((Syscall::from_code(refused.syscall), Reason::from_code(refused.reason))),
            _ => None,
        })
        .collect();
    let unsupported = Some(Reason::Unsupported);
    assert_eq!(refused, [(Some(Syscall::Lock), unsupported), (Some(Syscall::Unlock), unsupported)]);
}
