//! What a store says that it could do without is about what a purge and a compaction give back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use retold::lifecycle::DeadSpace;
use retold::{Builder, NewEvent, Query, Store};

use crate::support::{Dice, numbered};

fn settings() -> Builder {
    Store::builder()
        .sync(false)
        .exclusive()
        .journal_bytes(256 << 10)
        .flush_when_idle(Duration::from_secs(3_600))
}

/// Events that do not compress, of some 700 bytes.
fn large(dice: &mut Dice) -> NewEvent {
    let text: String = (0..40).map(|_| format!("{:016x}", dice.roll())).collect();
    NewEvent::new("step.done").json_text(format!("\"{text}\""))
}

fn grow(store: &Store, sessions: u64, parts: u64) {
    let mut dice = Dice(7);
    for part in 0..parts {
        for session in 0..sessions {
            let events: Vec<_> = (0..20).map(|_| large(&mut dice)).collect();
            store.append(format!("s{session}").as_str(), events).unwrap();
        }
        if part % 4 == 3 {
            store.maintenance().flush().unwrap();
        }
    }
    store.maintenance().flush().unwrap();
}

fn dead(store: &Store) -> DeadSpace {
    store.lifecycle().dead_space().unwrap().unwrap()
}

/// What is given back differs by no more than a tenth of the file, and a few pages.
fn about(said: u64, given: u64, file: u64) {
    let most = file / 12 + (128 << 10);
    assert!(said.abs_diff(given) <= most, "{said} were said of {file}, and {given} are given back");
}

#[test]
fn what_is_deleted_is_said_before_it_is_purged_and_after_it_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = settings().open(&path).unwrap();
    grow(&store, 8, 40);
    let before = dead(&store);
    assert_eq!((before.unpurged, before.is_partial), (0, false));
    // Two of eight, a half of another, and one that has a fork from which it is still read.
    store.fork("s3", "kept").unwrap();
    for session in ["s1", "s2", "s3"] {
        store.lifecycle().delete(session).unwrap();
    }
    store.lifecycle().truncate("s4", 401).unwrap();
    let deleted = dead(&store);
    assert_eq!(deleted.free, before.free, "nothing was removed yet");
    let payloads = store.maintenance().info().unwrap().payload_bytes;
    about(deleted.unpurged, payloads * 5 / 16, before.file);
    let purged = store.lifecycle().purge().unwrap();
    assert!(purged.events > 1_900);
    let after = dead(&store);
    about(after.unpurged, 0, after.file);
    assert!(after.free > before.free + payloads / 5, "{after:?} after {before:?}");
    assert_eq!(after.percent(), after.bytes() * 100 / after.file);
    let compacted = store.maintenance().compact().unwrap();
    assert_eq!(after.file, compacted.before);
    assert_eq!(store.events(Query::branch("s3/kept").unwrap()).unwrap().count(), 800);
    // The new file has grown ahead for what comes next, and says so.
    let now = dead(&store);
    assert_eq!((now.file, now.unpurged), (compacted.after, 0));
    let given = compacted.before - compacted.after + now.free;
    about(after.bytes(), given, compacted.before);
    about(deleted.bytes(), given, compacted.before);
}

#[test]
fn a_store_that_is_read_only_or_not_in_a_file_says_what_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    assert_eq!(Store::in_memory().unwrap().lifecycle().dead_space().unwrap(), None);
    let store = settings().open(&path).unwrap();
    assert!(dead(&store).bytes() <= fs::metadata(&path).unwrap().len());
    grow(&store, 3, 8);
    store.lifecycle().delete("s1").unwrap();
    let own = dead(&store);
    assert!(own.unpurged > 50_000, "what is only in the journal counts: {own:?}");
    store.close().unwrap();
    let store = Store::builder().read_only().exclusive().open(&path).unwrap();
    let found = dead(&store);
    assert_eq!((found.unpurged, found.file), (own.unpurged, fs::metadata(&path).unwrap().len()));
}

#[test]
fn it_is_said_while_others_append_and_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = settings().flush_after(64, 1 << 20).open(dir.path().join("runs.redb")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = crate::support::SetOnDrop(&done);
        let writer = scope.spawn(|| {
            let mut dice = Dice(3);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.append("s", large(&mut dice)).unwrap();
            }
        });
        while store.committed().get() < 3_000 {
            // The pages of the state that was found stay as they are.
            let found = store.lifecycle().dead_space().unwrap();
            assert!(found.is_none_or(|found| found.bytes() < found.file));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    });
}

#[test]
#[cfg(unix)]
fn another_process_hears_what_the_owner_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let owner = Store::builder().open(&path).unwrap();
    grow(&owner, 2, 4);
    owner.lifecycle().delete("s1").unwrap();
    let mut peer = crate::peer::Peer::with(&path, "");
    let said = dead(&owner);
    assert_eq!(peer.ask("dead"), format!("{} {} {}", said.file, said.free, said.unpurged));
}

/// Whatever is wrong with a page, the answer comes, and it is no more than the file.
fn damaged(path: &Path, bytes: &[u8], tables: usize) -> (u32, u32) {
    let (mut known, mut unknown) = (0, 0);
    let mut dice = Dice(11);
    for page in (tables..bytes.len()).step_by(4_096) {
        let mut bytes = bytes.to_vec();
        let end = bytes.len().min(page + 4_096);
        match dice.under(3) {
            0 => bytes[page..end].iter_mut().for_each(|byte| *byte = dice.roll() as u8),
            1 => bytes[page..end].fill(2),
            _ => bytes[page + dice.under(64) as usize] ^= 1 << dice.under(8),
        }
        fs::write(path, &bytes).unwrap();
        let Ok(store) = Store::builder().read_only().exclusive().open(path) else { continue };
        match store.lifecycle().dead_space() {
            Ok(Some(dead)) => {
                assert!(dead.bytes() <= dead.file);
                known += 1;
            }
            Ok(None) => unknown += 1,
            Err(e) => assert!(e.is_damage(), "{e}"),
        }
    }
    (known, unknown)
}

#[test]
fn a_damaged_file_says_it_or_that_it_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = settings().flush_after(50, 1 << 20).open(&path).unwrap();
    for n in 0..400 {
        store
            .append(
                format!("s{}", n % 40).as_str(),
                (0..20).map(|i| numbered(n * 20 + i)).collect::<Vec<_>>(),
            )
            .unwrap();
    }
    store.lifecycle().delete("s1").unwrap();
    store.lifecycle().delete("s7").unwrap();
    store.close().unwrap();
    let bytes = fs::read(&path).unwrap();
    let tables = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    let (known, unknown) = damaged(&dir.path().join("damaged.redb"), &bytes, tables);
    // Which pages are in use depends on when what was flushed: it may be that none of those is needed.
    assert!(known > 0, "{known} of {unknown}");
}
