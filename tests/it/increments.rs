//! Incremental backups: what they hold, what is made of them, and which are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use retold::consumer::ConsumerConfig;
use retold::store::recovery::{Backup, RestoreUntil, repair, restore, restore_chain, restore_chain_with};
use retold::{Error, NewEvent, Query, Store};

#[cfg(unix)]
use crate::peer::Peer;
use crate::support::{append_pairs, number, numbered, numbers, pairs_are_whole};

/// A folder with a store, and its backups.
struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(&folder.path().join("runs.redb"));
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, session: &str, numbers: std::ops::RangeInclusive<u64>) {
        self.store.append(session, numbers.map(numbered).collect::<Vec<_>>()).unwrap();
    }

    fn full(&self, name: &str) -> Backup {
        self.store.maintenance().backup(self.path(name)).unwrap()
    }

    fn since(&self, earlier: &str, name: &str) -> Result<Backup, Error> {
        self.store.maintenance().backup_since(self.path(earlier), self.path(name))
    }

    /// Restores backups, each of which follows the one before it.
    fn chain(&self, names: &[&str], to: &str) -> Result<Store, Error> {
        let files: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        restore_chain(&files, self.path(to), RestoreUntil::End)?;
        let store = opened(&self.path(to));
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        Ok(store)
    }

    /// Why an increment since this one is refused. Nothing is left of it.
    fn refused(&self, earlier: &str) -> String {
        let before = listed(self.folder.path());
        let made = self.since(earlier, "refused.redb");
        let Err(Error::NotABase { path, reason }) = made else { panic!("{earlier}: {made:?}") };
        assert_eq!(Path::new(&path), self.path(earlier));
        assert_eq!(listed(self.folder.path()), before);
        reason
    }

    /// Why these are not restored together. Nothing is left of what was begun.
    fn apart(&self, names: &[&str]) -> String {
        let before = listed(self.folder.path());
        let made = self.chain(names, "apart.redb");
        let Err(Error::Invalid(invalid)) = made else { panic!("{names:?}: {made:?}") };
        assert_eq!(listed(self.folder.path()), before);
        invalid.to_string()
    }
}

fn opened(path: &Path) -> Store {
    Store::builder().sync(false).exclusive().open(path).unwrap()
}

