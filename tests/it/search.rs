//! Finding events by what they say.

use std::path::{Path, PathBuf};

use retold::agents::search::{Found, SearchRequest};
use retold::event::roles::Speaker;
use retold::{Error, Filter, NewEvent, Query, Store, Timestamp};
use serde_json::json;

pub(crate) fn said(text: &str) -> NewEvent {
    NewEvent::new("message.user").data(json!({ "text": text }))
}

pub(crate) fn addresses(found: &Found) -> Vec<String> {
    found.hits.iter().map(|hit| hit.event.address().to_string()).collect()
}

pub(crate) fn find(store: &Store, request: SearchRequest) -> Vec<String> {
    addresses(&store.search().find(&request).unwrap())
}

/// What is found, in the order of the addresses.
pub(crate) fn sorted(store: &Store, query: &str) -> Vec<String> {
    let mut found = find(store, SearchRequest::new(query).limit(1_000));
    found.sort();
    found
}

pub(crate) fn opened(dir: &Path) -> Store {
    Store::builder().sync(false).open(dir.join("runs.redb")).unwrap()
}

/// The folder of all indexes of the store that [`opened`] opens.
pub(crate) fn folder(dir: &Path) -> PathBuf {
    dir.join("runs.redb.search")
}

/// Every file of all indexes.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for index in std::fs::read_dir(folder(dir)).into_iter().flatten() {
        let path = index.unwrap().path();
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files
}

/// Whether a file of an index has these bytes.
pub(crate) fn has_bytes(dir: &Path, bytes: &str) -> bool {
    files(dir).iter().any(|file| {
        std::fs::read(file).unwrap().windows(bytes.len()).any(|window| window == bytes.as_bytes())
    })
}

fn filled(store: &Store) {
    let call = json!({"tool": "Bash", "args": {"command": "cargo test login"}});
    store
        .append("a", [said("Login fails with a timeout"), NewEvent::new("tool.invoked").data(call)])
        .unwrap();
    store.append("b", said("the timeout of the LOGIN page, and the login itself")).unwrap();
    store.append("b", NewEvent::new("task.started").data(json!({"title": "look for the timeout"}))).unwrap();
}

/// The same store without an index, with one, and with one that has the half of it.
fn stores(dir: &Path) -> [Store; 3] {
    let memory = Store::in_memory().unwrap();
    filled(&memory);
    std::fs::create_dir(dir.join("whole")).unwrap();
    let whole = opened(&dir.join("whole"));
    filled(&whole);
    whole.search().update().unwrap();
    std::fs::create_dir(dir.join("half")).unwrap();
    let half = opened(&dir.join("half"));
    half.search().update().unwrap();
    let call = json!({"tool": "Bash", "args": {"command": "cargo test login"}});
    half.append("a", [said("Login fails with a timeout"), NewEvent::new("tool.invoked").data(call)]).unwrap();
    half.search().update().unwrap();
    half.append("b", said("the timeout of the LOGIN page, and the login itself")).unwrap();
    half.append("b", NewEvent::new("task.started").data(json!({"title": "look for the timeout"}))).unwrap();
    [memory, whole, half]
}

