//! Named requests happen once; expectations hold or nothing happens.

use nexus_engine::zone::ZoneOptions;
use nexus_engine::{
    At, BatchItem, CallOptions, Caller, Change, Durability, Edit, Entry, Expect, NewFile, Nexus, RenameMode,
    RootAttributes, Target, Zone,
};
use nexus_log::event::{Context, Event, Reason};
use nexus_log::ids::Seq;

const ROOT: RootAttributes = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
const NOW: Durability = Durability::Durable;

fn new() -> NewFile {
    NewFile::default()
}

fn named(agent: &str, request: &str) -> Caller {
    let request_id = Some(request.to_owned());
    Caller::new(Context { agent: agent.into(), request_id, ..Context::default() }).unwrap()
}

fn with_zone(test: impl FnOnce(&Zone, &Caller)) {
    let dir = tempfile::tempdir().unwrap();
    let nexus = Nexus::init(&dir.path().join("data"), ROOT, ZoneOptions::default()).unwrap();
    test(&nexus.zone("root").unwrap(), &Caller::agent("me").unwrap());
    let zone = nexus.zone("root").unwrap();
    assert!(zone.rebuild(false, |_| {}).unwrap().equal(), "the log folds to the tables");
    nexus.close().unwrap();
}

fn read(zone: &Zone, path: &str) -> Vec<u8> {
    zone.view(At::Newest).unwrap().read(&Caller::agent("me").unwrap(), path, 0, 1 << 24).unwrap().to_vec()
}

