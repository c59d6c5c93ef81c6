use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::event::EventId;
use crate::store::{Durability, Query};
use crate::testkit::{Disk, DiskOperation, Fault};

fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").json_text(n.to_string())
}

fn ids(store: &Store) -> Vec<EventId> {
    store.events(Query::all()).unwrap().map(|e| e.unwrap().id()).collect()
}

fn spill(dir: &tempfile::TempDir) -> Spill {
    Spill::at(dir.path().join("s.spill.ndjson"))
}

#[test]
fn what_a_broken_store_could_not_take_is_there_once_and_in_order_after_it_was_opened_again() {
    for (operation, after) in [DiskOperation::Write, DiskOperation::Sync]
        .into_iter()
        .flat_map(|o| (0..12).map(move |after| (o, after)))
    {
        let dir = tempfile::tempdir().unwrap();
        let (disk, spill) = (Disk::new(), spill(&dir));
        let store = Store::builder().flush_after(5, 1 << 20).with_backend(disk.backend()).unwrap();
        disk.arm(Fault::once(operation, after).for_good());
        let mut due = Vec::new();
        for n in 0..40 {
            let event = numbered(n);
            due.push(event.id());
            if store.append("s", event.clone()).is_err() {
                spill.put("s", &event).unwrap();
            }
        }
        assert!(!spill.is_empty());
        // It stays broken: everything stays where it is.
        spill.drain(&store).unwrap_err();
        let before = spill.stats();
        assert_eq!((before.recorded, before.known), (0, 0));
        let _ = store.close();
        drop(store);
        disk.disarm();
        let store = Store::builder().with_backend(disk.backend()).unwrap();
        let drained = spill.drain(&store).unwrap();
        assert_eq!(drained.recorded + drained.known, before.put);
        assert_eq!(ids(&store), due, "{operation:?} {after}");
        assert!(spill.is_empty() && !spill.path().exists());
        assert_eq!(spill.drain(&store).unwrap(), Drained::default());
    }
}

#[test]
fn a_crash_before_the_file_is_gone_records_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let spill = spill(&dir);
    let store = Store::in_memory().unwrap();
    let events: Vec<NewEvent> = (0..700).map(numbered).collect();
    let place = "s".parse::<Address>().unwrap().place().clone();
    assert_eq!(spill.put_last(events.iter().map(|e| (&place, e)), false).unwrap(), 700);
    let file = std::fs::read(spill.path()).unwrap();
    // Cut short in the middle of a group, then done wholly, and once more.
    store.append("s", events[..300].to_vec()).unwrap();
    let first = spill.drain(&store).unwrap();
    assert_eq!((first.known, first.recorded), (300, 400));
    std::fs::write(spill.path(), file).unwrap();
    let again = spill.drain(&store).unwrap();
    assert_eq!((again.known, again.recorded, again.set_aside), (700, 0, 0));
    assert_eq!(ids(&store), events.iter().map(NewEvent::id).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_recorded_is_kept_with_the_reason_and_the_rest_goes_in() {
    let dir = tempfile::tempdir().unwrap();
    let spill = spill(&dir);
    let store = Store::in_memory().unwrap();
    let taken = numbered(0);
    store.append("other", taken.clone()).unwrap();
    spill.put("s", &numbered(1)).unwrap();
    spill.put("s/nowhere", &numbered(2)).unwrap();
    spill.put("s", &taken.json_text("7")).unwrap();
    let mut file = std::fs::read(spill.path()).unwrap();
    file.extend_from_slice(b"\n{\"id\":7}\n\xff\xfe\n[[[[\n");
    std::fs::write(spill.path(), &file).unwrap();
    spill.put("s", &numbered(3)).unwrap();
    let half =
        line::print(&Place::new("s".try_into().unwrap(), "main".try_into().unwrap()), &numbered(4)).unwrap();
    let mut file = std::fs::read(spill.path()).unwrap();
    file.extend_from_slice(&half[..half.len() - 9]);
    std::fs::write(spill.path(), &file).unwrap();
    let drained = spill.drain(&store).unwrap();
    assert_eq!(drained, Drained { recorded: 2, set_aside: 6, ..Drained::default() });
    let refused = std::fs::read(spill.refused_path()).unwrap();
    let lines: Vec<&[u8]> = refused.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').collect();
    let said = [
        "there is no branch s/nowhere",
        "is already recorded",
        "is not an event",
        "UTF-8",
        "is not an",
        "ends early",
    ];
    assert_eq!(lines.len(), 12);
    for (pair, said) in lines.chunks(2).zip(said) {
        let note: serde_json::Value = serde_json::from_slice(pair[0]).unwrap();
        assert!(note["refused"].as_str().unwrap().contains(said), "{note} where {said} was due");
    }
    assert_eq!(lines[7], b"\xff\xfe");
    assert_eq!(lines[11], &half[..half.len() - 9]);
    // The next ones come behind them.
    std::fs::write(spill.path(), "x\n").unwrap();
    assert_eq!(spill.drain(&store).unwrap().set_aside, 1);
    let longer = std::fs::read(spill.refused_path()).unwrap();
    assert!(longer.starts_with(&refused) && longer.ends_with(b"\nx\n"));
}

#[test]
fn a_line_that_was_torn_does_not_take_the_next_one_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let spill = spill(&dir);
    std::fs::write(spill.path(), "{\"id\":\"0").unwrap();
    let event = numbered(1);
    spill.put("s", &event).unwrap();
    let store = Store::in_memory().unwrap();
    assert_eq!(spill.drain(&store).unwrap(), Drained { recorded: 1, set_aside: 1, ..Drained::default() });
    assert_eq!(ids(&store), [event.id()]);
    // Whole but for its line break: it is an event.
    let event = numbered(2);
    spill.put("s", &event).unwrap();
    let file = std::fs::read(spill.path()).unwrap();
    std::fs::write(spill.path(), &file[..file.len() - 1]).unwrap();
    assert_eq!(spill.drain(&store).unwrap().recorded, 1);
}