fn listed(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn it_has_what_came_since_and_the_chain_is_the_whole() {
    let place = Place::new();
    let store = &place.store;
    place.append("s", 1..=2_000);
    let consumer = store.consumers().open("worker", ConsumerConfig::new()).await.unwrap();
    consumer.next().await.unwrap().ack().await.unwrap();
    let full = place.full("full");
    assert_eq!((full.since, full.position.get()), (None, 2_000));

    place.append("s", 2_001..=2_010);
    store.fork("s@10", "retry").unwrap();
    store.append("s/retry", numbered(11)).unwrap();
    consumer.next().await.unwrap().ack().await.unwrap();
    store.timers().schedule("s", NewEvent::new("late"), Duration::from_secs(99_999)).unwrap();
    let mut told = Vec::new();
    let (earlier, to) = (place.path("full"), place.path("one"));
    let one = store.maintenance().backup_with(&to, Some(&earlier), |done, of| told.push((done, of))).unwrap();
    assert_eq!((one.since.unwrap().get(), one.position.get()), (2_000, 2_011));
    assert_eq!((one.path, one.bytes), (to.clone(), fs::metadata(&to).unwrap().len()));
    assert!(one.bytes < full.bytes / 2, "{} of {}", one.bytes, full.bytes);
    assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{told:?}");
    assert_eq!(told.last(), Some(&(22, 22)));

    store.lifecycle().delete("s").unwrap();
    store.lifecycle().purge().unwrap();
    place.append("t", 3_001..=3_003);
    let two = place.since("one", "two").unwrap();
    assert_eq!((two.since.unwrap().get(), two.position.get()), (2_011, 2_014));
    // With nothing new there is nothing to hold.
    let none = place.since("two", "none").unwrap();
    assert_eq!((none.since, none.position), (Some(two.position), two.position));
    consumer.close().await;

    let then = place.chain(&["full", "one"], "then.redb").unwrap();
    assert_eq!(then.id(), store.id());
    assert_eq!(numbers(&then, "s"), (1..=2_010).collect::<Vec<_>>());
    assert_eq!(numbers(&then, "s/retry"), (1..=11).collect::<Vec<_>>());
    assert_eq!(then.consumers().info("worker").unwrap().acknowledged, 2);
    assert_eq!(then.timers().list(9).unwrap().len(), 1);
    let consumer = then.consumers().open_existing("worker").await.unwrap();
    assert_eq!(number(consumer.next().await.unwrap().event()), 3);
    consumer.close().await;

    let now = place.chain(&["full", "one", "two", "none"], "now.redb").unwrap();
    assert!(matches!(now.head("s"), Err(Error::Deleted { .. })));
    assert_eq!(numbers(&now, "s/retry"), (1..=11).collect::<Vec<_>>());
    assert_eq!(numbers(&now, "t"), [3_001, 3_002, 3_003]);
    assert_eq!(now.committed().get(), 2_014);
    // It goes on, and whatever followed the last backup follows it.
    now.append("t", numbered(3_004)).unwrap();
    let again = now.maintenance().backup_since(place.path("none"), place.path("three")).unwrap();
    assert_eq!((again.since.unwrap().get(), again.position.get()), (2_014, 2_015));
    let later = place.chain(&["full", "one", "two", "none", "three"], "later.redb").unwrap();
    assert_eq!(numbers(&later, "t").last(), Some(&3_004));
}

#[test]
fn a_few_events_of_many_branches_do_not_bring_the_blocks_in_which_they_lie() {
    let place = Place::new();
    for session in 0..200 {
        place.append(&format!("s{session}"), 1..=40);
    }
    place.store.maintenance().flush().unwrap();
    let full = place.full("full");
    for session in 0..200 {
        place.append(&format!("s{session}"), 41..=41);
    }
    let one = place.since("full", "one").unwrap();
    // The journal of a full one has 12 MiB that take no space.
    let taken = full.bytes - 12 * 1_024 * 1_024;
    assert!(one.bytes < taken / 3, "{} of {taken}", one.bytes);
    let now = place.chain(&["full", "one"], "now.redb").unwrap();
    assert!((0..200).all(|session| now.head(format!("s{session}").as_str()).unwrap().get() == 41));
}

#[test]
fn a_truncated_event_that_no_file_has_stays_known() {
    let place = Place::new();
    place.append("s", 1..=10);
    place.full("full");
    let later: Vec<NewEvent> = (11..=5_000).map(|n| numbered(n).with_id(id(n))).collect();
    place.store.append("s", later).unwrap();
    place.store.lifecycle().truncate("s", 4_990).unwrap();
    assert!(place.store.lifecycle().purge().unwrap().events > 4_000);
    place.since("full", "one").unwrap();
    place.append("s", 5_001..=5_002);
    place.since("one", "two").unwrap();
    for chain in [&["full", "one"][..], &["full", "one", "two"]] {
        let now = place.chain(chain, &format!("now-{}.redb", chain.len())).unwrap();
        for n in [11, 2_000, 4_989] {
            let again = now.append("s", numbered(n).with_id(id(n)));
            assert!(matches!(again, Err(Error::Duplicate { .. })), "{n}: {again:?}");
        }
        assert!(matches!(now.read(&Query::branch("s").unwrap().from(5u64)), Err(Error::Truncated { .. })));
        assert_eq!(now.branch("s").unwrap().first.get(), 4_990);
    }
}

fn id(n: u64) -> retold::EventId {
    format!("01890000-0000-7000-8000-{n:012x}").parse().unwrap()
}

#[test]
fn a_compaction_between_two_backups_does_not_matter() {
    let place = Place::new();
    place.append("s", 1..=500);
    place.full("full");
    place.append("t", 1..=3);
    place.store.maintenance().compact().unwrap();
    place.append("s", 501..=510);
    place.since("full", "one").unwrap();
    place.store.maintenance().compact().unwrap();
    place.append("s", 511..=511);
    place.since("one", "two").unwrap();
    let now = place.chain(&["full", "one", "two"], "now.redb").unwrap();
    assert_eq!(numbers(&now, "s"), (1..=511).collect::<Vec<_>>());
    assert_eq!(numbers(&now, "t"), [1, 2, 3]);
}

#[test]
fn a_chain_is_restored_up_to_a_position_or_a_time() {
    let place = Place::new();
    place.append("s", 1..=4);
    place.full("full");
    place.append("s", 5..=6);
    place.since("full", "one").unwrap();
    let now = retold::Timestamp::now();
    while retold::Timestamp::now() <= now {}
    place.append("s", 7..=9);
    place.since("one", "two").unwrap();
    let chain = ["full", "one", "two"].map(|name| place.path(name));
    let mut told = Vec::new();
    let until = RestoreUntil::Position(6.into());
    let to = place.path("position.redb");
    let made = restore_chain_with(&chain, &to, until, |done, of| {
        told.push((done, of));
    });
    let made = made.unwrap();
    assert_eq!((made.position.get(), made.left_out, &made.path), (6, 3, &to));
    assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{told:?}");
    let to = place.path("time.redb");
    let made = restore_chain(&chain, &to, RestoreUntil::Time(now)).unwrap();
    assert_eq!((made.position.get(), made.left_out), (6, 3));
    assert_eq!(numbers(&opened(&to), "s"), [1, 2, 3, 4, 5, 6]);
    assert!(!listed(place.folder.path()).iter().any(|name| name.ends_with(".new")));
    // A part of it is not what was backed up.
    let part = opened(&place.path("position.redb"));
    let made = part.maintenance().backup_since(place.path("full"), place.path("three"));
    assert!(matches!(made, Err(Error::NotABase { .. })), "{made:?}");
}

#[test]
fn an_earlier_backup_that_the_store_does_not_go_on_from_is_refused_by_name() {
    let place = Place::new();
    place.append("s", 1..=5);
    place.full("full");
    place.since("full", "one").unwrap();
    place.append("s", 6..=9);
    place.full("later");

    let other = Place::new();
    other.append("s", 1..=9);
    for backup in ["full", "one"] {
        fs::copy(place.path(backup), other.path(backup)).unwrap();
        assert_eq!(other.refused(backup), "it is of another store");
    }

    // A store by itself, and a backup that has become one.
    let copy = place.path("store.redb");
    opened(&copy).close().unwrap();
    assert!(place.refused("store.redb").contains("no label"));
    for (name, write) in [("opened", false), ("appended", true)] {
        fs::copy(place.path("full"), place.path(name)).unwrap();
        let store = opened(&place.path(name));
        if write {
            store.append("s", numbered(6)).unwrap();
        }
        store.close().unwrap();
    }
    place.since("opened", "of-opened").unwrap();
    assert!(place.refused("appended").contains("written to"));

    let missing = place.since("none", "x.redb");
    assert!(matches!(&missing, Err(Error::NotFound { what: "backup", .. })), "{missing:?}");
    fs::write(place.path("text"), "no backup at all, but long enough for a header of one").unwrap();
    let wrong = place.since("text", "x.redb");
    assert!(matches!(&wrong, Err(Error::Invalid(_))), "{wrong:?}");
    assert!(matches!(place.since("runs.redb", "x.redb"), Err(Error::Locked { .. })));
    assert!(matches!(place.since("full", "later"), Err(Error::Exists { .. })));
    assert!(matches!(place.since(".", "x.redb"), Err(Error::Invalid(_))));
    let memory = Store::in_memory().unwrap();
    assert!(memory.maintenance().backup_since(place.path("full"), place.path("x.redb")).is_err());
    assert!(!place.path("x.redb").exists());
}

/// A store of five events, and a copy of its file, to be put back later.
fn kept() -> (Place, PathBuf) {
    let place = Place::new();
    place.append("s", 1..=5);
    place.store.close().unwrap();
    let copy = place.path("rolled.redb");
    fs::copy(place.path("runs.redb"), &copy).unwrap();
    (Place { store: opened(&place.path("runs.redb")), ..place }, copy)
}

/// The same file is put back as it was, and goes on differently: only the last event tells.
#[test]
fn a_backup_of_what_the_store_has_lost_is_refused() {
    let (place, rolled) = kept();
    let later = |n: u64| numbered(n).with_id(id(n));
    place.store.append("s", later(6)).unwrap();
    place.full("full");
    place.since("full", "one").unwrap();

    let place = Place { store: opened(&rolled), ..place };
    for backup in ["full", "one"] {
        assert!(place.refused(backup).contains("ends at position 6, and the store at 5"));
    }
    // The same event again, at the same position.
    place.store.append("s", later(6)).unwrap();
    for backup in ["full", "one"] {
        assert!(place.refused(backup).contains("restored, repaired or replaced"));
    }
}

/// What a store had when the file was put back that it was copied to is not what the backup has, though its last event cannot be
/// compared any more.
#[test]
fn a_backup_of_what_the_store_has_lost_is_refused_though_the_rest_was_purged() {
    let (place, rolled) = kept();
    place.append("s", 6..=9);
    place.append("y", 10..=10);
    place.full("full");
    place.store.close().unwrap();
    let unpurged = place.path("unpurged.redb");
    fs::copy(place.path("runs.redb"), &unpurged).unwrap();
    let place = Place { store: opened(&place.path("runs.redb")), ..place };
    place.store.lifecycle().delete("y").unwrap();
    place.store.lifecycle().purge().unwrap();
    place.full("purged");
    let before = place.path("before.redb");
    place.store.close().unwrap();
    fs::copy(place.path("runs.redb"), &before).unwrap();

    // Other events at the same positions, and the last of them removed as well.
    let place = Place { store: opened(&rolled), ..place };
    place.append("s", 6..=9);
    place.append("y", 10..=10);
    place.store.lifecycle().delete("y").unwrap();
    place.store.lifecycle().purge().unwrap();
    for backup in ["full", "purged"] {
        assert!(place.refused(backup).contains("restored, repaired or replaced"), "{backup}");
    }
    // What the backup had follows the same store that has not been put back.
    let place = Place { store: opened(&before), ..place };
    place.append("s", 11..=12);
    place.since("full", "one").unwrap();
    place.since("purged", "two").unwrap();
    // The store has events again that the backup does not have any more.
    let place = Place { store: opened(&unpurged), ..place };
    place.append("s", 13..=13);
    assert!(place.refused("purged").contains("restored, repaired or replaced"));
    place.since("full", "three").unwrap();
}

#[test]
fn a_backup_from_before_a_repair_or_a_restore_is_refused_and_that_which_was_restored_is_not() {
    let place = Place::new();
    place.append("s", 1..=4);
    place.append("s", 5..=5);
    place.full("full");
    place.append("s", 6..=6);
    place.since("full", "one").unwrap();
    place.store.close().unwrap();
    repair(place.path("runs.redb"), place.path("repaired.redb")).unwrap();
    restore(place.path("full"), place.path("restored.redb"), RestoreUntil::End).unwrap();
    restore(place.path("runs.redb"), place.path("copied.redb"), RestoreUntil::End).unwrap();
    restore(place.path("full"), place.path("part.redb"), RestoreUntil::Position(4.into())).unwrap();

    for name in ["repaired.redb", "copied.redb", "part.redb"] {
        let store = opened(&place.path(name));
        store.append("s", (7..=9).map(numbered).collect::<Vec<_>>()).unwrap();
        for backup in ["full", "one"] {
            let made = store.maintenance().backup_since(place.path(backup), place.path("refused"));
            let Err(Error::NotABase { reason, .. }) = made else { panic!("{name}, {backup}: {made:?}") };
            assert!(reason.contains("restored, repaired or replaced"), "{reason}");
        }
    }
    let restored = opened(&place.path("restored.redb"));
    restored.append("s", numbered(60)).unwrap();
    let made = restored.maintenance().backup_since(place.path("full"), place.path("two")).unwrap();
    assert_eq!((made.since.unwrap().get(), made.position.get()), (5, 6));
    assert!(matches!(
        restored.maintenance().backup_since(place.path("one"), place.path("three")),
        Err(Error::NotABase { .. })
    ));
    let now = place.chain(&["full", "two"], "now.redb").unwrap();
    assert_eq!(numbers(&now, "s"), [1, 2, 3, 4, 5, 60]);
}

#[test]
fn backups_that_do_not_follow_each_other_are_not_restored_together() {
    let place = Place::new();
    place.append("s", 1..=5);
    place.full("full");
    place.full("same");
    place.append("s", 6..=6);
    place.since("full", "one").unwrap();
    place.since("same", "same-one").unwrap();
    place.append("s", 7..=7);
    place.since("one", "two").unwrap();
    let other = Place::new();
    other.append("s", 1..=5);
    other.full("full");
    other.since("full", "one").unwrap();
    fs::copy(other.path("one"), place.path("other")).unwrap();
    fs::copy(place.path("full"), place.path("written")).unwrap();
    opened(&place.path("written")).append("s", numbered(9)).unwrap();

    let order = place.apart(&["full", "two"]);
    assert!(
        order.contains("two cannot be restored") && order.contains("continues one, which ends at position 6")
    );
    assert!(order.contains("ends at 5") && order.contains("leave none out"), "{order}");
    for wrong in [&["full", "two", "one"][..], &["full", "same-one"], &["full", "one", "one"]] {
        assert!(place.apart(wrong).contains("it continues"), "{wrong:?}");
    }
    assert!(place.apart(&["one", "two"]).contains("an incremental one since full"));
    assert!(place.apart(&["full", "same"]).contains("only the first may be"));
    assert!(place.apart(&["full", "other"]).contains("of another store"));
    assert!(place.apart(&["written", "one"]).contains("written to"));
    assert!(place.apart(&[]).contains("name the full one first"));
    assert!(place.apart(&vec!["full"; 300]).contains("one of 300"));
    assert!(matches!(place.chain(&["full", "none"], "x"), Err(Error::NotFound { what: "backup", .. })));
    assert!(matches!(place.chain(&["full", "one"], "two"), Err(Error::Exists { .. })));
    // One by itself is a backup like any other.
    assert_eq!(place.chain(&["full"], "alone.redb").unwrap().committed().get(), 5);
    assert_eq!(place.chain(&["full", "one", "two"], "now.redb").unwrap().committed().get(), 7);
}

#[test]
fn it_is_no_store_by_itself() {
    let place = Place::new();
    place.append("s", 1..=5);
    place.full("full");
    place.append("s", 6..=6);
    place.since("full", "one").unwrap();
    let one = place.path("one");
    let refused = [
        Store::open(&one).err(),
        Store::builder().read_only().open(&one).err(),
        Store::builder().exclusive().open_only().open(&one).err(),
        Store::builder().read_only().exclusive().open(&one).err(),
        repair(&one, place.path("repaired.redb")).err(),
        restore(&one, place.path("restored.redb"), RestoreUntil::End).err(),
        restore(&one, place.path("restored.redb"), RestoreUntil::Position(1.into())).err(),
    ];
    for refused in refused {
        let Some(Error::Invalid(invalid)) = &refused else { panic!("{refused:?}") };
        assert!(invalid.to_string().contains("incremental backup since full"), "{invalid}");
    }
    // Nor does it become one.
    assert_eq!(place.chain(&["full", "one"], "now.redb").unwrap().committed().get(), 6);
    assert!(!place.path("repaired.redb").exists() && !place.path("restored.redb").exists());
}

/// Whatever byte is wrong, what is restored is the store, or nothing is.
#[test]
fn a_damaged_backup_is_an_error_with_its_name_or_does_no_harm() {
    let place = Place::new();
    place.append("s", 1..=40);
    place.store.fork("s@10", "retry").unwrap();
    place.full("full");
    place.append("s", 41..=60);
    place.append("s/retry", 11..=12);
    place.store.lifecycle().truncate("s", 30).unwrap();
    place.store.timers().schedule("s", NewEvent::new("late"), Duration::from_secs(99_999)).unwrap();
    place.since("full", "one").unwrap();
    let (one, broken) = (place.path("one"), place.path("broken"));
    let sound = fs::read(&one).unwrap();
    let due = (numbers(&place.store, "s/retry"), 62);
    let mut refused = 0;
    // Every byte of the header, and some of the rest that are in use.
    let used: Vec<usize> = (64..sound.len()).filter(|at| sound[*at] != 0).collect();
    for at in (0..56).step_by(7).chain(used.iter().copied().step_by((used.len() / 60).max(1))) {
        let mut bytes = sound.clone();
        let Some(byte) = bytes.get_mut(at) else { continue };
        *byte ^= 0x10;
        fs::write(&broken, &bytes).unwrap();
        let to = place.path("to.redb");
        match restore_chain(&[place.path("full"), broken.clone()], &to, RestoreUntil::End) {
            Ok(_) => {
                let store = opened(&to);
                assert_eq!((numbers(&store, "s/retry"), store.committed().get()), due, "byte {at}");
                store.close().unwrap();
                fs::remove_file(&to).unwrap();
            }
            Err(Error::Corrupt { place: found, .. }) => {
                assert!(found.contains("broken"), "byte {at}: {found}");
                refused += 1;
            }
            Err(Error::Invalid(_)) => refused += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
        assert!(!to.exists());
    }
    assert!(refused >= 8, "{refused}");
    for len in [0, 10, 4_096, 16_384, sound.len() / 2, sound.len() - 1] {
        fs::write(&broken, &sound[..len]).unwrap();
        let made =
            restore_chain(&[place.path("full"), broken.clone()], place.path("to.redb"), RestoreUntil::End);
        assert!(matches!(made, Err(Error::Corrupt { .. } | Error::Invalid(_))), "{len}: {made:?}");
        let made = place.since("broken", "two");
        assert!(matches!(made, Err(Error::Corrupt { .. } | Error::Invalid(_))), "{len}: {made:?}");
    }
    assert!(!place.path("to.redb").exists() && !place.path("two").exists());
}

#[test]
fn each_is_whole_while_others_append() {
    let place = Place::new();
    let store = Store::builder().sync(false).flush_after(64, 1 << 20).open(place.path("busy.redb")).unwrap();
    store.maintenance().backup(place.path("0")).unwrap();
    let done = AtomicBool::new(false);
    let ends = std::thread::scope(|scope| {
        let _over = crate::support::SetOnDrop(&done);
        for session in ["s0", "s1"] {
            let (store, done) = (&store, &done);
            scope.spawn(move || append_pairs(store, session, done));
        }
        (1..=4)
            .map(|n| {
                let before = store.committed();
                let (earlier, to) = (place.path(&format!("{}", n - 1)), place.path(&format!("{n}")));
                let made = store.maintenance().backup_since(earlier, to).unwrap();
                assert!(made.position >= before);
                made.position.get()
            })
            .collect::<Vec<u64>>()
    });
    for (last, end) in (1..).zip(&ends) {
        let names: Vec<String> = (0..=last).map(|n| format!("{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let restored = place.chain(&names, &format!("restored{last}.redb")).unwrap();
        assert_eq!(restored.committed().get(), *end);
        pairs_are_whole(&restored, &["s0", "s1"]);
    }
}

#[tokio::test]
async fn tasks_take_and_restore_them_as_well() {
    let place = Place::new();
    place.append("s", 1..=3);
    place.full("full");
    place.append("s", 4..=4);
    let made = place.store.maintenance().backup_since_async(place.path("full"), place.path("one")).await;
    assert_eq!(made.unwrap().since.unwrap().get(), 3);
    let chain = [place.path("full"), place.path("one")];
    let to = place.path("to.redb");
    let made = retold::store::recovery::restore_chain_async(&chain, &to, RestoreUntil::End).await.unwrap();
    assert_eq!((made.position.get(), made.left_out), (4, 0));
    assert_eq!(numbers(&opened(&to), "s"), [1, 2, 3, 4]);
}

#[test]
#[cfg(unix)]
fn another_process_has_the_owner_make_it() {
    let dir = tempfile::tempdir().unwrap();
    let [path, full, one] = ["runs.redb", "full", "one"].map(|name| dir.path().join(name));
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    for builder in [Store::builder(), Store::builder().read_only()] {
        let store = builder.open(&path).unwrap();
        let begun = store.maintenance().backup(&full).unwrap().position.get();
        assert_eq!(peer.ask("append s another"), (begun + 1).to_string());
        let made = store.maintenance().backup_since(&full, &one).unwrap();
        assert_eq!((made.since.unwrap().get(), made.position.get(), &made.path), (begun, begun + 1, &one));
        assert!(matches!(store.maintenance().backup_since(&full, &one), Err(Error::Exists { .. })));
        let none = store.maintenance().backup_since(dir.path().join("none"), dir.path().join("two"));
        assert!(matches!(none, Err(Error::NotFound { what: "backup", .. })), "{none:?}");
        let own = dir.path().join("own.redb");
        opened(&own).close().unwrap();
        let wrong = store.maintenance().backup_since(&own, dir.path().join("two"));
        let Err(Error::NotABase { path: named, .. }) = &wrong else { panic!("{wrong:?}") };
        assert_eq!(Path::new(named), own);
        store.close().unwrap();
        let to = dir.path().join("to.redb");
        restore_chain(&[&full, &one], &to, RestoreUntil::End).unwrap();
        assert_eq!(opened(&to).head("s").unwrap().get(), begun + 1);
        for file in [&full, &one, &to, &own] {
            fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(peer.ask("append s last"), "4");
}
