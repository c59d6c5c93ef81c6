//! The ends of what can be asked for.

use std::time::Duration;

use retold::limits::{MAX_FORK_DEPTH, MAX_METADATA_BYTES, MAX_METADATA_ENTRIES};
use retold::testkit::Disk;
use retold::{BranchName, Error, Expect, Query, Store};

use crate::support::{number, numbered, on_memory};

fn builder() -> retold::Builder {
    Store::builder().flush_when_idle(Duration::from_secs(3_600))
}

#[test]
fn a_chain_of_forks_ends_at_its_bound_and_can_be_read_by_a_store_that_is_opened_anew() {
    let disk = Disk::new();
    let store = builder().with_backend(disk.backend()).unwrap();
    store.append("s", numbered(1)).unwrap();
    let mut parent = "s".to_owned();
    let mut made = 0;
    loop {
        let name = format!("f{made}");
        match store.fork(parent.as_str(), &name) {
            Ok(_) => (made, parent) = (made + 1, format!("s/{name}")),
            Err(e) => {
                assert!(matches!(e, Error::Invalid(_)), "{e}");
                break;
            }
        }
        assert!(made <= MAX_FORK_DEPTH, "there is no bound");
    }
    assert_eq!(made, MAX_FORK_DEPTH);
    store.append(parent.as_str(), numbered(2)).unwrap();
    store.close().unwrap();
    let store = builder().with_backend(Disk::from_bytes(disk.bytes()).backend()).unwrap();
    let events: Vec<u64> =
        store.events(Query::branch(parent.as_str()).unwrap()).unwrap().map(|e| number(&e.unwrap())).collect();
    assert_eq!(events, [1, 2]);
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn an_event_whose_metadata_is_full_can_be_promoted() {
    let store = on_memory(builder());
    store.append("s", numbered(1)).unwrap();
    store.fork("s", "b").unwrap();
    let long = numbered(2).meta("k", "x".repeat(MAX_METADATA_BYTES - 1));
    let many = (0..MAX_METADATA_ENTRIES).fold(numbered(3), |e, i| e.meta(format!("k{i}"), "v"));
    store.append("s/b", [long, many, numbered(4)]).unwrap();
    assert_eq!(store.promote("s/b").unwrap().last().get(), 4);
    let promoted = store.read(&Query::branch("s").unwrap().from(2u64)).unwrap().events;
    let originals = store.read(&Query::branch("s/b").unwrap().from(2u64)).unwrap().events;
    for (copy, original) in promoted.iter().zip(&originals) {
        assert_eq!((copy.payload(), copy.kind()), (original.payload(), original.kind()));
        assert!(original.metadata().all(|(k, v)| copy.meta(k) == Some(v)));
    }
    assert_eq!(promoted[2].meta("promoted_from"), Some("s/b@4"));
    assert!(store.promote("s/b").unwrap().duplicate());
}

#[test]
fn numbers_at_the_ends_of_what_can_be_asked_are_empty_ranges() {
    let store = on_memory(builder());
    store.append("s", (1..=5).map(numbered).collect::<Vec<_>>()).unwrap();
    for flushed in [false, true] {
        if flushed {
            store.maintenance().flush().unwrap();
        }
        for scope in [Query::branch("s").unwrap(), Query::all()] {
            for reverse in [false, true] {
                let ask = |from: u64, to: u64, limit: usize| {
                    let query = scope.clone().from(from).to(to).limit(limit);
                    let query = if reverse { query.reverse() } else { query };
                    let page = store.read(&query).unwrap();
                    let all = store.events(query).unwrap().fold(0, |n, e| n + usize::from(e.is_ok()));
                    assert_eq!(page.events.len(), all);
                    page.events.len()
                };
                assert_eq!(ask(0, 0, 9), 0);
                assert_eq!(ask(0, u64::MAX, 9), 5);
                assert_eq!(ask(u64::MAX, u64::MAX, 9), 0);
                assert_eq!(ask(u64::MAX, 0, 9), 0);
                assert_eq!(ask(5, u64::MAX, 9), 1);
                assert_eq!(ask(6, u64::MAX, 9), 0);
                assert_eq!(ask(4, 2, 9), 0);
                assert_eq!(ask(0, u64::MAX, 0), 0);
                assert_eq!(ask(0, u64::MAX, usize::MAX), 5);
            }
        }
        assert_eq!(store.read(&Query::branch("s@0").unwrap()).unwrap().events.len(), 0);
    }
    let far = format!("s@{}", u64::MAX);
    assert_eq!(store.read(&Query::branch(far.as_str()).unwrap()).unwrap().events.len(), 5);
    assert!(matches!(store.fork(far.as_str(), "b"), Err(Error::NotFound { .. })));
    let e = store.append_if("s", Expect::Head(u64::MAX.into()), numbered(6)).unwrap_err();
    assert!(matches!(e, Error::Conflict { .. }));
    assert_eq!(store.diff("s@0", far.as_str()).unwrap().pairs.count(), 5);
}

#[test]
fn a_part_of_a_branch_is_not_promoted_and_nothing_is_written() {
    let store = on_memory(builder());
    store.append("s", numbered(1)).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", [numbered(2), numbered(3)]).unwrap();
    assert!(matches!(store.promote("s/b@2"), Err(Error::Invalid(_))));
    assert_eq!(store.head("s").unwrap().get(), 1);
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let example = std::fs::read_to_string(root.join("examples/quickstart.rs")).unwrap();
    let shown = readme.split_once("```rust\n").unwrap().1.split_once("```\n").unwrap().0;
    let code: String =
        example.lines().skip_while(|l| l.starts_with("//") || l.is_empty()).flat_map(|l| [l, "\n"]).collect();
    assert_eq!(shown, code);
}

#[test]
fn a_file_of_which_only_the_front_is_left_is_corrupt_and_not_a_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let store = Store::open(&path).unwrap();
    store.append("s", numbered(1)).unwrap();
    store.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let tables = u64::from_le_bytes(whole[24..32].try_into().unwrap()) as usize;
    for len in [8, 56, 4_096, tables - 1, tables] {
        std::fs::write(&path, &whole[..len]).unwrap();
        let told = Store::open(&path).unwrap_err();
        assert!(matches!(told, retold::Error::Corrupt { .. }), "{len}: {told}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), len as u64);
    }
}

#[cfg(unix)]
#[test]
fn a_store_of_an_earlier_format_is_brought_up_to_date_behind_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file.redb"), folder.path().join("link.redb"));
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0001_birth/store.redb");
    std::fs::copy(old, &file).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    Store::open(&link).unwrap().close().unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Store::builder().read_only().open(&file).unwrap().maintenance().info().unwrap().format, 3);
}

