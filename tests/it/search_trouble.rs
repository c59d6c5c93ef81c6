//! Searching where something is wrong: with the index, its folder, or the store.

use std::fs;
use std::path::Path;

use retold::agents::search::SearchRequest;
use retold::store::recovery::{RestoreUntil, restore};
use retold::{NewEvent, Store, Upcasts};

use crate::damaged_chunk;
use crate::search::{addresses, files, folder, has_bytes, opened, said, sorted};

/// Enough sessions and words for several blocks and segments.
fn written(dir: &Path) -> Store {
    let store = opened(dir);
    for n in 0..12 {
        let events = (0..10).map(|i| said(&format!("login number{} of word{}", n * 10 + i, n % 5)));
        store.append(format!("s{}", n % 4).as_str(), events.collect::<Vec<_>>()).unwrap();
        if n == 6 {
            store.search().update().unwrap();
        }
    }
    store.search().update().unwrap();
    store.append("s0", said("login at the end")).unwrap();
    store
}

fn check(store: &Store, why: &str) {
    assert_eq!(sorted(store, "login").len(), 121, "{why}");
    assert_eq!(sorted(store, "number103 word*").len(), 1, "{why}");
    assert_eq!(sorted(store, "\"of word3\"").len(), 20, "{why}");
    assert_eq!(sorted(store, "end"), ["s0/main@31"], "{why}");
    assert!(sorted(store, "nobody").is_empty(), "{why}");
}

#[test]
fn a_damaged_index_is_never_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = written(dir.path());
    check(&store, "sound");
    let kept = tempfile::tempdir().unwrap();
    let names: Vec<_> = files(dir.path()).into_iter().filter(|file| !file.ends_with("lock")).collect();
    assert!(names.len() >= 2, "{names:?}");
    for (n, file) in names.iter().enumerate() {
        fs::copy(file, kept.path().join(n.to_string())).unwrap();
    }
    let restore_files = || {
        for file in files(dir.path()).into_iter().filter(|file| !file.ends_with("lock")) {
            fs::remove_file(file).unwrap();
        }
        for (n, file) in names.iter().enumerate() {
            fs::copy(kept.path().join(n.to_string()), file).unwrap();
        }
    };
    for (n, file) in names.iter().enumerate() {
        let sound = fs::read(file).unwrap();
        for (turn, at) in (0..sound.len()).step_by((sound.len() / 7).max(1)).enumerate() {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            restore_files();
            // Of a process that has it open, and of another.
            if turn % 2 == 0 {
                check(&store, "before");
            }
            fs::write(file, &damaged).unwrap();
            check(&store, &format!("byte {at} of file {n}"));
        }
        for cut in [0, sound.len() / 2, sound.len() - 1] {
            restore_files();
            fs::write(file, &sound[..cut]).unwrap();
            check(&store, &format!("{cut} bytes of file {n}"));
        }
        restore_files();
        fs::remove_file(file).unwrap();
        check(&store, &format!("without file {n}"));
    }
    // What was made anew is sound.
    store.search().update().unwrap();
    let info = store.search().info().unwrap().unwrap();
    assert_eq!((info.texts, info.behind), (121, 0));
    fs::remove_dir_all(folder(dir.path())).unwrap();
    check(&store, "without its folder");
}

#[test]
fn where_no_index_can_be_written_everything_is_looked_through() {
    let dir = tempfile::tempdir().unwrap();
    // What is in the way is no folder.
    fs::write(folder(dir.path()), b"in the way").unwrap();
    let store = opened(dir.path());
    store.append("a", (0..700).map(|n| said(&format!("login number{n}"))).collect::<Vec<_>>()).unwrap();
    assert_eq!(sorted(&store, "login").len(), 700);
    assert_eq!(sorted(&store, "number699"), ["a/main@700"]);
    assert_eq!(store.search().info().unwrap(), None);
    let refused = store.search().update().unwrap_err().to_string();
    assert!(refused.contains("search index"), "{refused}");
    store.lifecycle().delete("a").unwrap();
    store.lifecycle().purge().unwrap();
    assert!(sorted(&store, "login").is_empty());
}