#[test]
fn an_event_is_found_by_what_is_said_in_it() {
    let dir = tempfile::tempdir().unwrap();
    for store in stores(dir.path()) {
        for (query, want) in [
            ("\"with a timeout\"", vec!["a/main@1"]),
            ("cargo", vec!["a/main@2"]),
            ("bash", vec!["a/main@2"]),
            ("time* -page -look", vec!["a/main@1"]),
            ("\"the log\"*", vec!["b/main@1"]),
            ("nothing", vec![]),
            ("cargo OR page", vec!["a/main@2", "b/main@1"]),
            ("login timeout", vec!["a/main@1", "b/main@1"]),
        ] {
            assert_eq!(sorted(&store, query), want, "{query}");
        }
        // It says it more often.
        let first = store.search().find(&SearchRequest::new("login").limit(1)).unwrap();
        assert_eq!((addresses(&first), first.more), (vec!["b/main@1".to_owned()], true));
        assert_eq!((first.up_to.get(), first.unread), (4, 0));
        assert_eq!(first.hits[0].speaker, Some(Speaker::User));
        let last = store.search().find(&SearchRequest::new("login").offset(2)).unwrap();
        assert_eq!((last.hits.len(), last.more), (1, false));
        let only = SearchRequest::new("timeout").session("b".try_into().unwrap());
        assert_eq!(find(&store, only.clone()).len(), 2);
        let tasks = Filter::new().pattern("task.**".parse().unwrap());
        assert_eq!(find(&store, only.clone().filter(tasks)), ["b/main@2"]);
        let later = Filter::new().since(Timestamp::from_micros(Timestamp::now().micros() + 3_600_000_000));
        assert!(find(&store, only.clone().filter(later)).is_empty());
        let before = Filter::new().until(Timestamp::from_micros(Timestamp::now().micros() + 3_600_000_000));
        assert_eq!(find(&store, only.filter(before)).len(), 2);
        assert_eq!(find(&store, SearchRequest::new("login").speakers([Speaker::ToolCall])), ["a/main@2"]);
        assert!(find(&store, SearchRequest::new("look").speakers([Speaker::User])).is_empty());
        let refused = store.search().find(&SearchRequest::new("-x"));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn scores_and_order_do_not_depend_on_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let [memory, whole, half] = stores(dir.path());
    for query in ["login", "timeout", "time*", "login OR look", "\"the login\" timeout"] {
        let found = |store: &Store| {
            let found = store.search().find(&SearchRequest::new(query)).unwrap();
            let hits = found.hits.into_iter();
            hits.map(|hit| (hit.event.address().to_string(), hit.score, hit.snippet)).collect::<Vec<_>>()
        };
        let want = found(&memory);
        for store in [&whole, &half] {
            for (hit, want) in found(store).iter().zip(&want) {
                assert_eq!((&hit.0, &hit.2), (&want.0, &want.2), "{query}");
                assert!((hit.1 - want.1).abs() < 1e-4, "{query}: {hit:?} and {want:?}");
            }
            assert_eq!(found(store).len(), want.len());
        }
    }
}

#[test]
fn of_equally_good_events_the_newest_is_the_first_and_pages_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    for n in 0..300 {
        store.append(format!("s{}", n % 3).as_str(), said("the same login")).unwrap();
        if n % 70 == 50 {
            store.search().update().unwrap();
        }
    }
    let all = store.search().find(&SearchRequest::new("login").limit(1_000)).unwrap();
    let positions: Vec<u64> = all.hits.iter().map(|hit| hit.event.position().get()).collect();
    assert!(positions.iter().copied().eq((1..=300).rev()), "{positions:?}");
    let mut paged = Vec::new();
    loop {
        let page = store.search().find(&SearchRequest::new("login").limit(64).offset(paged.len())).unwrap();
        paged.extend(page.hits.iter().map(|hit| hit.event.position().get()));
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, positions);
}

#[test]
fn what_is_deleted_or_truncated_is_found_no_more_and_its_words_leave_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    for session in ["a", "b"] {
        store.append(session, [said("zsecret one"), said("zsecret two")]).unwrap();
    }
    store.append("b", said("zsecret three")).unwrap();
    store.append("c", said("plain")).unwrap();
    let search = store.search();
    search.update().unwrap();
    assert_eq!(sorted(&store, "zsecret").len(), 5);
    store.lifecycle().delete("a").unwrap();
    store.lifecycle().truncate("b", 3).unwrap();
    assert_eq!(sorted(&store, "zsecret"), ["b/main@3"]);
    assert_eq!(search.info().unwrap().unwrap().texts, 6);
    assert_eq!(search.sweep().unwrap(), Some(4));
    assert_eq!(search.info().unwrap().unwrap().texts, 2);
    assert_eq!(search.sweep().unwrap(), Some(0));
    assert!(has_bytes(dir.path(), "secret"));
    store.append("a", said("zsecret again")).unwrap();
    assert_eq!(sorted(&store, "zsecret"), ["a/main@1", "b/main@3"]);
    store.lifecycle().delete("b").unwrap();
    store.lifecycle().delete("a").unwrap();
    search.update().unwrap();
    assert_eq!(search.sweep().unwrap(), Some(1));
    assert!(!has_bytes(dir.path(), "secret"));
    assert!(sorted(&store, "zsecret").is_empty());
    assert_eq!(sorted(&store, "plain"), ["c/main@1"]);
}