/// R32: a repeat returns the position of the first, which is in the log once.
#[test]
fn r32_a_repeated_append_happens_once_and_is_told_the_first_record_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let once = named("ann", "r1");
    let nexus = Nexus::init(&data, ROOT, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    zone.put(&Caller::agent("ann").unwrap(), "/f", b"a").unwrap();
    let first = zone.append(&once, "/f", b"b", NOW).unwrap();
    assert!(!first.repeated);
    let again = zone.append(&once, "/f", b"b", NOW).unwrap();
    assert!(again.repeated);
    assert_eq!((again.seq, again.reply), (first.seq, first.reply));
    let first_seq = first.seq;
    nexus.close().unwrap();
    drop((zone, first, again));

    let nexus = Nexus::open(&data, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let again = zone.append(&once, "/f", b"b", NOW).unwrap();
    assert_eq!((again.seq, again.repeated), (first_seq, true));
    assert_eq!(read(&zone, "/f"), b"ab");
    assert!(zone.rebuild(true, |_| {}).unwrap().equal());
    nexus.close().unwrap();
    drop((zone, again));

    let nexus = Nexus::open(&data, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    assert!(zone.append(&once, "/f", b"b", NOW).unwrap().repeated, "rebuilt tables know it too");
    let records = zone.log().records(Seq::FIRST).map(Result::unwrap);
    let written = records.filter(|r| r.events.iter().any(|e| matches!(e, Event::Written(_)))).count();
    assert_eq!(written, 1);
    nexus.close().unwrap();
}

#[test]
fn a_request_id_names_one_request_of_one_actor() {
    with_zone(|zone, _| {
        zone.mkdir(&named("ann", "x"), "/d", &new(), true, NOW).unwrap();
        let other = zone.mkdir(&named("ann", "x"), "/e", &new(), true, NOW).unwrap_err();
        assert_eq!(other.kind, Reason::Invalid, "{other}");
        assert!(other.message.contains("\"x\""), "{other}");
        // Another actor's request of the same name is another request.
        zone.mkdir(&named("bob", "x"), "/e", &new(), true, NOW).unwrap();
        // A repeat of a creation says again that it was new, though it exists by now.
        let again = zone.mkdir(&named("ann", "x"), "/d", &new(), true, NOW).unwrap();
        assert!(again.repeated && again.reply.fresh);
    });
}

#[test]
fn what_was_refused_or_changed_nothing_may_be_asked_again() {
    with_zone(|zone, me| {
        let once = named("ann", "x");
        assert_eq!(zone.unlink(&once, "/f", NOW).unwrap_err().kind, Reason::NotFound);
        zone.put(me, "/f", b"1").unwrap();
        let done = zone.unlink(&once, "/f", NOW).unwrap();
        assert!(!done.repeated && done.seq.is_some());
        assert!(zone.unlink(&once, "/f", NOW).unwrap().repeated);
    });
}

#[test]
fn content_tells_named_requests_apart() {
    with_zone(|zone, _| {
        let put = |request: &str, content: &[u8]| {
            let caller = named("ann", request);
            let mut writer = zone.content_writer(&caller);
            writer.write(content).unwrap();
            zone.put_content(&caller, "/f", &new(), writer, NOW)
        };
        let large = vec![7; 10 << 20];
        let first = put("p", &large).unwrap();
        let again = put("p", &large).unwrap();
        assert_eq!((again.seq, again.repeated), (first.seq, true));
        let mut other = large.clone();
        other[9 << 20] = 8;
        assert_eq!(put("p", &other).unwrap_err().kind, Reason::Invalid);
        assert_eq!(read(zone, "/f"), large);
    });
}

#[test]
fn a_caller_for_several_changes_may_use_one_name_for_all() {
    with_zone(|zone, _| {
        let several = named("ann", "x").for_several();
        zone.mkdir(&several, "/a", &new(), true, NOW).unwrap();
        zone.mkdir(&several, "/b", &new(), true, NOW).unwrap();
        assert_eq!(zone.mkdir(&several, "/b", &new(), true, NOW).unwrap_err().kind, Reason::Exists);
    });
}

#[test]
fn expectations_refuse_what_is_not_as_expected_and_leave_it() {
    with_zone(|zone, me| {
        let at = |version| CallOptions { expect: Expect { version: Some(version), exists: None }, ..NOW.into() };
        let exists = |yes| CallOptions { expect: Expect { version: None, exists: Some(yes) }, ..NOW.into() };
        let version = |path: &str| zone.view(At::Latest).unwrap().stat(me, path, false).unwrap().version;
        zone.create(me, "/f", &new(), false, exists(false)).unwrap();
        assert_eq!(zone.create(me, "/f", &new(), false, exists(false)).unwrap_err().kind, Reason::Exists);
        let v = version("/f");
        zone.write(me, "/f", 0, b"one", at(v)).unwrap();
        let stale = zone.write(me, "/f", 0, b"two", at(v)).unwrap_err();
        assert_eq!(stale.kind, Reason::VersionConflict, "{stale}");
        assert_eq!(read(zone, "/f"), b"one");
        zone.rename(me, "/f", "/g", RenameMode::NoReplace, at(version("/f"))).unwrap();
        assert_eq!(zone.unlink(me, "/f", exists(true)).unwrap_err().kind, Reason::NotFound);
        assert_eq!(zone.unlink(me, "/g", at(v)).unwrap_err().kind, Reason::VersionConflict);
        zone.mkdir(me, "/d", &new(), true, NOW).unwrap();
        let before = version("/d");
        zone.create(me, "/d/x", &new(), true, NOW).unwrap();
        assert!(version("/d") > before);
        let change = nexus_engine::AttributeChange { mode: Some(0o700), ..Default::default() };
        assert_eq!(zone.set_attributes(me, "/d", &change, true, at(before)).unwrap_err().kind, Reason::VersionConflict);
        zone.set_attributes(me, "/d", &change, true, at(version("/d"))).unwrap();
        zone.truncate(me, "/g", 1, at(version("/g"))).unwrap();
        assert_eq!(read(zone, "/g"), b"o");
    });
}

#[test]
fn edits_are_one_step_and_say_what_they_did_not_find() {
    with_zone(|zone, me| {
        zone.put(me, "/f", b"one two two three").unwrap();
        let edit = |find, replace, all| Edit { find, replace, all };
        let twice = zone.edit(me, "/f", &[edit(b"two", b"2", false)], NOW).unwrap_err();
        assert_eq!(twice.kind, Reason::Invalid, "{twice}");
        let none = zone.edit(me, "/f", &[edit(b"one", b"1", false), edit(b"four", b"4", true)], NOW).unwrap_err();
        assert!(none.message.contains("edit 2"), "{none}");
        assert_eq!(read(zone, "/f"), b"one two two three");
        let once = named("ann", "e");
        let edits = [edit(b"two", b"2", true), edit(b"one", b"1", false)];
        let done = zone.edit(&once, "/f", &edits, NOW).unwrap();
        assert_eq!(read(zone, "/f"), b"1 2 2 three");
        let again = zone.edit(&once, "/f", &edits, NOW).unwrap();
        assert_eq!((again.seq, again.repeated), (done.seq, true));
        let stale = CallOptions { expect: Expect { version: Some(1), exists: None }, ..NOW.into() };
        let conflict = zone.edit(me, "/f", &[edit(b"three", b"3", false)], stale).unwrap_err();
        assert_eq!(conflict.kind, Reason::VersionConflict);
    });
}

#[test]
fn edits_of_many_threads_all_happen() {
    with_zone(|zone, me| {
        zone.put(me, "/f", b"a0 b0 c0 d0").unwrap();
        std::thread::scope(|scope| {
            for letter in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    let me = Caller::agent(letter).unwrap();
                    for round in 0..5 {
                        let (find, replace) = (format!("{letter}{round}"), format!("{letter}{}", round + 1));
                        let edit = Edit { find: find.as_bytes(), replace: replace.as_bytes(), all: false };
                        zone.edit(&me, "/f", &[edit], NOW).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(zone, "/f"), b"a5 b5 c5 d5");
    });
}

fn item(change: Change<'_>) -> BatchItem<'_> {
    change.into()
}

#[test]
fn an_atomic_batch_is_one_record_or_nothing_and_each_change_sees_those_before() {
    with_zone(|zone, me| {
        let new = new();
        let dir = Entry::Path(b"/d");
        let file = Entry::Path(b"/d/f");
        let all = [
            item(Change::Mkdir { entry: dir, new: &new, exclusive: true }),
            item(Change::Put { entry: file, new: &new, content: b"hello", attributes_too: false }),
            item(Change::Append { target: Target::Path(b"/d/f"), bytes: b" world" }),
            item(Change::Rename { from: file, to: Entry::Path(b"/d/g"), mode: RenameMode::Replace }),
            item(Change::Link { target: Target::Path(b"/d/g"), entry: Entry::Path(b"/h") }),
            item(Change::Unlink { entry: Entry::Path(b"/d/g") }),
            item(Change::Rmdir { entry: dir }),
        ];
        let before = zone.log().flushed();
        let done = zone.batch_atomic(me, &all, NOW).unwrap();
        assert_eq!(done.seq, Some(before.next()));
        assert_eq!(zone.log().flushed(), before.next(), "one record");
        assert_eq!(read(zone, "/h"), b"hello world");
        assert_eq!(done.reply.len(), 7);
        assert!(done.reply[0].fresh && done.reply[1].fresh && !done.reply[2].fresh);

        let bad =
            [item(Change::Unlink { entry: Entry::Path(b"/h") }), item(Change::Unlink { entry: Entry::Path(b"/h") })];
        let refused = zone.batch_atomic(me, &bad, NOW).unwrap_err();
        assert_eq!(refused.kind, Reason::NotFound);
        assert!(refused.message.starts_with("change 2 of 2"), "{refused}");
        assert_eq!(read(zone, "/h"), b"hello world");
    });
}

#[test]
fn a_batch_beyond_one_record_is_too_large_and_writes_nothing() {
    with_zone(|zone, me| {
        let new = new();
        let large = vec![1; 5 << 20];
        let mut other = large.clone();
        other[0] = 2;
        let put = |path: &'static str, content| {
            item(Change::Put { entry: Entry::Path(path.as_bytes()), new: &new, content, attributes_too: false })
        };
        let refused = zone.batch_atomic(me, &[put("/a", &large), put("/b", &other)], NOW).unwrap_err();
        assert_eq!(refused.kind, Reason::TooLarge, "{refused}");
        let names: Vec<String> = (0..4095).map(|n| format!("/{n:0200}")).collect();
        let many: Vec<BatchItem<'_>> = names
            .iter()
            .map(|name| item(Change::Create { entry: Entry::Path(name.as_bytes()), new: &new, exclusive: true }))
            .collect();
        let refused = zone.batch_atomic(me, &many, NOW).unwrap_err();
        assert_eq!(refused.kind, Reason::TooLarge, "{refused}");
        let view = zone.view(At::Latest).unwrap();
        assert!(view.readdir(me, "/", None, 10).unwrap().is_empty());
        zone.batch_atomic(me, &many[..500], NOW).unwrap();
    });
}

#[test]
fn a_named_batch_happens_once() {
    with_zone(|zone, _| {
        let new = new();
        let once = named("ann", "b");
        let batch = [
            item(Change::Create { entry: Entry::Path(b"/a"), new: &new, exclusive: true }),
            item(Change::Create { entry: Entry::Path(b"/b"), new: &new, exclusive: true }),
        ];
        let first = zone.batch_atomic(&once, &batch, NOW).unwrap();
        let again = zone.batch_atomic(&once, &batch, NOW).unwrap();
        assert_eq!((again.seq, again.repeated, &again.reply), (first.seq, true, &first.reply));
        assert_eq!(zone.batch_atomic(&once, &batch[..1], NOW).unwrap_err().kind, Reason::Invalid);
    });
}

#[test]
fn a_batch_that_is_not_atomic_answers_one_by_one() {
    with_zone(|zone, me| {
        let new = new();
        let stale = Expect { version: Some(77), exists: None };
        let results = zone.batch(
            me,
            &[
                item(Change::Create { entry: Entry::Path(b"/a"), new: &new, exclusive: true }),
                item(Change::Unlink { entry: Entry::Path(b"/missing") }),
                BatchItem { change: Change::Truncate { target: Target::Path(b"/a"), size: 5 }, expect: stale },
                item(Change::Write { target: Target::Path(b"/a"), offset: 0, bytes: b"x" }),
            ],
            NOW,
        );
        let kinds: Vec<Option<Reason>> = results.iter().map(|r| r.as_ref().err().map(|e| e.kind)).collect();
        assert_eq!(kinds, [None, Some(Reason::NotFound), Some(Reason::VersionConflict), None]);
        assert_eq!(read(zone, "/a"), b"x");
        let writes = [
            nexus_engine::WriteRequest { target: Target::Path(b"/a"), offset: 1, bytes: b"y" },
            nexus_engine::WriteRequest { target: Target::Path(b"/none"), offset: 1, bytes: b"y" },
        ];
        let results = zone.write_many(me, &writes, NOW);
        assert!(results[0].is_ok() && results[1].is_err());
        let results = zone.unlink_many(me, &[Entry::Path(b"/none"), Entry::Path(b"/a")], NOW);
        assert!(results[0].is_err() && results[1].is_ok());
        assert!(zone.batch(me, &[], NOW).is_empty());
    });
}

/// Refuses one path to everybody.
struct Keeper;

impl nexus_engine::gate::Gate for Keeper {
    fn check(&self, call: &nexus_engine::gate::Call<'_>) -> nexus_engine::Result<()> {
        match call.path {
            b"/secret" => Err(nexus_engine::Error::new(Reason::PermissionDenied, "not yours")),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_batch_asks_the_gate_for_each_of_its_changes() {
    with_zone(|zone, me| {
        zone.put(me, "/secret", b"1").unwrap();
        zone.put(me, "/open", b"1").unwrap();
        zone.install_gate(Some(std::sync::Arc::new(Keeper)));
        let batch = [
            item(Change::Unlink { entry: Entry::Path(b"/open") }),
            item(Change::Unlink { entry: Entry::Path(b"/secret") }),
        ];
        let refused = zone.batch_atomic(me, &batch, NOW).unwrap_err();
        assert_eq!(refused.kind, Reason::PermissionDenied);
        zone.install_gate(None);
        assert_eq!((read(zone, "/secret"), read(zone, "/open")), (b"1".to_vec(), b"1".to_vec()));
        zone.log().flush().unwrap();
        let records = zone.log().records(Seq::FIRST).map(Result::unwrap);
        let refusals: Vec<Vec<u8>> = records
            .flat_map(|r| r.events)
            .filter_map(|e| if let Event::Refused(e) = e { Some(e.path) } else { None })
            .collect();
        assert_eq!(refusals, [b"/secret".to_vec()], "one refusal, and it says of what");
    });
}

#[test]
fn an_edit_that_would_make_too_much_is_refused_before_it_is_made() {
    with_zone(|zone, me| {
        zone.put(me, "/f", &[b'a'; 1 << 20]).unwrap();
        let replace = vec![b'b'; 64 << 10];
        let edit = Edit { find: b"a", replace: &replace, all: true };
        assert_eq!(zone.edit(me, "/f", &[edit], NOW).unwrap_err().kind, Reason::TooLarge);
    });
}
