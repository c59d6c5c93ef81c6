//! Damage in one place keeps nothing else out of reach, and is named.

use std::time::Duration;

use retold::codec::LastCommit;
use retold::testkit::{Disk, DiskOperation, Fault};
use retold::{Error, Event, NewEvent, Query, Result, Store};

use crate::support::{number, numbered};

fn settings() -> retold::Builder {
    Store::builder().flush_after(usize::MAX, usize::MAX).flush_when_idle(Duration::from_secs(3_600))
}

fn opened(file: Vec<u8>) -> Result<Store> {
    settings().with_backend(Disk::from_bytes(file).backend())
}

fn opened_to_read(file: Vec<u8>) -> Result<Store> {
    settings().read_only().with_backend(Disk::from_bytes(file).backend())
}

fn numbers(store: &Store) -> Vec<u64> {
    let events: Result<Vec<Event>> = store.events(Query::all()).unwrap().collect();
    events.unwrap().iter().map(number).collect()
}

fn flipped(file: &[u8], bit: usize) -> Vec<u8> {
    let mut file = file.to_vec();
    file[bit / 8] ^= 1 << (bit % 8);
    file
}

/// The secret of the header.
fn secret(file: &[u8]) -> [u8; 16] {
    file[32..48].try_into().unwrap()
}

/// Where these bytes lie in the tables, behind the journal.
fn places(file: &[u8], needle: &[u8]) -> Vec<usize> {
    let tables = u64::from_le_bytes(file[24..32].try_into().unwrap()) as usize;
    (tables..file.len() - needle.len()).filter(|at| file[*at..*at + needle.len()] == *needle).collect()
}

/// Ten events in the tables, ten in the journal; the process was killed.
fn killed() -> (Vec<u8>, Vec<usize>) {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    for n in 1..=20 {
        store.append("s", numbered(n)).unwrap();
        if n == 10 {
            store.maintenance().flush().unwrap();
        }
    }
    let file = disk.bytes();
    let entries = (4_096..file.len() - 4).step_by(16).filter(|at| file[*at..*at + 4] == *b"rtj1").collect();
    std::mem::forget(store);
    (file, entries)
}

#[test]
fn a_damaged_commit_of_the_journal_leaves_those_before_it_to_be_read() {
    let (file, entries) = killed();
    let number_of = |at: usize| u64::from_le_bytes(file[at + 8..at + 16].try_into().unwrap());
    let last = entries.iter().map(|at| number_of(*at)).max().unwrap();
    let third_last = *entries.iter().find(|at| number_of(**at) == last - 2).unwrap();
    for bit in (0..60 * 8).step_by(7) {
        let damaged = flipped(&file, third_last * 8 + bit);
        let refused = opened(damaged.clone()).unwrap_err();
        let Error::Corrupt { place, reason } = &refused else { panic!("{refused:?}") };
        assert_eq!(*place, format!("commit {} of the journal", last - 2));
        assert!(reason.contains("2 later commits") && reason.contains("read-only"), "{reason}");
        let store = opened_to_read(damaged).unwrap();
        assert_eq!(numbers(&store), (1..=17).collect::<Vec<_>>());
        assert_eq!(store.committed().get(), 17);
        let told: Vec<String> = store.maintenance().damage().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(place), "{told:?}");
        let report = store.maintenance().verify().unwrap();
        assert_eq!(report.problems, store.maintenance().damage());
        assert_eq!(report.events, 17);
    }
    assert!(opened_to_read(file).unwrap().maintenance().damage().is_empty());
}

#[test]
fn a_journal_that_lost_its_end_is_not_taken_for_one_that_was_never_longer() {
    let disk = Disk::new();
    // The last commit is noted a moment after it; nothing is flushed.
    let store = settings().note_when_idle(Duration::from_millis(1)).with_backend(disk.backend()).unwrap();
    let noted = |file: &[u8]| {
        let page = |at: usize| LastCommit::decode(&secret(file), file[at..at + 32].try_into().unwrap());
        [4_096, 8_192].into_iter().filter_map(page).map(|last| last.number).max().unwrap_or_default()
    };
    for n in 1..=20 {
        store.append("s", numbered(n)).unwrap();
    }
    let file = loop {
        let file = disk.bytes();
        if noted(&file) == 20 {
            break file;
        }
        std::thread::yield_now();
    };
    std::mem::forget(store);
    let entries: Vec<usize> =
        (12_288..file.len() - 4).step_by(16).filter(|at| file[*at..*at + 4] == *b"rtj1").collect();
    for (lost, said) in [(1, "commit 20 is missing"), (7, "7 commits are missing, 14 to 20")] {
        let mut damaged = file.clone();
        for at in &entries[entries.len() - lost..] {
            damaged[*at..*at + 40].fill(0);
        }
        let refused = opened(damaged.clone()).unwrap_err().to_string();
        assert!(refused.contains(said) && refused.contains("read-only"), "{refused}");
        let store = opened_to_read(damaged).unwrap();
        assert_eq!(store.committed().get(), 20 - lost as u64);
        assert!(store.maintenance().damage()[0].to_string().contains(said));
        assert_eq!(store.maintenance().verify().unwrap().problems, store.maintenance().damage());
    }
    assert_eq!(opened(file).unwrap().committed().get(), 20);
}

