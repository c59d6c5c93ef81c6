//! The power fails at every boundary of what is done to whole files: upgrading, compacting, and making new stores. The folder that is
//! left has a whole store under its name, the one before or the one after; and what was begun can be done again.

use std::path::Path;
use std::time::Duration;

use retold::store::recovery::{RestoreUntil, repair, restore};
use retold::testkit::{Cut, Folder};
use retold::{Builder, Error, NewEvent, Store};

use crate::migrations::{Fixture, export, fixture, folders, names};
use crate::support::{Dice, explained, numbered, numbers, quick_dir, soak};

fn settings() -> Builder {
    Store::builder()
        .exclusive()
        .journal_bytes(64 << 10)
        .flush_after(20, 6_000)
        .flush_when_idle(Duration::from_secs(3_600))
}

/// Without syncs, for what comes after the power cut.
fn quick() -> Builder {
    settings().sync(false)
}

/// Makes images of a folder from a moment on: of every moment in the long form; in the short one of those around changes of
/// names, and of every `step`th. `check` gets each with the moment. How many there were.
fn images(folder: &Folder, from: usize, step: usize, check: &dyn Fn(&Path, usize)) -> usize {
    let unsynced = |moment: usize| folder.moment(moment).unsynced_names();
    let (mut dice, mut made, mut before) = (Dice(from as u64), 0, unsynced(from));
    for moment in from..=folder.operations() {
        let (state, after) = (folder.moment(moment), unsynced(moment + 1));
        let names = state.unsynced_names();
        let (is_changed, changes) = (names != before, after != names);
        before = names;
        if !soak() && !is_changed && !changes && moment % step != 0 {
            continue;
        }
        let mut of_names = vec![Cut::Nothing];
        if names > 0 {
            of_names.push(Cut::Everything);
            // Of two or more, any without the others.
            of_names.extend((1..names.min(3) * 2).map(|_| Cut::Some { seed: dice.roll() }));
        }
        if soak() {
            of_names.extend((1..names).map(|writes| Cut::First { writes, bytes: 0 }));
        } else if !is_changed {
            of_names = vec![of_names[dice.under(of_names.len() as u64) as usize].clone()];
        }
        for names in of_names {
            let seed = dice.roll();
            let torn =
                [Cut::Some { seed }, Cut::Torn { seed, sector: 512 }, Cut::Torn { seed, sector: 4_096 }];
            let torn = torn[dice.under(3) as usize].clone();
            let of_files = [Cut::Nothing, Cut::Everything, torn];
            let one = dice.under(of_files.len() as u64) as usize;
            for files in if soak() { &of_files[..] } else { &of_files[one..=one] } {
                let dir = quick_dir();
                state.cut(&names, files, dir.path()).unwrap();
                let last = folder.last(moment);
                let told = format!("names {names:?}, files {files:?} at {moment} from {from}, after: {last}");
                explained(&told, || check(dir.path(), moment));
                made += 1;
            }
        }
    }
    made
}

/// The numbers on a branch are those from 1 on. How many there are.
fn dense(store: &Store, address: &str) -> u64 {
    let found = numbers(store, address);
    assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "{address}");
    found.len() as u64
}

fn clean(store: &Store) {
    let report = store.maintenance().verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
}

/// What was appended, and when each was acknowledged.
#[derive(Default)]
struct Acks(Vec<(usize, usize)>);

impl Acks {
    fn append(&mut self, store: &Store, folder: &Folder) {
        let asked = folder.operations();
        store.append("s", numbered(self.0.len() as u64 + 1)).unwrap();
        self.0.push((asked, folder.operations()));
    }

    /// What there has to be at a moment is there, and no more than there may be. How many there are.
    fn check(&self, store: &Store, moment: usize) -> u64 {
        let found = dense(store, "s");
        let sure = self.0.iter().filter(|(_, acknowledged)| *acknowledged <= moment).count() as u64;
        let asked = self.0.iter().filter(|(asked, _)| *asked < moment).count() as u64;
        assert!((sure..=asked.max(sure)).contains(&found), "{found} of {sure} to {asked}");
        found
    }
}