#[test]
#[cfg(unix)]
fn an_index_that_cannot_be_changed_is_read_and_what_came_since_is_looked_through() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = written(dir.path());
    let info = store.search().info().unwrap().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder(dir.path())), mode(&info.folder)), (0o700, 0o700));
    assert!(files(dir.path()).iter().all(|file| mode(file) == 0o600));
    fs::set_permissions(&info.folder, fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(info.folder.join("lock"), fs::Permissions::from_mode(0o400)).unwrap();
    store.append("z", (0..600).map(|n| said(&format!("late{n}"))).collect::<Vec<_>>()).unwrap();
    assert_eq!(sorted(&store, "late*").len(), 600);
    check(&store, "read-only");
    fs::set_permissions(&info.folder, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn while_another_process_writes_the_index_it_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = written(dir.path());
    let before = store.search().info().unwrap().unwrap();
    let lock = fs::OpenOptions::new().write(true).open(before.folder.join("lock")).unwrap();
    lock.lock().unwrap();
    store.append("z", (0..600).map(|n| said(&format!("late{n}"))).collect::<Vec<_>>()).unwrap();
    assert_eq!(sorted(&store, "late*").len(), 600);
    check(&store, "while it is written");
    store.search().update().unwrap();
    assert_eq!(store.search().sweep().unwrap(), None);
    assert_eq!(store.search().info().unwrap().unwrap().up_to, before.up_to);
    lock.unlock().unwrap();
    assert_eq!(sorted(&store, "late*").len(), 600);
    assert_eq!(store.search().info().unwrap().unwrap().behind, 0);
}

#[test]
fn another_store_of_the_same_name_has_an_index_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = written(dir.path());
    store.close().unwrap();
    drop(store);
    fs::remove_file(dir.path().join("runs.redb")).unwrap();
    let store = opened(dir.path());
    store.append("z", (0..600).map(|n| said(&format!("other{n}"))).collect::<Vec<_>>()).unwrap();
    assert!(sorted(&store, "login").is_empty());
    assert_eq!(sorted(&store, "other599"), ["z/main@600"]);
    assert!(!has_bytes(dir.path(), "login"));
}

#[test]
fn a_restored_store_is_not_answered_from_the_index_of_what_it_was_later() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = (dir.path().join("runs.redb"), dir.path().join("backup.redb"));
    let store = opened(dir.path());
    store.append("a", (0..20).map(|n| said(&format!("early{n}"))).collect::<Vec<_>>()).unwrap();
    store.append("gone", said("comes back")).unwrap();
    store.maintenance().backup(&backup).unwrap();
    store.lifecycle().delete("gone").unwrap();
    store.lifecycle().purge().unwrap();
    store.append("a", said("later")).unwrap();
    store.search().update().unwrap();
    store.search().sweep().unwrap();
    assert!(sorted(&store, "comes").is_empty());
    // The file as it is, with what is deleted now.
    store.close().unwrap();
    drop(store);
    let copy = dir.path().join("copy.redb");
    fs::copy(&path, &copy).unwrap();
    fs::remove_file(&path).unwrap();
    restore(&backup, &path, RestoreUntil::Position(21.into())).unwrap();
    let store = opened(dir.path());
    store.append("a", said("otherwise")).unwrap();
    assert_eq!(sorted(&store, "comes"), ["gone/main@1"]);
    assert_eq!((sorted(&store, "otherwise").len(), sorted(&store, "later").len()), (1, 0));
    store.search().update().unwrap();
    assert_eq!(sorted(&store, "comes"), ["gone/main@1"]);
    store.close().unwrap();
    drop(store);
    // And back again.
    fs::remove_file(&path).unwrap();
    fs::rename(&copy, &path).unwrap();
    let store = opened(dir.path());
    assert_eq!((sorted(&store, "otherwise").len(), sorted(&store, "later").len()), (0, 1));
    assert!(sorted(&store, "comes").is_empty());
}

#[test]
fn a_copy_from_before_a_deletion_has_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("runs.redb"), dir.path().join("copy.redb"));
    let store = opened(dir.path());
    store.append("gone", said("comes back")).unwrap();
    store.append("a", said("stays")).unwrap();
    store.close().unwrap();
    drop(store);
    fs::copy(&path, &copy).unwrap();
    for sweeps in [true, false] {
        let store = opened(dir.path());
        if !sweeps {
            // It is deleted before it is indexed.
            fs::remove_dir_all(folder(dir.path())).unwrap();
        } else {
            store.search().update().unwrap();
        }
        store.lifecycle().delete("gone").unwrap();
        store.search().update().unwrap();
        store.search().sweep().unwrap();
        assert!(sorted(&store, "comes").is_empty());
        store.close().unwrap();
        drop(store);
        fs::copy(&copy, &path).unwrap();
        let store = opened(dir.path());
        assert_eq!(sorted(&store, "comes"), ["gone/main@1"], "swept: {sweeps}");
        store.close().unwrap();
    }
}