#[test]
fn a_store_that_closed_after_an_error_is_looked_through_when_it_is_opened() {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    for n in 1..=20 {
        store.append("s", numbered(n)).unwrap();
    }
    disk.arm(Fault::once(DiskOperation::Sync, 0));
    assert!(store.append("s", numbered(21)).is_err());
    disk.disarm();
    assert!(store.close().is_err());
    drop(store);
    let file = disk.bytes();
    assert_eq!(opened(file.clone()).unwrap().committed().get(), 21);
    // The first entry lies at the beginning of the journal.
    for bit in 0..40 * 8 {
        let refused = opened(flipped(&file, 12_288 * 8 + bit));
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "bit {bit}: {refused:?}");
    }
}

#[test]
fn a_bit_of_the_header_or_of_the_meta_row_is_named_and_read_over() {
    let (file, _) = killed();
    let id = *opened_to_read(file.clone()).unwrap().id().uuid().as_bytes();
    let header = 0..56 * 8;
    // The seal and the first fields lie before the store's id.
    let meta = places(&file, &id).into_iter().flat_map(|at| (at - 10) * 8..(at + 30) * 8);
    let mut named = 0;
    for bit in header.clone().chain(meta) {
        let damaged = flipped(&file, bit);
        let store = opened_to_read(damaged.clone()).unwrap();
        assert_eq!(numbers(&store), (1..=20).collect::<Vec<_>>(), "bit {bit}");
        if header.contains(&bit) {
            assert!(opened(damaged).is_err(), "bit {bit}");
            assert!(!store.maintenance().verify().unwrap().is_clean(), "bit {bit}");
        }
        named += usize::from(!store.maintenance().damage().is_empty());
    }
    assert!(named > 56 * 8 + 100, "{named}");
}

#[test]
fn a_retry_is_not_recorded_twice_because_a_bit_of_the_index_has_turned() {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    let events: Vec<NewEvent> = (0..200).map(numbered).collect();
    for event in &events {
        store.append("s", event.clone()).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let file = disk.bytes();
    let mut tried = 0;
    // One in the middle; the last one, which is also the largest.
    for event in [&events[77], &events[199]] {
        let place = opened(file.clone()).unwrap().get(event.id()).unwrap().sequence();
        for at in places(&file, event.id().uuid().as_bytes()) {
            for bit in 0..128 {
                let Ok(store) = opened(flipped(&file, at * 8 + bit)) else { continue };
                tried += 1;
                match store.append("s", event.clone()) {
                    Ok(receipt) => assert!(receipt.duplicate(), "bit {bit} of byte {at}: recorded twice"),
                    Err(e) => assert!(matches!(e, Error::Corrupt { .. }), "{e:?}"),
                }
                match store.get(event.id()) {
                    Ok(found) => assert_eq!(found.sequence(), place),
                    Err(e) => assert!(matches!(e, Error::Corrupt { .. }), "{e:?}"),
                }
            }
        }
    }
    assert!(tried >= 256, "{tried}");
}

#[test]
fn a_session_is_not_begun_again_because_a_bit_of_its_name_has_turned() {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    for session in ["alpha-1", "beta-12", "gamma-3"] {
        for n in 0..3 {
            store.append(session, numbered(n)).unwrap();
        }
        store.fork(session, "side").unwrap();
    }
    store.close().unwrap();
    drop(store);
    let file = disk.bytes();
    let mut tried = 0;
    for at in places(&file, b"beta-12") {
        for bit in 0..7 * 8 {
            let damaged = flipped(&file, at * 8 + bit);
            let Ok(store) = opened(damaged) else { continue };
            tried += 1;
            for address in ["beta-12", "beta-12/side"] {
                match store.head(address) {
                    Ok(head) => assert_eq!(head.get(), 3, "{address}, bit {bit} of byte {at}"),
                    Err(e) => assert!(matches!(e, Error::Corrupt { .. }), "{address}: {e:?}"),
                }
            }
            if let Ok(branches) = store.branches(&"beta-12".parse().unwrap()) {
                assert_eq!(branches.len(), 2, "bit {bit} of byte {at}");
            }
            if let Ok(receipt) = store.append("beta-12", numbered(9)) {
                assert_eq!(receipt.parts()[0].first.get(), 4, "bit {bit} of byte {at}");
            }
        }
    }
    assert!(tried >= 2 * 56, "{tried}");
}

#[test]
fn a_branch_whose_row_cannot_be_read_holds_up_no_other() {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    // The largest id is one of the branch that is damaged.
    for session in ["alpha-1", "beta-12"] {
        store.append(session, (0..3).map(numbered).collect::<Vec<_>>()).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let file = disk.bytes();
    let mut unreadable = 0;
    for at in places(&file, b"beta-12") {
        for bit in 0..7 * 8 {
            let Ok(store) = opened(flipped(&file, at * 8 + bit)) else { continue };
            unreadable += u32::from(matches!(store.head("beta-12"), Err(Error::Corrupt { .. })));
            if let Err(e) = store.append("alpha-1", numbered(9)) {
                panic!("bit {bit} of byte {at}: {e}");
            }
        }
    }
    // Some flips are refused when the file is opened.
    assert!(unreadable >= 56, "{unreadable}");
}

#[test]
fn a_table_whose_name_is_damaged_is_missed() {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    store.timers().schedule("s", NewEvent::new("a.b"), Duration::from_secs(100_000)).unwrap();
    store.close().unwrap();
    drop(store);
    let file = disk.bytes();
    for at in places(&file, b"timers") {
        for bit in 0..6 * 8 {
            let Ok(store) = opened(flipped(&file, at * 8 + bit)) else { continue };
            assert!(
                store.timers().list(10).map_or(true, |timers| timers.len() == 1),
                "bit {bit} of byte {at}"
            );
        }
    }
}
