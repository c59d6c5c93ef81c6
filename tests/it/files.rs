//! The files that a store makes: for its owner alone, and none left over.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use retold::{NewEvent, Store};

fn event() -> NewEvent {
    NewEvent::new("step.done")
}

fn draft(store: &Path, n: u32) -> PathBuf {
    let name = store.file_name().unwrap().display();
    store.with_file_name(format!(".{name}.0190000{n}-0000-7000-8000-000000000000.new"))
}

/// Everything beside a store of this name, which is there too.
fn names(store: &Path) -> Vec<String> {
    let entries = fs::read_dir(store.parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn drafts_that_a_kill_has_left_go_with_the_next_creation_or_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let others = [".other.redb.01900000-0000-7000-8000-000000000000.new", ".runs.redb.mine.new"];
    others.iter().for_each(|name| fs::write(dir.path().join(name), "").unwrap());
    for round in 0..2 {
        fs::write(draft(&path, round), "half").unwrap();
        Store::open(&path).unwrap().append("s", event()).unwrap();
        assert_eq!(names(&path), [others[0], others[1], "runs.redb"]);
    }
    // One that is read does not write, and does not tidy up.
    fs::write(draft(&path, 2), "half").unwrap();
    drop(Store::builder().read_only().open(&path).unwrap());
    assert!(draft(&path, 2).exists());
}

#[test]
fn a_draft_that_somebody_writes_stays_until_it_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let writing = File::create(draft(&path, 0)).unwrap();
    writing.try_lock().unwrap();
    for _ in 0..2 {
        drop(Store::open(&path).unwrap());
        assert!(draft(&path, 0).exists());
    }
    drop(writing);
    drop(Store::open(&path).unwrap());
    assert_eq!(names(&path), ["runs.redb"]);
}

#[test]
fn a_maker_that_died_between_two_names_leaves_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    Store::open(&path).unwrap().append("s", event()).unwrap();
    fs::hard_link(&path, draft(&path, 0)).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.head("s").unwrap().get(), 1);
    store.close().unwrap();
    assert_eq!(names(&path), ["runs.redb"]);
}

#[cfg(unix)]
mod modes {
    use std::os::unix::fs::PermissionsExt;

    use retold::bus::spill::Spill;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone_and_what_is_there_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.redb");
        let store = Store::open(&path).unwrap();
        Spill::beside(&store).unwrap().put("s", &event()).unwrap();
        assert_eq!((mode(&path), mode(&dir.path().join("runs.redb.spill.ndjson"))), (0o600, 0o600));
        drop(store);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        drop(Store::open(&path).unwrap());
        assert_eq!(mode(&path), 0o640);
    }

    #[test]
    fn nothing_is_recorded_in_a_file_that_has_lost_its_name_until_it_has_it_again() {
        for exclusive in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (path, aside) = (dir.path().join("runs.redb"), dir.path().join("aside.redb"));
            let builder = Store::builder().sync(false);
            let builder = if exclusive { builder.exclusive() } else { builder };
            let store = builder.open(&path).unwrap();
            store.append("s", event()).unwrap();
            fs::rename(&path, &aside).unwrap();
            let told = store.append("s", event()).unwrap_err().to_string();
            assert!(told.contains("runs.redb was deleted, renamed or replaced"), "{told}");
            assert_eq!(store.head("s").unwrap().get(), 1);
            // Another file of that name is not it.
            fs::write(&path, "another").unwrap();
            assert!(store.append("s", event()).is_err());
            fs::rename(&aside, &path).unwrap();
            assert_eq!(store.append("s", event()).unwrap().last().get(), 2);
            fs::remove_file(&path).unwrap();
            assert!(store.append("s", event()).is_err());
        }
    }

    #[test]
    fn an_upgrade_keeps_the_mode_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.redb");
        let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/0002_journal_in_front/before.redb");
        fs::copy(old, &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let store = Store::open(&path).unwrap();
        let copy = store.maintenance().upgraded().unwrap().copy.clone();
        assert_eq!((mode(&path), mode(&copy)), (0o640, 0o640));
    }
}

/// A child that is being started has a copy of every open file until it runs its program.
#[test]
#[cfg(unix)]
fn a_store_that_was_just_made_is_not_in_use_because_children_are_being_started() {
    let dir = tempfile::tempdir().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = crate::support::SetOnDrop(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::process::Command::new("true").status().unwrap();
                }
            });
        }
        let made = (0..60).map(|n| Store::builder().sync(false).open(dir.path().join(format!("{n}.redb"))));
        let made: Vec<retold::Result<Store>> = made.collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for store in made {
            store.unwrap();
        }
    });
}