#[test]
fn a_full_spill_says_so_and_counts_what_it_does_not_take() {
    let dir = tempfile::tempdir().unwrap();
    let spill = spill(&dir).limit(1_000).unwrap();
    let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
    let events: Vec<NewEvent> = (0..20).map(numbered).collect();
    let printed = std::cell::Cell::new(0);
    let counted = || events.iter().map(|e| (&place, e)).inspect(|_| printed.set(printed.get() + 1));
    let taken = spill.put_last(counted(), false).unwrap();
    assert!((2..10).contains(&taken));
    // One more than fits is looked at, and the others are not.
    assert_eq!(printed.take(), taken + 1);
    spill.put_last(counted(), false).unwrap_err();
    assert_eq!(printed.take(), 1);
    assert_eq!(spill.stats().dropped, 0);
    spill.has_dropped(20 - taken, &Error::storage("the disk is full"));
    let Error::TooLarge { what, limit: 1_000, .. } = spill.put("s", &numbered(21)).unwrap_err() else {
        panic!()
    };
    assert!(what.contains("s.spill.ndjson"), "{what}");
    let stats = spill.stats();
    assert_eq!((stats.put, stats.dropped), (taken as u64, 21 - taken as u64));
    assert!(stats.waiting_bytes <= 1_000);
    let store = Store::builder().durability(Durability::Relaxed).in_memory().unwrap();
    assert_eq!(spill.drain(&store).unwrap().recorded, taken as u64);
    assert_eq!(ids(&store), events[20 - taken..].iter().map(NewEvent::id).collect::<Vec<_>>());
    spill.put("s", &numbered(22)).unwrap();
    assert!(Spill::at("x").limit(u64::MAX).is_err());
}

