//! What retention policies remove, and what they leave.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use retold::lifecycle::{Removal, RetentionLimit, RetentionPolicy};
use retold::{Error, NewEvent, Store};

const DAY: Duration = Duration::from_secs(86_400);

fn events(count: usize) -> Vec<NewEvent> {
    let event = |n| NewEvent::new("step.done").json_text(format!("{n:>width$}", width = 1 + n % 7));
    (0..count).map(event).collect()
}

fn names(store: &Store) -> Vec<String> {
    let sessions = store.sessions(None, 1_000).unwrap();
    sessions.into_iter().map(|session| session.session.to_string()).collect()
}

#[test]
fn sessions_go_by_age_and_those_that_are_left_alone_stay() {
    let store = Store::in_memory().unwrap();
    for name in ["nightly-1", "release-1", "nightly-2"] {
        store.append(name, events(2)).unwrap();
    }
    store.fork("nightly-1@1", "retry").unwrap();
    let lifecycle = store.lifecycle();
    let none = lifecycle.retain(&RetentionPolicy::new().max_age(DAY)).unwrap();
    assert_eq!(none, lifecycle.preview_retention(&RetentionPolicy::new().max_age(DAY)).unwrap());
    assert!(none.sessions.is_empty() && none.branches.is_empty() && none.in_use.is_empty());
    let lease = store.leases().acquire("nightly-2", "worker", DAY).unwrap();
    // The clock goes on while the store is looked at, so everything is older than nothing, or of this microsecond.
    while store.sessions(None, 10).unwrap().iter().any(|s| s.last >= Some(retold::event::Timestamp::now())) {}
    let all = RetentionPolicy::new().sessions("nightly-*".parse().unwrap()).max_age(Duration::ZERO);
    let would_go = lifecycle.preview_retention(&all).unwrap();
    assert_eq!(names(&store).len(), 3);
    let gone = lifecycle.retain(&all).unwrap();
    assert_eq!(gone, would_go);
    let session = &gone.sessions[0];
    assert_eq!((session.session.as_str(), session.branches, session.events), ("nightly-1", 2, 2));
    assert_eq!((session.bytes, session.limit), (None, RetentionLimit::Age));
    assert_eq!((gone.sessions.len(), gone.in_use[0].as_str()), (1, "nightly-2"));
    assert_eq!(names(&store), ["nightly-2", "release-1"]);
    assert!(matches!(store.head("nightly-1/retry"), Err(Error::Deleted { .. } | Error::NotFound { .. })));
    store.leases().release(&lease.token).unwrap();
    assert_eq!(lifecycle.retain(&all).unwrap().sessions.len(), 1);
    assert_eq!(names(&store), ["release-1"]);
}

#[test]
fn a_policy_without_a_limit_is_refused_and_so_is_a_store_that_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path).unwrap();
    store.append("s", events(3)).unwrap();
    let all = RetentionPolicy::new().sessions("*".parse().unwrap());
    for refused in [store.lifecycle().retain(&all), store.lifecycle().preview_retention(&all)] {
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    store.close().unwrap();
    let closed = store.lifecycle().retain(&all.clone().max_sessions(0));
    assert!(matches!(closed, Err(Error::Closed { .. })), "{closed:?}");
    drop(store);
    let store = Store::builder().read_only().open(&path).unwrap();
    let none = RetentionPolicy::new().max_sessions(0);
    assert_eq!(store.lifecycle().preview_retention(&none).unwrap().sessions.len(), 1);
    assert!(matches!(store.lifecycle().retain(&none), Err(Error::ReadOnly { .. })));
}

#[test]
fn it_is_the_same_in_tasks() {
    let store = Store::in_memory().unwrap();
    store.append("a", events(5)).unwrap();
    store.append("b", events(5)).unwrap();
    let policy = RetentionPolicy::new().max_sessions(1).max_events(2);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let would_go = store.lifecycle().preview_retention_async(&policy).await.unwrap();
        assert_eq!(would_go, store.lifecycle().retain_async(&policy).await.unwrap());
        assert_eq!(would_go.branches[0].first, 4.into());
    });
    assert_eq!((names(&store), store.branch("b").unwrap().events), (vec!["b".to_owned()], 2));
}

