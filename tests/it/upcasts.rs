//! Old events are read as today's, on every path; what is stored stays.

use std::time::Duration;

use crate::support::on_memory;
use proptest::prelude::*;
use retold::agents::interop::{self, Format};
use retold::event::finding::PayloadTest;
use retold::schema::Upcaster;
use retold::{
    Address, Error, Event, Filter, Follow, Followed, NewEvent, Query, Result, Sequence, Store, Upcasts,
};
use serde_json::json;

const STEPS: &str = r#"
[[step]]
type = "job.begun"
version = 1
do = [{ rename = "/ms", to = "seconds" }, { convert = "/seconds", divide = 1000 }]

[[step]]
type = "job.begun"
version = 2
to = "job.ran"
"#;

fn upcasts() -> Upcasts {
    Upcasts::from_toml("upcast.toml", STEPS).unwrap()
}

fn old(ms: impl Into<serde_json::Value>) -> NewEvent {
    NewEvent::new("job.begun").data(json!({"ms": ms.into()})).source("runner").meta("k", "v").priority(2)
}

fn filled(store: &Store) {
    let events = [
        NewEvent::new("run.started"),
        old(1_500),
        old("broken"),
        old(3_000).version(2),
        NewEvent::new("run.completed"),
    ];
    store.append("s", events).unwrap();
    store.fork("s@2", "b").unwrap();
    store.append("s/b", old(500)).unwrap();
}

/// `type/version/data` of an event, or the address of one that failed.
fn told(item: Result<Event>) -> String {
    match item {
        Ok(e) => format!("{}/{}/{}", e.kind(), e.version(), String::from_utf8_lossy(e.payload())),
        Err(Error::Upcast { at, .. }) => format!("stuck {at}"),
        Err(e) => panic!("{e}"),
    }
}

fn read(store: &Store, query: Query) -> Vec<String> {
    store.events(query).unwrap().map(told).collect()
}

const NEW: [&str; 5] = [
    "run.started/1/null",
    "job.ran/1/{\"seconds\":1.5}",
    "stuck s/main@3",
    "job.ran/1/{\"ms\":3000}",
    "run.completed/1/null",
];

fn both(check: impl Fn(&Store)) {
    for flushed in [false, true] {
        let builder = Store::builder().upcasts(upcasts()).flush_when_idle(Duration::from_secs(3_600));
        let store = on_memory(builder);
        filled(&store);
        if flushed {
            store.maintenance().flush().unwrap();
        }
        check(&store);
    }
}

#[test]
fn every_reader_gets_the_new_shape_and_goes_on_after_an_event_that_is_stuck() {
    both(|store| {
        let all = || Query::branch("s").unwrap();
        assert_eq!(read(store, all()), NEW);
        let mut back = NEW;
        back.reverse();
        assert_eq!(read(store, all().reverse()), back);
        assert_eq!(read(store, all().limit(2)), NEW[..2]);
        assert_eq!(read(store, all().from(2u64).limit(2)), NEW[1..4]);
        assert_eq!(read(store, Query::all())[..5], NEW);
        let fork = ["run.started/1/null", NEW[1], "job.ran/1/{\"seconds\":0.5}"];
        assert_eq!(read(store, Query::branch("s/b").unwrap()), fork);
    });
}

#[test]
fn the_envelope_and_the_place_stay_and_the_stored_bytes_too() {
    both(|store| {
        let raw = store.read(&Query::branch("s").unwrap().raw()).unwrap().events;
        assert_eq!(raw[1].payload(), b"{\"ms\":1500}");
        let new = store.get(raw[1].id()).unwrap();
        assert_eq!((new.kind(), new.version()), ("job.ran", 1));
        assert_eq!(
            (new.id(), new.address(), new.position()),
            (raw[1].id(), raw[1].address(), raw[1].position())
        );
        assert_eq!((new.recorded(), new.occurred()), (raw[1].recorded(), raw[1].occurred()));
        assert_eq!((new.source(), new.meta("k"), new.priority()), (Some("runner"), Some("v"), 2));
        assert_eq!(store.get_raw(raw[1].id()).unwrap(), raw[1]);
        assert!(
            matches!(store.get(raw[2].id()), Err(Error::Upcast { position, .. }) if position == raw[2].position())
        );
        assert_eq!(store.get_raw(raw[2].id()).unwrap().payload(), b"{\"ms\":\"broken\"}");
        // A retry is held against what is stored.
        let again = store.append("s", NewEvent::from(raw[1].record())).unwrap();
        assert!(again.duplicate());
    });
}