#[test]
fn room_that_is_reserved_stays_while_the_file_is_put_to_and_drained() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let reserved = spill(&dir).reserve(1 << 20).unwrap();
    assert!(spill(&dir).limit(100).unwrap().reserve(101).is_err());
    let taken = || std::fs::metadata(reserved.path()).map(|meta| (meta.len(), on_disk(&meta)));
    reserved.prepare().unwrap();
    if reserved.stats().reserved_bytes == 0 {
        println!("skipped: this file system reserves nothing");
        return;
    }
    for _ in 0..2 {
        let (len, bytes) = taken().unwrap();
        assert!(len == 0 && bytes >= 1 << 20 && reserved.is_empty());
        reserved.put("s", &numbered(1)).unwrap();
        let (len, bytes) = taken().unwrap();
        assert!(len > 0 && bytes >= 1 << 20 && !reserved.is_empty());
        let drained = reserved.drain(&store).unwrap();
        assert_eq!(drained.recorded, 1);
    }
    reserved.give_back();
    assert!(taken().is_err() && reserved.stats().reserved_bytes == 0);
}

#[test]
fn what_one_has_reserved_stays_when_another_gives_back_its_own_or_drains() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let [one, other] = [1 << 20, 1 << 19].map(|bytes| spill(&dir).reserve(bytes).unwrap());
    [&one, &other].iter().for_each(|spill| spill.prepare().unwrap());
    if one.stats().reserved_bytes == 0 {
        println!("skipped: this file system reserves nothing");
        return;
    }
    let bytes = || std::fs::metadata(one.path()).map_or(0, |meta| on_disk(&meta));
    other.give_back();
    assert!(bytes() >= 1 << 20);
    // One that has reserved nothing drains, and finds the file of one that has.
    spill(&dir).put("s", &numbered(1)).unwrap();
    assert_eq!(spill(&dir).drain(&store).unwrap().recorded, 1);
    assert!(bytes() >= 1 << 20 && one.is_empty());
    other.prepare().unwrap();
    one.give_back();
    assert!(bytes() >= 1 << 19);
    other.give_back();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // Who was killed has left its mark, and no lock.
    std::fs::write(dir.path().join("s.spill.ndjson.reserved"), [0; 99]).unwrap();
    one.put("s", &numbered(2)).unwrap();
    spill(&dir).drain(&store).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
fn on_disk(meta: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(meta) * 512
}

#[cfg(not(unix))]
fn on_disk(_: &std::fs::Metadata) -> u64 {
    0
}

#[test]
fn a_file_that_is_none_or_too_long_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Spill::at(dir.path());
    assert!(folder.put("s", &numbered(1)).unwrap_err().to_string().contains("not a plain file"));
    let store = Store::in_memory().unwrap();
    folder.drain(&store).unwrap_err();
    let spill = spill(&dir).limit(500).unwrap();
    spill.put("s", &numbered(2)).unwrap();
    let mut file = std::fs::read(spill.path()).unwrap();
    file.extend_from_slice(&[b'x'; 600]);
    std::fs::write(spill.path(), &file).unwrap();
    let e = spill.drain(&store).unwrap_err().to_string();
    assert!(e.contains("line 2 has more than 500 bytes"), "{e}");
    assert_eq!(std::fs::read(spill.path()).unwrap(), file);
    #[cfg(unix)]
    {
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(spill.path(), &link).unwrap();
        Spill::at(&link).put("s", &numbered(3)).unwrap_err();
    }
}