/// A session as the model knows it: when it was used last, and how many events each branch has.
type Sessions = BTreeMap<String, (usize, Vec<(String, u64)>)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_is_what_a_plain_list_says(
        appended in prop::collection::vec((0..8usize, 1..6usize, any::<bool>()), 1..40),
        max_sessions in prop::option::of(0..8u64),
        max_bytes in prop::option::of(0..1_500u64),
        max_events in prop::option::of(0..9u64),
        is_narrow in any::<bool>(),
    ) {
        prop_assume!(max_sessions.is_some() || max_bytes.is_some() || max_events.is_some());
        let store = Store::in_memory().unwrap();
        let mut model = Sessions::new();
        for (n, (session, count, is_fork)) in appended.into_iter().enumerate() {
            let name = format!("{}-{session}", if session % 2 == 0 { "even" } else { "odd" });
            let known = model.contains_key(&name);
            let branch = if is_fork && known { "fork" } else { "main" };
            if branch == "fork" && !model[&name].1.iter().any(|(name, _)| name == "fork") {
                let head = store.fork(name.as_str(), "fork").unwrap().head.get();
                model.get_mut(&name).unwrap().1.push(("fork".to_owned(), head));
            }
            // No two sessions were used last in the same microsecond.
            let before = store.sessions(None, 100).unwrap().into_iter().filter_map(|s| s.last).max();
            while before >= Some(retold::event::Timestamp::now()) {}
            store.append(format!("{name}/{branch}").as_str(), events(count)).unwrap();
            let known = model.entry(name).or_insert_with(|| (0, vec![("main".to_owned(), 0)]));
            known.0 = n;
            known.1.iter_mut().find(|(name, _)| name == branch).unwrap().1 += count as u64;
        }
        let bytes = |name: &str| {
            let session = Removal::Session(name.parse().unwrap());
            store.lifecycle().preview(&session).unwrap().bytes
        };
        let concerned = |name: &str| !is_narrow || name.starts_with("odd");
        let mut newest: Vec<(&String, usize)> =
            model.iter().filter(|(name, _)| concerned(name)).map(|(name, (n, _))| (name, *n)).collect();
        newest.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let (mut kept, mut total) = (Vec::new(), 0);
        for (rank, (name, _)) in newest.into_iter().enumerate() {
            total += bytes(name);
            let is_over = max_sessions.is_some_and(|most| rank as u64 >= most)
                || (rank > 0 && max_bytes.is_some_and(|most| total > most));
            if !is_over {
                kept.push(name.clone());
            }
        }
        let mut policy = RetentionPolicy::new();
        if is_narrow {
            policy = policy.sessions("odd-*".parse().unwrap());
        }
        if let Some(most) = max_sessions {
            policy = policy.max_sessions(most);
        }
        if let Some(most) = max_bytes {
            policy = policy.max_bytes(most);
        }
        if let Some(most) = max_events {
            policy = policy.max_events(most);
        }
        let would_go = store.lifecycle().preview_retention(&policy).unwrap();
        let gone = store.lifecycle().retain(&policy).unwrap();
        prop_assert_eq!(&would_go, &gone);
        prop_assert_eq!(gone.sessions.iter().all(|it| it.bytes.is_some()), max_bytes.is_some() || gone.sessions.is_empty());
        for (name, (_, branches)) in &model {
            let stays = !concerned(name) || kept.contains(name);
            prop_assert_eq!(names(&store).contains(name), stays, "{}", name);
            for (branch, head) in branches.iter().filter(|_| stays) {
                let info = store.branch(format!("{name}/{branch}").as_str()).unwrap();
                let cut = max_events.filter(|_| concerned(name)).map_or(0, |most| head.saturating_sub(most));
                prop_assert_eq!((info.head.get(), info.first.get()), (*head, cut + 1), "{}/{}", name, branch);
            }
        }
        // There is nothing left to do.
        let again = store.lifecycle().retain(&policy).unwrap();
        prop_assert!(again.sessions.is_empty() && again.branches.is_empty() && again.in_use.is_empty());
        prop_assert!(store.maintenance().verify().unwrap().is_clean());
    }
}

#[test]
fn labels_and_notes_make_no_session_younger_and_are_not_truncated() {
    use retold::agents::projections::Annotations;
    use retold::event::payload::Payload;
    use retold::event::payload::session::SessionLabelled;
    let store = Store::in_memory().unwrap();
    for session in ["older", "newer"] {
        store.append(session, NewEvent::new("run.started")).unwrap();
        store.append(session, NewEvent::new("run.completed")).unwrap();
    }
    let label = |key: &str| SessionLabelled::new(key, "x").unwrap().event().unwrap();
    for session in ["newer", "older"] {
        Annotations::write(&store, &session.try_into().unwrap(), vec![label("a"), label("b")]).unwrap();
    }
    let retired = store.lifecycle().retain(&RetentionPolicy::new().max_sessions(1).max_events(1)).unwrap();
    let gone: Vec<&str> = retired.sessions.iter().map(|retired| retired.session.as_str()).collect();
    assert_eq!(gone, ["older"]);
    let truncated: Vec<String> = retired.branches.iter().map(|branch| branch.place.to_string()).collect();
    assert_eq!(truncated, ["newer/main"]);
    assert_eq!(Annotations::of(&store, &"newer".try_into().unwrap()).unwrap().labels.len(), 2);
}

#[test]
fn a_branch_that_is_only_named_like_that_of_labels_is_one_like_any_other() {
    let store = Store::in_memory().unwrap();
    store.append("older", events(1)).unwrap();
    store.append("newer", events(1)).unwrap();
    store.fork("older@0", "annotations").unwrap();
    // No two sessions were used last in the same microsecond.
    let last = store.sessions(None, 10).unwrap().into_iter().filter_map(|s| s.last).max();
    while last >= Some(retold::event::Timestamp::now()) {}
    store.append("older/annotations", events(3)).unwrap();
    let retired = store.lifecycle().retain(&RetentionPolicy::new().max_sessions(1).max_events(2)).unwrap();
    let gone: Vec<&str> = retired.sessions.iter().map(|retired| retired.session.as_str()).collect();
    assert_eq!(gone, ["newer"]);
    let truncated: Vec<String> = retired.branches.iter().map(|branch| branch.place.to_string()).collect();
    assert_eq!(truncated, ["older/annotations"]);
}