#[test]
fn a_page_ends_before_an_event_that_is_stuck_and_one_that_begins_with_it_says_so() {
    both(|store| {
        let query = Query::branch("s").unwrap();
        let page = store.read(&query).unwrap();
        assert_eq!(page.events.len(), 2);
        let next = page.next.unwrap();
        let Err(Error::Upcast { at, .. }) = store.read(&next) else { panic!("it was read") };
        assert_eq!(at, "s@3".parse().unwrap());
        let rest = store.read(&query.clone().from(at.sequence().unwrap().next())).unwrap();
        assert_eq!((rest.events.len(), rest.next.is_none()), (2, true));
        let back = store.read(&query.reverse()).unwrap();
        assert_eq!(back.events.len(), 2);
        assert!(matches!(store.read(&back.next.unwrap()), Err(Error::Upcast { .. })));
        // So do all positions together.
        let page = store.read(&Query::all()).unwrap();
        let Err(Error::Upcast { position, .. }) = store.read(&page.next.unwrap()) else { panic!() };
        assert_eq!(store.read(&Query::all().from(position.get() + 1)).unwrap().events.len(), 3);
    });
}

#[test]
fn a_test_of_the_payload_looks_at_the_new_shape_and_raw_at_the_old_one() {
    both(|store| {
        let of = |test: &str| {
            Query::branch("s").unwrap().filter(Filter::new().payload(test.parse::<PayloadTest>().unwrap()))
        };
        // What is stuck might have passed.
        assert_eq!(read(store, of("/seconds > 1")), NEW[1..3]);
        assert_eq!(read(store, of("/ms == 1500")), [NEW[2]]);
        assert_eq!(read(store, of("/ms == 1500").raw()).len(), 1);
        assert_eq!(read(store, of("/seconds").raw()), [""; 0]);
    });
}

#[test]
fn a_filter_looks_at_the_new_type() {
    both(|store| {
        let of =
            |glob: &str| Query::branch("s").unwrap().filter(Filter::new().pattern(glob.parse().unwrap()));
        assert_eq!(read(store, of("job.ran")), NEW[1..4]);
        // What is stuck might have been of that type; nothing else of the old one is left.
        assert_eq!(read(store, of("job.begun")), ["stuck s/main@3"]);
        assert_eq!(read(store, of("run.*")), [NEW[0], NEW[4]]);
        assert_eq!(read(store, of("job.begun").raw()).len(), 3);
        let other = Query::branch("s").unwrap().filter(Filter::new().source("nobody"));
        assert_eq!(read(store, other), [""; 0]);
    });
}

#[test]
fn a_comparison_keeps_both_sides_in_step() {
    let store = on_memory(Store::builder().upcasts(upcasts()));
    store.append("s", [NewEvent::new("run.started"), old("broken"), old(1_000)]).unwrap();
    store.fork("s@1", "b").unwrap();
    store.append("s/b", [old(7), NewEvent::new("job.ran").data(json!({"seconds": 1}))]).unwrap();
    let pairs: Vec<_> = store.diff("s", "s/b").unwrap().pairs.collect();
    assert!(matches!(&pairs[0], Err(Error::Upcast { at, .. }) if *at == "s@2".parse().unwrap()));
    let last = pairs[1].as_ref().unwrap();
    assert_eq!(last.sequence, Sequence::new(3));
    assert!(last.is_alike());
    assert_eq!(pairs.len(), 2);
}

#[test]
fn what_is_promoted_is_what_was_stored() {
    let store = on_memory(Store::builder().upcasts(upcasts()));
    store.append("s", NewEvent::new("run.started")).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", old(500)).unwrap();
    store.promote("s/b").unwrap();
    assert_eq!(read(&store, Query::branch("s").unwrap())[1], "job.ran/1/{\"seconds\":0.5}");
    assert_eq!(read(&store, Query::branch("s").unwrap().raw())[1], "job.begun/1/{\"ms\":500}");
}

#[test]
fn an_export_is_new_and_a_raw_one_is_what_was_stored() {
    let store = on_memory(Store::builder().upcasts(upcasts()));
    store.append("s", old(500)).unwrap();
    let (mut new, mut raw) = (Vec::new(), Vec::new());
    interop::export(&store, &interop::ExportScope::All, Format::Retold, &mut new, &mut |_| {}).unwrap();
    interop::export_raw(&store, &interop::ExportScope::All, Format::Retold, &mut raw, &mut |_| {}).unwrap();
    let (new, raw) = (String::from_utf8(new).unwrap(), String::from_utf8(raw).unwrap());
    assert!(new.contains("\"type\":\"job.ran\"") && new.contains("\"seconds\":0.5"), "{new}");
    assert!(raw.contains("\"type\":\"job.begun\"") && raw.contains("\"ms\":500"), "{raw}");
}