#[test]
fn puts_and_drains_of_several_handles_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let path = dir.path().join("s.spill.ndjson");
    let put: Vec<EventId> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|w| {
                let spill = Spill::at(&path);
                scope.spawn(move || {
                    let events: Vec<NewEvent> = (0..40).map(numbered).collect();
                    events.iter().for_each(|e| spill.put(format!("s{w}"), e).unwrap());
                    events.iter().map(NewEvent::id).collect::<Vec<_>>()
                })
            })
            .collect();
        let drainer = Spill::at(&path);
        while writers.iter().any(|w| !w.is_finished()) {
            drainer.drain(&store).unwrap();
        }
        let put: Vec<Vec<EventId>> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        drainer.drain(&store).unwrap();
        for (w, put) in put.iter().enumerate() {
            let found = store.events(Query::branch(format!("s{w}")).unwrap()).unwrap();
            assert_eq!(&found.map(|e| e.unwrap().id()).collect::<Vec<_>>(), put);
        }
        put.concat()
    });
    assert_eq!(ids(&store).into_iter().collect::<HashSet<_>>(), put.into_iter().collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the file holds, and wherever it was cut: whole lines that were put go in, in order, once.
    #[test]
    fn any_file_is_drained_without_a_loss(
        pieces in prop::collection::vec(prop_oneof![
            3 => (0..4u64).prop_map(Some),
            1 => Just(None),
        ], 0..20),
        junk in prop::collection::vec(any::<u8>(), 0..40),
        cut in 0..200usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let spill = spill(&dir);
        let (mut due, mut file) = (Vec::new(), Vec::new());
        let place = |n: u64| Place::new(format!("s{n}").try_into().unwrap(), "main".try_into().unwrap());
        for piece in &pieces {
            match piece {
                Some(n) => {
                    let event = numbered(*n);
                    file.extend(line::print(&place(*n), &event).unwrap());
                    file.push(b'\n');
                    due.push((file.len(), event.id()));
                }
                None => {
                    file.extend_from_slice(&junk);
                    file.push(b'\n');
                }
            }
        }
        file.truncate(file.len().saturating_sub(cut));
        std::fs::write(spill.path(), &file).unwrap();
        let store = Store::in_memory().unwrap();
        spill.drain(&store).unwrap();
        // A last line that lacks its line break alone is whole.
        let due: Vec<EventId> = due.into_iter().filter(|(end, _)| *end <= file.len() + 1).map(|(_, id)| id).collect();
        prop_assert_eq!(ids(&store), due);
    }
}

#[test]
fn what_is_put_first_comes_before_what_is_there_and_keeps_to_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let spill = spill(&dir);
    let store = Store::in_memory().unwrap();
    let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
    let events: Vec<NewEvent> = (0..6).map(numbered).collect();
    let put = |events: &[NewEvent], first| spill.put_last(events.iter().map(|e| (&place, e)), first).unwrap();
    assert_eq!(put(&events[4..], true), 2);
    assert_eq!(put(&events[2..4], true), 2);
    assert_eq!(put(&events[..2], true), 2);
    let bytes = spill.stats().waiting_bytes;
    let small = super::Spill::at(spill.path()).limit(bytes + 10).unwrap();
    let full = small.put_last([(&place, &numbered(9))].into_iter(), true);
    assert!(matches!(full, Err(Error::TooLarge { .. })), "{full:?}");
    assert_eq!(spill.drain(&store).unwrap().recorded, 6);
    assert_eq!(ids(&store), events.iter().map(NewEvent::id).collect::<Vec<_>>());
    assert!(!spill.path().exists() && std::fs::read_dir(dir.path()).unwrap().count() == 0);
}

#[test]
fn events_of_what_was_deleted_meanwhile_begin_nothing_anew() {
    let dir = tempfile::tempdir().unwrap();
    let spill = spill(&dir);
    let store = Store::in_memory().unwrap();
    for session in ["s", "t"] {
        store.append(session, numbered(0)).unwrap();
        store.fork(session, "b").unwrap();
    }
    let known = numbered(1);
    store.append("s", known.clone()).unwrap();
    for (address, event) in
        [("s", known), ("t", numbered(2)), ("s/b", numbered(3)), ("s", numbered(4)), ("u", numbered(5))]
    {
        spill.put(address, &event).unwrap();
    }
    store.lifecycle().delete_session(&"s".try_into().unwrap()).unwrap();
    let drained = spill.drain(&store).unwrap();
    assert_eq!((drained.recorded, drained.known, drained.set_aside), (2, 0, 3));
    assert!(spill.is_empty());
    for address in ["s", "s/b"] {
        assert!(matches!(store.head(address), Err(Error::Deleted { .. })), "{address}");
    }
    assert_eq!((store.head("t").unwrap().get(), store.head("u").unwrap().get()), (2, 1));
    let refused = std::fs::read_to_string(spill.refused_path()).unwrap();
    assert_eq!(refused.matches("was deleted at").count(), 3, "{refused}");
}