#[test]
fn a_fork_of_main_at_nothing_begins_a_session_and_no_other_fork_does() {
    let store = builder().with_backend(Disk::new().backend()).unwrap();
    for address in ["t", "t@1", "t/b", "t/b@0"] {
        assert!(matches!(store.fork(address, "c"), Err(Error::NotFound { .. })), "{address}");
    }
    assert!(matches!(store.fork("t@0", "main"), Err(Error::Exists { .. })));
    assert!(matches!(store.head("t"), Err(Error::NotFound { .. })));
    let branch = store.fork("t@0", "b").unwrap();
    assert_eq!((branch.head.get(), branch.parent.unwrap().1.get()), (0, 0));
    assert_eq!(store.head("t").unwrap().get(), 0);
    store.append_if("t", Expect::Empty, numbered(1)).unwrap();
    store.append_if("t/b", Expect::Empty, numbered(2)).unwrap();
    assert!(matches!(store.append_if("t/b", Expect::Empty, numbered(3)), Err(Error::Conflict { .. })));
}

#[test]
fn an_append_begins_main_and_another_branch_when_it_expects_it_to_be_empty() {
    let store = builder().with_backend(Disk::new().backend()).unwrap();
    for (n, expect) in [Expect::Any, Expect::Empty, Expect::Head(0.into())].into_iter().enumerate() {
        let (main, other, early) = (format!("s{n}"), format!("s{n}/b"), format!("s{n}/a"));
        for (begun, name) in [(false, &early), (true, &other)] {
            for wrong in [Expect::Any, Expect::Head(1.into())] {
                let refused = store.append_if(name.as_str(), wrong, numbered(1));
                assert!(matches!(refused, Err(Error::NotFound { what: "branch", .. })), "{expect:?}");
            }
            if expect != Expect::Any {
                store.append_if(name.as_str(), expect, numbered(1)).unwrap();
                let branch = store.branch(name.as_str()).unwrap();
                assert_eq!(branch.parent, Some((BranchName::main(), 0.into())));
                assert_eq!(store.append(name.as_str(), numbered(3)).unwrap().last().get(), 2);
            }
            if !begun {
                store.append(main.as_str(), numbered(2)).unwrap();
            }
        }
        assert_eq!(store.head(main.as_str()).unwrap().get(), 1);
    }
    let maintenance = store.maintenance();
    maintenance.flush().unwrap();
    assert_eq!(maintenance.info().unwrap().sessions, 3);
    assert!(maintenance.verify().unwrap().is_clean());
}