async fn follow(store: &Store, follow: Follow, count: usize) -> Vec<String> {
    let mut following = store.follow(follow).unwrap();
    let mut items = Vec::new();
    while items.len() < count {
        match following.next().await.unwrap() {
            Ok(Followed::Event { event, .. }) => items.push(told(Ok(event))),
            Ok(_) => {}
            Err(e) => items.push(told(Err(e))),
        }
    }
    items
}

#[tokio::test]
async fn a_stream_and_a_follower_get_the_same() {
    let store = on_memory(Store::builder().upcasts(upcasts()));
    filled(&store);
    let mut stream = store.stream(Query::branch("s").unwrap());
    let mut items = Vec::new();
    while let Some(item) = stream.next().await {
        items.push(told(item));
    }
    assert_eq!(items, NEW);
    assert_eq!(follow(&store, Follow::branch("s").unwrap(), 5).await, NEW);
    assert_eq!(follow(&store, Follow::all(), 5).await, NEW);
    assert_eq!(follow(&store, Follow::session("s").unwrap(), 5).await, NEW);
    let called = Filter::new().pattern("job.ran".parse().unwrap());
    assert_eq!(follow(&store, Follow::branch("s").unwrap().filter(called), 3).await, NEW[1..4]);
    let raw = follow(&store, Follow::branch("s").unwrap().raw(), 5).await;
    assert_eq!(raw[2], "job.begun/1/{\"ms\":\"broken\"}");
}

#[tokio::test]
async fn what_a_commit_brings_to_a_follower_is_new_too() {
    let store = on_memory(Store::builder().upcasts(upcasts()));
    let called = Filter::new().pattern("job.*".parse().unwrap());
    let mut following = store.follow(Follow::branch("s").unwrap().filter(called)).unwrap();
    assert!(matches!(following.next().await.unwrap().unwrap(), Followed::CaughtUp { .. }));
    let mut cursors = Vec::new();
    for ms in [json!(1_000), json!("broken"), json!(2_000)] {
        store.append("s", old(ms)).unwrap();
        let item = following.next().await.unwrap();
        cursors.push(item.as_ref().ok().map(Followed::cursor));
        let due =
            ["job.ran/1/{\"seconds\":1}", "stuck s/main@2", "job.ran/1/{\"seconds\":2}"][cursors.len() - 1];
        assert_eq!(told(item.map(|i| i.event().unwrap())), due);
    }
    // From the cursor before it, the event that is stuck is told of once more; from the one after it, it is not.
    let again = Follow::branch("s").unwrap().cursor(cursors[0].unwrap());
    assert_eq!(follow(&store, again, 2).await, ["stuck s/main@2", "job.ran/1/{\"seconds\":2}"]);
    store.append("s", NewEvent::new("run.completed")).unwrap();
    let after = Follow::branch("s").unwrap().cursor(cursors[2].unwrap());
    assert_eq!(follow(&store, after, 1).await, ["run.completed/1/null"]);
}

#[test]
fn a_session_of_steps_that_all_fail_is_read_to_its_end() {
    let step = Upcaster::new("a", 1).function(1, |_| Err("never".into()));
    let store = on_memory(Store::builder().upcasts(Upcasts::new([step]).unwrap()));
    store.append("s", (0..2_000).map(|_| NewEvent::new("a")).collect::<Vec<_>>()).unwrap();
    store.append("s", NewEvent::new("b")).unwrap();
    let items = read(&store, Query::branch("s").unwrap().limit(1));
    assert_eq!((items.len(), items[2_000].as_str()), (2_001, "b/1/null"));
    let last: Address = "s".parse().unwrap();
    assert_eq!(store.head(last).unwrap().get(), 2_001);
}