/// A store with a fork, a timer, and a session that is deleted and purged.
fn grown(store: &Store, folder: &Folder) -> Acks {
    let mut acks = Acks::default();
    for _ in 0..30 {
        acks.append(store, folder);
    }
    store.fork("s@10", "b").unwrap();
    store.append("s/b", numbered(11)).unwrap();
    for part in 0..4 {
        let large =
            |n: u64| NewEvent::new("step.done").json_text(format!("\"{}\"", n.to_string().repeat(700)));
        store.append("gone", (0..20).map(|n| large(1_000 + part * 20 + n)).collect::<Vec<_>>()).unwrap();
    }
    store.timers().schedule("s", NewEvent::new("late"), Duration::from_secs(99_999)).unwrap();
    store.lifecycle().delete("gone").unwrap();
    store.lifecycle().purge().unwrap();
    for _ in 0..5 {
        acks.append(store, folder);
    }
    acks
}

fn check_grown(store: &Store) {
    assert_eq!(dense(store, "s/b"), 11);
    assert!(matches!(store.head("gone"), Err(Error::Deleted { .. })));
    assert_eq!(store.timers().list(9).unwrap().len(), 1);
    clean(store);
}

#[test]
fn a_power_cut_while_a_store_is_upgraded_leaves_all_of_it_in_one_format_or_the_other() {
    let fixtures: Vec<Fixture> = folders().iter().map(|folder| fixture(folder)).collect();
    let second = fixtures.iter().rposition(|fixture| fixture.format == 2).unwrap();
    for (n, Fixture { format, file, expected }) in fixtures.iter().enumerate() {
        if n != second && !soak() {
            continue;
        }
        let dir = quick_dir();
        std::fs::write(dir.path().join("old.redb"), file).unwrap();
        let folder = Folder::watch(dir.path()).unwrap();
        let begun = folder.operations();
        let store = settings().open(dir.path().join("old.redb")).unwrap();
        let upgraded = folder.operations();
        store.append("after", numbered(1)).unwrap();
        let appended = folder.operations();
        store.close().unwrap();
        let made = images(&folder, begun, 60, &|image, moment| {
            let path = image.join("old.redb");
            let found = names(image);
            let store = quick().open(&path).unwrap();
            let was_old = store.maintenance().upgraded().is_some();
            assert!(!was_old || moment < upgraded, "what was upgraded is old again");
            match store.head("after") {
                Ok(head) => assert!(head.get() == 1 && moment > upgraded),
                Err(Error::NotFound { .. }) => {
                    assert!(moment < appended, "what was acknowledged is lost");
                    assert_eq!(&export(&store), expected);
                }
                Err(e) => panic!("{e}"),
            }
            clean(&store);
            store.append("after", numbered(1)).unwrap();
            store.close().unwrap();
            // The old one is there, whole, whichever of the two has the name.
            let kept = format!("old.redb.format{format}.bak");
            assert!(was_old || found.contains(&kept), "{found:?}");
            let old = Builder::new().read_only().exclusive().open(image.join(kept)).unwrap();
            assert_eq!((old.maintenance().info().unwrap().format, &export(&old)), (*format, expected));
            assert_no_drafts(image);
        });
        eprintln!("{made} images of upgrading format {format}");
    }
}

fn assert_no_drafts(folder: &Path) {
    let drafts: Vec<String> = names(folder).into_iter().filter(|name| name.ends_with(".new")).collect();
    assert!(drafts.is_empty(), "{drafts:?} are left");
}

#[test]
fn a_power_cut_while_a_store_is_compacted_leaves_all_of_it_in_one_file_or_the_other() {
    let dir = quick_dir();
    let path = dir.path().join("runs.redb");
    let folder = Folder::watch(dir.path()).unwrap();
    let store = settings().open(&path).unwrap();
    let mut acks = grown(&store, &folder);
    let begun = folder.operations();
    let compacted = store.maintenance().compact_with(|_, _| acks.append(&store, &folder)).unwrap();
    assert!(compacted.after < compacted.before, "{compacted:?}");
    acks.append(&store, &folder);
    store.close().unwrap();
    let made = images(&folder, begun, 8, &|image, moment| {
        let store = quick().open(image.join("runs.redb")).unwrap();
        let found = acks.check(&store, moment);
        check_grown(&store);
        assert_no_drafts(image);
        store.maintenance().compact().unwrap();
        store.append("s", numbered(found + 1)).unwrap();
        store.close().unwrap();
        let store = quick().open(image.join("runs.redb")).unwrap();
        assert_eq!(dense(&store, "s"), found + 1);
        check_grown(&store);
        assert_no_drafts(image);
    });
    eprintln!("{made} images of compacting");
}