#[test]
fn damaged_events_are_counted_and_all_others_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    damaged_chunk::written(&path);
    let (from, to) = damaged_chunk::damage(&path, 2);
    let lost = to - from + 1;
    let store = opened(dir.path());
    // Of the second session the hundreds 1, 5, 9, …
    let number = |sequence: u64| ((sequence - 1) / 100 * 4 + 1) * 100 + (sequence - 1) % 100;
    for is_indexed in [false, true] {
        for sequence in [1, from - 1, to + 1, 1_000] {
            let found = sorted(&store, &number(sequence).to_string());
            assert_eq!(found, [format!("s-1/main@{sequence}")], "indexed: {is_indexed}");
        }
        let found = store.search().find(&SearchRequest::new(number(from).to_string())).unwrap();
        assert_eq!((found.hits.len() as u64, found.unread), (0, lost));
        store.search().update().unwrap();
    }
    let info = store.search().info().unwrap().unwrap();
    assert_eq!((info.texts, info.unread, info.behind), (4_000 - lost, lost, 0));
    assert_eq!(store.search().sweep().unwrap(), Some(0));
}

#[test]
fn an_event_that_is_damaged_after_it_was_indexed_does_not_stand_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    damaged_chunk::written(&path);
    let store = opened(dir.path());
    store.search().update().unwrap();
    store.close().unwrap();
    drop(store);
    let (from, to) = damaged_chunk::damage(&path, 2);
    let store = opened(dir.path());
    let found = store.search().find(&SearchRequest::new("1*").limit(1_000)).unwrap();
    assert!(found.unread > 0 && found.hits.len() > 500);
    let is_lost = |sequence: u64| (from..=to).contains(&sequence);
    assert!(
        found
            .hits
            .iter()
            .all(|hit| { hit.event.session().as_str() != "s-1" || !is_lost(hit.event.sequence().get()) })
    );
    assert_eq!(store.search().sweep().unwrap(), Some(0));
    assert_eq!(store.search().info().unwrap().unwrap().texts, 4_000);
}

#[test]
fn upcasters_that_change_a_text_have_an_index_of_their_own() {
    const STEPS: &str = r#"
        [[step]]
        type = "message.user"
        version = 1
        do = [{ remove = "/text" }, { rename = "/other", to = "text" }]
    "#;
    let dir = tempfile::tempdir().unwrap();
    let old = |store: &Store| {
        let data = serde_json::json!({"text": "zsecret", "other": "visible"});
        store.append("a", NewEvent::new("message.user").data(data)).unwrap();
        let broken = serde_json::json!({"text": "broken"});
        store.append("a", NewEvent::new("message.user").data(broken)).unwrap();
    };
    let store = opened(dir.path());
    old(&store);
    store.search().update().unwrap();
    assert_eq!((sorted(&store, "zsecret").len(), sorted(&store, "visible").len()), (1, 0));
    store.close().unwrap();
    drop(store);
    let upcasts = Upcasts::from_toml("upcast.toml", STEPS).unwrap();
    let how = Store::builder().sync(false).upcasts(upcasts);
    let store = how.open(dir.path().join("runs.redb")).unwrap();
    for _ in 0..2 {
        assert_eq!((sorted(&store, "zsecret").len(), sorted(&store, "visible").len()), (0, 1));
        store.search().update().unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = opened(dir.path());
    assert_eq!((sorted(&store, "zsecret").len(), sorted(&store, "visible").len()), (1, 0));
}

#[test]
fn events_that_cannot_be_upcast_are_counted() {
    const STEPS: &str = r#"
        [[step]]
        type = "job.begun"
        version = 1
        do = [{ convert = "/ms", divide = 1000 }]
    "#;
    let dir = tempfile::tempdir().unwrap();
    let upcasts = Upcasts::from_toml("upcast.toml", STEPS).unwrap();
    let store = Store::builder().sync(false).upcasts(upcasts).open(dir.path().join("runs.redb")).unwrap();
    let job =
        |ms: serde_json::Value| NewEvent::new("job.begun").data(serde_json::json!({"ms": ms, "name": "x7"}));
    store.append("a", [job("broken".into()), job(3_000.into())]).unwrap();
    for _ in 0..2 {
        let found = store.search().find(&SearchRequest::new("x7")).unwrap();
        assert_eq!((addresses(&found), found.unread), (vec!["a/main@2".to_owned()], 1));
        store.search().update().unwrap();
    }
    assert_eq!(store.search().sweep().unwrap(), Some(0));
}

#[test]
#[cfg(unix)]
fn a_forked_child_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = written(dir.path());
    check(&store, "before");
    let told = crate::fork::in_child(|| {
        let refused = |e: retold::Error| matches!(e, retold::Error::OtherProcess { .. });
        let search = store.search();
        let all = [
            search.find(&SearchRequest::new("login")).map(drop).is_err_and(refused),
            search.update().is_err_and(refused),
            search.sweep().map(drop).is_err_and(refused),
            search.info().map(drop).is_err_and(refused),
        ];
        format!("{all:?}")
    });
    assert_eq!(told, "[true, true, true, true]");
    check(&store, "after");
}