/// An event of a random type and version, with a payload that its steps may or may not take.
fn any_event() -> impl Strategy<Value = (usize, u32, serde_json::Value)> {
    let ms = prop_oneof![
        any::<i32>().prop_map(|n| json!(n)),
        "[0-9]{0,3}x?".prop_map(|s| json!(s)),
        Just(json!(null))
    ];
    let payload = prop_oneof![
        3 => ms.clone().prop_map(|ms| json!({"ms": ms})),
        1 => ms.prop_map(|ms| json!({"ms": ms, "seconds": 1})),
        1 => Just(json!([1])),
    ];
    (0..3usize, 1..4u32, payload)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_path_gives_what_the_steps_make_of_what_is_stored(
        events in prop::collection::vec((any_event(), 0..4u8), 1..60),
        glob in prop::sample::select(vec!["**", "job.ran", "job.*", "run.*"]),
        reverse: bool,
    ) {
        let upcasts = upcasts();
        let store = on_memory(Store::builder().upcasts(upcasts.clone()));
        for (n, ((kind, version, payload), deed)) in events.into_iter().enumerate() {
            let kind = ["job.begun", "job.ran", "run.started"][kind];
            let branch = if store.branch("s/b").is_ok() && deed == 3 { "s/b" } else { "s" };
            store.append(branch, NewEvent::new(kind).version(version).data(payload)).unwrap();
            match deed {
                0 if n % 7 == 0 => store.maintenance().flush().unwrap(),
                1 if store.branch("s/b").is_err() => drop(store.fork("s", "b").unwrap()),
                _ => {}
            }
        }
        let filter = || Filter::new().pattern(glob.parse().unwrap());
        let due = |event: Event| {
            let takes = |kind: &str| filter().takes_kind(kind);
            match upcasts.apply(event.kind(), event.version(), event.payload(), true) {
                Ok(None) => takes(event.kind()).then(|| told(Ok(event))),
                Ok(Some(s)) => takes(&s.kind).then(|| {
                    let payload = s.payload.unwrap_or_else(|| String::from_utf8(event.payload().to_vec()).unwrap());
                    format!("{}/{}/{payload}", s.kind, s.version)
                }),
                Err(_) => (takes("job.begun") || takes("job.ran")).then(|| format!("stuck {}", event.address())),
            }
        };
        let scopes = [Query::all(), Query::branch("s").unwrap()].into_iter().chain(Query::branch("s/b"));
        for scope in scopes {
            let query = if reverse { scope.reverse() } else { scope };
            let Ok(raw) = store.events(query.clone().raw()).unwrap().collect::<Result<Vec<Event>>>() else { continue };
            let due: Vec<String> = raw.into_iter().filter_map(due).collect();
            prop_assert_eq!(read(&store, query.filter(filter())), due);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all = read(&store, Query::all().filter(filter()));
        let followed = runtime.block_on(follow(&store, Follow::all().filter(filter()), all.len()));
        prop_assert_eq!(followed, all);
    }
}

/// What jobs took, by the newest name of their type; counts what it is given.
#[derive(Default)]
struct Took(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl retold::Projection for Took {
    type State = Vec<f64>;
    fn name(&self) -> &str {
        "took"
    }
    fn interests(&self) -> Filter {
        Filter::new().pattern("job.ran".parse().unwrap())
    }
    fn apply(&self, took: &mut Vec<f64>, event: &Event) -> std::result::Result<(), retold::ApplyError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let data: serde_json::Value = event.json()?;
        took.push(data["seconds"].as_f64().unwrap_or(-1.0));
        Ok(())
    }
}

#[test]
fn a_projection_folds_the_newest_shape_and_is_rebuilt_when_a_step_of_what_it_folds_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let open = |steps: Option<&str>| {
        let builder = Store::builder();
        let builder = match steps {
            Some(steps) => builder.upcasts(Upcasts::from_toml("upcast.toml", steps).unwrap()),
            None => builder,
        };
        builder.open(&path).unwrap()
    };
    let minutes = STEPS.replace("divide = 1000", "divide = 60000");
    let other = format!("{STEPS}\n[[step]]\ntype = \"other\"\nversion = 1\ndo = [{{ remove = \"/x\" }}]\n");
    // Without steps no event has that type; a step of another type changes nothing, not even by a rebuild.
    let cases: [(Option<&str>, &[f64], bool); 4] = [
        (None, &[], true),
        (Some(STEPS), &[1.5, 3.0], true),
        (Some(&other), &[1.5, 3.0], false),
        (Some(&minutes), &[0.025, 0.05], true),
    ];
    open(None).append("s", [NewEvent::new("run.started"), old(1_500), old(3_000)]).unwrap();
    for (steps, due, rebuilt) in cases {
        let store = open(steps);
        let projection = Took::default();
        let folded = projection.0.clone();
        let took = store.project(projection).unwrap();
        took.catch_up().unwrap();
        let folded = folded.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(folded > 0, rebuilt && !due.is_empty(), "{steps:?} folded {folded} events");
        assert_eq!(took.state("s").unwrap(), due);
        drop(took);
        store.close().unwrap();
    }
}