#[test]
fn the_first_search_after_a_purge_takes_the_words_out_of_every_index() {
    let dir = tempfile::tempdir().unwrap();
    let types =
        || retold::event::Catalogue::builtin().with([retold::event::TypeSpec::named("acme.one")]).unwrap();
    let other = || Store::builder().sync(false).types(types()).open(dir.path().join("runs.redb")).unwrap();
    let store = opened(dir.path());
    store.append("a", said("zsecret")).unwrap();
    store.append("b", said("plain")).unwrap();
    store.search().update().unwrap();
    store.close().unwrap();
    let store = other();
    store.search().update().unwrap();
    store.close().unwrap();
    assert_eq!(files(dir.path()).iter().filter(|file| file.ends_with("manifest")).count(), 2);
    let store = opened(dir.path());
    store.lifecycle().delete("a").unwrap();
    store.lifecycle().purge().unwrap();
    assert!(has_bytes(dir.path(), "secret"));
    assert_eq!(sorted(&store, "plain"), ["b/main@1"]);
    assert!(!has_bytes(dir.path(), "secret"));
    assert_eq!(files(dir.path()).iter().filter(|file| file.ends_with("manifest")).count(), 1);
    // Nothing is left to be done.
    let names: Vec<_> =
        std::fs::read_dir(folder(dir.path())).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn what_a_fork_inherits_is_found_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.append("a", [said("login"), said("logout")]).unwrap();
    store.fork("a@1", "retry").unwrap();
    store.append("a/retry", said("login again")).unwrap();
    assert_eq!(sorted(&store, "login"), ["a/main@1", "a/retry@2"]);
    store.search().update().unwrap();
    assert_eq!(sorted(&store, "login"), ["a/main@1", "a/retry@2"]);
    store.lifecycle().delete("a").unwrap();
    let all: Vec<String> = store
        .events(Query::all())
        .unwrap()
        .map(|event| event.unwrap())
        .filter(|event| std::str::from_utf8(event.payload()).unwrap().contains("login"))
        .map(|event| event.address().to_string())
        .collect();
    assert_eq!(sorted(&store, "login"), all);
}

#[test]
fn an_index_is_made_once_there_is_much_to_look_through() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.append("a", said("login")).unwrap();
    assert_eq!(sorted(&store, "login").len(), 1);
    assert_eq!(store.search().info().unwrap(), None);
    assert!(!folder(dir.path()).exists());
    store.append("a", (0..600).map(|n| said(&format!("number {n}"))).collect::<Vec<_>>()).unwrap();
    assert_eq!(sorted(&store, "599"), ["a/main@601"]);
    let info = store.search().info().unwrap().unwrap();
    assert_eq!((info.texts, info.up_to.get(), info.behind, info.unread), (601, 601, 0, 0));
    assert!(info.bytes > 0 && info.folder.starts_with(folder(dir.path())));
    store.append("a", said("one more")).unwrap();
    assert_eq!(sorted(&store, "more"), ["a/main@602"]);
    assert_eq!(store.search().info().unwrap().unwrap().behind, 1);
    // Few events may say much.
    store.append("b", said(&"long ".repeat(500_000))).unwrap();
    assert_eq!(sorted(&store, "long"), ["b/main@1"]);
    assert_eq!(sorted(&store, "long"), ["b/main@1"]);
    assert_eq!(store.search().info().unwrap().unwrap().behind, 0);
}

#[test]
fn everything_that_was_acknowledged_before_a_search_is_in_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 1..=900 {
                store.append(format!("s{}", n % 7).as_str(), said("login")).unwrap();
                done.store(n, std::sync::atomic::Ordering::SeqCst);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let before = done.load(std::sync::atomic::Ordering::SeqCst);
                    let found = sorted(&store, "login").len();
                    assert!(found >= before, "{found} of {before}");
                    if before == 900 {
                        break;
                    }
                }
            });
        }
        writer.join().unwrap();
    });
}

#[tokio::test]
async fn the_async_forms_do_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.append_async("a", said("login")).await.unwrap();
    let search = store.search();
    search.update_async().await.unwrap();
    assert_eq!(search.find_async(&SearchRequest::new("login")).await.unwrap().hits.len(), 1);
    assert_eq!(search.info_async().await.unwrap().unwrap().texts, 1);
    assert_eq!(search.sweep_async().await.unwrap(), Some(0));
    store.close_async().await.unwrap();
    assert!(matches!(search.find(&SearchRequest::new("login")), Err(Error::Closed { .. })));
}