#[test]
fn a_power_cut_while_a_store_is_backed_up_leaves_a_whole_copy_or_none() {
    let dir = quick_dir();
    let folder = Folder::watch(dir.path()).unwrap();
    let store = settings().open(dir.path().join("runs.redb")).unwrap();
    let mut acks = grown(&store, &folder);
    let begun = folder.operations();
    let before = acks.0.len() as u64;
    store
        .maintenance()
        .backup_with(dir.path().join("copy.redb"), None, |_, _| acks.append(&store, &folder))
        .unwrap();
    let ended = folder.operations();
    acks.append(&store, &folder);
    store.close().unwrap();
    let made = images(&folder, begun, 20, &|image, moment| {
        let store = quick().open(image.join("runs.redb")).unwrap();
        let found = acks.check(&store, moment);
        check_grown(&store);
        let copy = image.join("copy.redb");
        let is_there = copy.exists();
        assert!(is_there || moment < ended, "the backup is lost");
        match store.maintenance().backup(&copy) {
            Ok(_) => assert!(!is_there),
            Err(e) => assert!(is_there && matches!(e, Error::Exists { .. }), "{e}"),
        }
        let copied = quick().open(&copy).unwrap();
        let held = dense(&copied, "s");
        assert!((before..=found.max(before)).contains(&held));
        check_grown(&copied);
        copied.append("s", numbered(held + 1)).unwrap();
        store.append("s", numbered(found + 1)).unwrap();
    });
    eprintln!("{made} images of backing up");
}

/// Makes a new store of a closed one, under every power cut. `due` is how many events it has.
fn made_of(what: &str, due: u64, make: impl Fn(&Path, &Path) -> retold::Result<()>) {
    let dir = quick_dir();
    let source = dir.path().join("runs.redb");
    let folder = Folder::watch(dir.path()).unwrap();
    let store = settings().open(&source).unwrap();
    let acks = grown(&store, &folder);
    store.close().unwrap();
    let begun = folder.operations();
    make(&source, &dir.path().join("new.redb")).unwrap();
    let ended = folder.operations();
    let count = images(&folder, begun, 60, &|image, moment| {
        let (source, new) = (image.join("runs.redb"), image.join("new.redb"));
        let is_there = new.exists();
        assert!(is_there || moment < ended, "the new store is lost");
        match make(&source, &new) {
            Ok(()) => assert!(!is_there),
            Err(e) => assert!(is_there && matches!(e, Error::Exists { .. }), "{e}"),
        }
        let store = quick().open(&new).unwrap();
        assert_eq!(dense(&store, "s"), due);
        clean(&store);
        store.append("s", numbered(due + 1)).unwrap();
        let source = quick().open(&source).unwrap();
        assert_eq!(acks.check(&source, moment), acks.0.len() as u64);
        check_grown(&source);
    });
    eprintln!("{count} images of {what}");
}

#[test]
fn a_power_cut_while_a_backup_is_restored_leaves_a_whole_store_or_none() {
    // All of it is a backup of the backup.
    if soak() {
        made_of("restoring", 35, |from, to| restore(from, to, RestoreUntil::End).map(drop));
    }
    // Up to its twentieth event, before there was anything else.
    made_of("restoring a part", 20, |from, to| {
        restore(from, to, RestoreUntil::Position(20.into())).map(drop)
    });
}

#[test]
fn a_power_cut_while_a_store_is_repaired_leaves_a_whole_store_or_none() {
    // The new file comes to its name as one that is restored does.
    if soak() {
        made_of("repairing", 35, |from, to| repair(from, to).map(drop));
    }
}

#[test]
fn a_power_cut_while_a_store_is_made_leaves_an_empty_store_or_none() {
    let dir = quick_dir();
    let folder = Folder::watch(dir.path()).unwrap();
    let begun = folder.operations();
    let mut acks = Acks::default();
    let store = settings().open(dir.path().join("runs.redb")).unwrap();
    acks.append(&store, &folder);
    store.close().unwrap();
    let made = images(&folder, begun, 4, &|image, moment| {
        let store = quick().open(image.join("runs.redb")).unwrap();
        let found = match store.head("s") {
            Err(Error::NotFound { .. }) => {
                assert!(moment < acks.0[0].1, "what was acknowledged is lost");
                0
            }
            _ => acks.check(&store, moment),
        };
        clean(&store);
        store.append("s", numbered(found + 1)).unwrap();
        assert_no_drafts(image);
    });
    eprintln!("{made} images of making a store");
}
