//! fork(2) while everything is at work: in the child every verb of what the parent opened is refused at once, dropping it
//! does nothing, and the parent goes on as if nothing had been.

use std::fmt::Debug;
use std::future::Future;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use retold::agents::projections::{Counted, Counts};
use retold::bus::spill::Spill;
use retold::bus::timers::TimersRunning;
use retold::bus::{Emitted, Emitter, Listener, RuleRunning, Subscription, WindowRule};
use retold::project::{History, Rebuild, Window};
use retold::store::Events;
use retold::store::diff::Pairs;
use retold::{
    Bus, Consumer, ConsumerConfig, Delivery, Error, EventStream, Expect, Follow, Following, NewEvent, Owner,
    Projected, Query, Result, Store,
};
use tokio::runtime::Runtime;

use crate::support::soak;
use crate::victim::{Victim, orders, tell};

/// For a child that checks what it was left, and for a parent that waits for it.
const LIMIT: Duration = Duration::from_secs(180);

fn event() -> NewEvent {
    NewEvent::new("step.done")
}

fn ended<T>() -> Result<T> {
    Err(Error::Closed { after: None })
}

/// Everything that can be had of an open store.
struct Handles {
    store: Store,
    bus: Bus,
    emitter: Emitter,
    subscription: Subscription,
    listener: Listener,
    rule: RuleRunning,
    timers: TimersRunning,
    spill: Spill,
    consumer: Consumer,
    delivery: Delivery,
    counts: Projected<Counted>,
    rebuild: Rebuild,
    kept: Kept,
}

/// What is in the middle of something.
struct Kept {
    following: Following,
    batched: retold::follow::Batched,
    stream: EventStream,
    ahead: Events,
    pages: Events,
    pairs: Pairs,
    history: History<Counted>,
}

impl Kept {
    async fn of(store: &Store, counts: &Projected<Counted>) -> Self {
        let mut following = store.follow(Follow::all()).unwrap();
        following.next().await.unwrap().unwrap();
        let batched = store.follow(Follow::all()).unwrap().batched(10, LIMIT).unwrap();
        let mut stream = store.stream(Query::all());
        stream.next().await.unwrap().unwrap();
        let mut ahead = store.events(Query::branch("bulk").unwrap()).unwrap();
        ahead.by_ref().take(BULK / 2).for_each(|e| drop(e.unwrap()));
        let mut pages = store.events(Query::all().reverse()).unwrap();
        pages.next().unwrap().unwrap();
        let pairs = store.diff("bulk@1", "bulk").unwrap().pairs;
        let history = counts.history("bulk").unwrap();
        Self { following, batched, stream, ahead, pages, pairs, history }
    }
}

impl Handles {
    async fn of(store: &Store, round: u64) -> Self {
        let bus = Bus::builder().drain_limit(Duration::from_millis(1)).open(store).unwrap();
        let emitter = bus.emitter("test", "emitted").unwrap();
        emitter.on("job.**", |_| async {}).unwrap();
        let subscription = bus.on("step.**", |_| async {}).unwrap();
        let listener = bus.listen("**").unwrap();
        let never = retold::Filter::new().pattern("never".parse().unwrap());
        let rule = WindowRule::new("often", never, Window::Tumbling(LIMIT), 3);
        let rule = rule.unwrap().run(store).unwrap();
        let config = ConsumerConfig::new().pattern("step.**".parse().unwrap());
        let consumer = store.consumers().open(&format!("c{round}"), config).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        let counts = store.project(Counts).unwrap();
        let kept = Kept::of(store, &counts).await;
        Self {
            emitter,
            subscription,
            listener,
            rule,
            timers: store.timers().run().unwrap(),
            spill: Spill::beside(store).unwrap(),
            consumer,
            delivery,
            rebuild: counts.rebuild().unwrap(),
            counts,
            kept,
            bus,
            store: store.clone(),
        }
    }
}

/// What a child found that is not as it ought to be.
struct Found {
    parent: u32,
    wrong: String,
}

impl Found {
    fn refused<T: Debug>(&mut self, what: &str, answer: Result<T>) {
        match answer {
            Err(Error::OtherProcess { opened_in }) if opened_in == self.parent => {}
            other => self.wrong += &format!("{what}: {other:?}\n"),
        }
    }

    fn is(&mut self, what: &str, right: bool) {
        if !right {
            self.wrong += &format!("{what}\n");
        }
    }

    /// An answer that is there without waiting.
    fn now<T>(&mut self, what: &str, answer: impl Future<Output = T>) -> Option<T> {
        match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                self.wrong += &format!("{what} waits\n");
                None
            }
        }
    }

    fn refused_async<T: Debug>(&mut self, what: &str, answer: impl Future<Output = Result<T>>) {
        if let Some(answer) = self.now(what, answer) {
            self.refused(what, answer);
        }
    }

    /// One error, then the end.
    fn ends<T: Debug>(&mut self, what: &str, mut items: impl Iterator<Item = Result<T>>) {
        let last = items.by_ref().find(Result::is_err);
        self.refused(what, last.unwrap_or_else(ended));
        self.is(&format!("{what} goes on"), items.next().is_none());
    }

    fn reads(&mut self, store: &Store, path: &Path) {
        self.refused("head", store.head("bulk"));
        let id = event().id();
        self.refused("get", store.get(id));
        self.refused("get_raw", store.get_raw(id));
        self.refused("read", store.read(&Query::all()));
        self.refused("read_all", store.read_all(1.into(), 9));
        self.refused("events", store.events(Query::all()).map(|_| ()));
        self.refused("sessions", store.sessions(None, 9));
        self.refused("branches", store.branches(&"bulk".parse().unwrap()));
        self.refused("branch", store.branch("bulk"));
        self.refused("ancestry", store.ancestry("bulk"));
        self.refused("info", store.maintenance().info());
        self.is(
            "damage",
            store.maintenance().damage().is_empty() && store.maintenance().upgraded().is_none(),
        );
        self.refused("diff", store.diff("bulk@1", "bulk").map(|_| ()));
        self.refused("verify", store.maintenance().verify());
        self.refused("survey", store.maintenance().survey(|_, _| {}));
        self.refused("follow", store.follow(Follow::all()));
        self.refused("projections.list", store.projections().list());
        self.refused("project", store.project(Counts).map(|_| ()));
        self.refused("consumers.list", store.consumers().list());
        self.refused("dead_letters.list", store.dead_letters().list(None, None, 9));
        self.refused("timers.list", store.timers().list(9));
        self.refused("timers.get", store.timers().get(id));
        self.refused_async("read_async", store.read_async(&Query::all()));
        self.reads_async(store);
        let mut stream = store.stream(Query::all());
        self.refused_async("stream", async { stream.next().await.unwrap_or_else(ended) });
        self.is("committed", store.committed().get() == 0);
        self.is("catalogue", !format!("{:?}", store.catalogue()).is_empty());
        self.is("id", !store.id().to_string().is_empty() && store.created().micros() > 0);
        // Opened again, here, it is shared with the parent like with any other process.
        let own = Store::open(path).and_then(|own| Ok((own.head("bulk")?, own.close()?)));
        self.is(
            "its own opening of what the parent has",
            own.is_ok_and(|(head, ())| head.get() == BULK as u64),
        );
    }

    fn reads_async(&mut self, store: &Store) {
        let (id, session, owner) = (event().id(), "bulk".parse().unwrap(), Owner::consumer("c").unwrap());
        self.refused_async("head_async", store.head_async("bulk"));
        self.refused_async("get_async", store.get_async(id));
        self.refused_async("get_raw_async", store.get_raw_async(id));
        self.refused_async("read_all_async", store.read_all_async(1.into(), 9));
        self.refused_async("sessions_async", store.sessions_async(None, 9));
        self.refused_async("branches_async", store.branches_async(&session));
        self.refused_async("branch_async", store.branch_async("bulk"));
        self.refused_async("ancestry_async", store.ancestry_async("bulk"));
        self.refused_async("current_async", store.current_async(&session));
        let diff = async { store.diff_async("bulk@1", "bulk").await.map(|_| ()) };
        self.refused_async("diff_async", diff);
        self.refused_async("follow_async", store.follow_async(Follow::all()));
        self.refused_async("project_async", async { store.project_async(Counts).await.map(|_| ()) });
        self.refused_async("consumers.list_async", store.consumers().list_async());
        self.refused_async("consumers.info_async", store.consumers().info_async("c"));
        self.refused_async("dead_letters.list_async", store.dead_letters().list_async(None, None, 9));
        self.refused_async("dead_letters.get_async", store.dead_letters().get_async(&owner, 1));
        self.refused_async("timers.list_async", store.timers().list_async(9));
        self.refused_async("timers.get_async", store.timers().get_async(id));
        self.refused_async("projections.list_async", store.projections().list_async());
        self.refused_async("projections.info_async", store.projections().info_async("counts"));
        self.refused_async("info_async", store.maintenance().info_async());
        self.refused_async("verify_async", store.maintenance().verify_async());
        self.refused_async("verify_with_async", store.maintenance().verify_with_async(|_, _| {}));
        self.refused_async("survey_async", store.maintenance().survey_async(|_, _| {}));
    }

    fn writes_async(&mut self, store: &Store) {
        let (session, owner) = ("bulk".parse().unwrap(), Owner::consumer("c").unwrap());
        let batch = retold::Batch::new().add("s", Expect::Any, event()).unwrap();
        self.refused_async("append_if_async", store.append_if_async("s", Expect::Empty, event()));
        self.refused_async("append_batch_async", store.append_batch_async(batch));
        let branch = "fork".parse().unwrap();
        self.refused_async("set_current_async", store.set_current_async(&session, &branch));
        self.refused_async("flush_async", store.maintenance().flush_async());
        self.refused_async("timers.fire_async", store.timers().fire_async());
        let dead_letters = store.dead_letters();
        self.refused_async("dead_letters.replay_async", dead_letters.replay_async(&owner, 1));
        self.refused_async("dead_letters.replay_all_async", dead_letters.replay_all_async(&owner));
        self.refused_async("dead_letters.discard_async", dead_letters.discard_async(&owner, 1));
        self.refused_async("dead_letters.discard_all_async", dead_letters.discard_all_async(&owner));
    }

    fn writes(&mut self, store: &Store) {
        let owner = Owner::consumer("c").unwrap();
        let id = event().id();
        self.refused("append", store.append("s", event()));
        self.refused("append_if", store.append_if("s", Expect::Empty, event()));
        self.refused_async("append_async", store.append_async("s", event()));
        self.refused("fork", store.fork("bulk@1", "b"));
        self.refused_async("fork_async", store.fork_async("bulk@1", "b"));
        self.refused("promote", store.promote("bulk/fork"));
        self.refused_async("promote_async", store.promote_async("bulk/fork"));
        self.refused("flush", store.maintenance().flush());
        self.refused("timers.schedule", store.timers().schedule("s", event(), LIMIT));
        self.refused_async("timers.schedule_async", store.timers().schedule_async("s", event(), LIMIT));
        self.refused("timers.cancel", store.timers().cancel(id));
        self.refused_async("timers.cancel_async", store.timers().cancel_async(id));
        self.refused("timers.fire", store.timers().fire());
        self.refused("timers.run", store.timers().run());
        self.refused("dead_letters.replay_all", store.dead_letters().replay_all(&owner));
        self.refused("dead_letters.discard_all", store.dead_letters().discard_all(&owner));
        self.refused_async("consumers.open", store.consumers().open("d", ConsumerConfig::new()));
        self.refused_async("consumers.open_existing", store.consumers().open_existing("c"));
        self.refused_async("consumers.reset", store.consumers().reset("c", ConsumerConfig::new()));
        self.refused_async("consumers.remove", store.consumers().remove("c"));
        self.writes_async(store);
        self.refused("a new bus", Bus::new(store));
        self.refused("close", store.close());
        self.refused_async("close_async", store.close_async());
    }

    fn consumers(&mut self, consumer: &Consumer, delivery: &Delivery) {
        let token = delivery.token();
        self.refused_async("next", consumer.next());
        self.refused_async("try_next", consumer.try_next());
        self.refused_async("ack by token", consumer.ack(&token));
        self.refused_async("nack by token", consumer.nack(&token, None));
        self.refused_async("ack", delivery.ack());
        self.refused_async("nack", delivery.nack(None));
        self.refused_async("touch", delivery.touch());
        self.refused_async("park", delivery.park("no"));
        let batch = retold::Batch::new().add("s", Expect::Any, event()).unwrap();
        self.refused_async("ack_with", delivery.ack_with(batch));
        self.now("closing a consumer", consumer.clone().close());
    }

    fn bus(&mut self, handles: &Handles) {
        let Handles { bus, emitter, subscription, .. } = handles;
        self.refused_async("publish", bus.publish("s", event()));
        self.refused_async("bus.emit_later", bus.emit_later("s", event(), LIMIT));
        self.refused_async("causes", bus.causes(event().id()));
        self.refused_async("wait_for", bus.wait_for("**", |_| true, LIMIT));
        self.refused("listen", bus.listen("**"));
        self.refused("on", bus.on("**", |_| async {}));
        self.refused("emitter.on", emitter.on("**", |_| async {}));
        self.refused("get_history", bus.get_history("**", None, 9));
        let emitted = self.now("emit", emitter.emit(event()));
        self.is("emit", matches!(emitted, Some(Emitted::Dropped(Error::OtherProcess { .. }))));
        emitter.emit_nowait(event());
        bus.publish_nowait("s", event());
        self.now("flush", bus.flush());
        self.is("stats", bus.stats().handlers.is_empty() && bus.handlers().is_empty());
        self.is("is_running", !subscription.is_running() && !subscription.stats().running);
        subscription.unsubscribe();
        self.now("gone", subscription.gone());
        self.refused_async("bus.close", bus.close());
        self.refused("spill.put", handles.spill.put("s", &event()));
        self.refused("spill.drain", handles.spill.drain(&handles.store));
        self.refused_async("spill.put_async", handles.spill.put_async("s", &event()));
        self.refused_async("spill.drain_async", handles.spill.drain_async(&handles.store));
        let _ = (handles.spill.stats(), handles.spill.is_empty());
    }

    fn projected(&mut self, counts: &Projected<Counted>, rebuild: &Rebuild) {
        self.refused("state", counts.state("bulk"));
        self.refused("history", counts.history("bulk"));
        self.refused("lag", counts.lag());
        self.refused("catch_up", counts.catch_up());
        self.refused("retry", counts.retry());
        self.refused("rebuild", counts.rebuild());
        self.refused("waiting for a rebuild", rebuild.wait());
        self.refused_async("waiting for a rebuild in a task", rebuild.wait_async());
        self.refused_async("state_async", counts.state_async("bulk"));
        self.refused_async("read_async of a state", counts.read_async("bulk"));
        let now = retold::Timestamp::now();
        self.refused_async("state_at_async", counts.state_at_async("bulk", now));
        self.refused_async("last_good_async", counts.last_good_async("bulk"));
        self.refused_async("diff_state_async", counts.diff_state_async("bulk@1", "bulk"));
        self.refused_async("history_async", counts.history_async("bulk"));
        self.refused_async("list_async of states", counts.list_async(|_| true));
        self.refused_async("lag_async", counts.lag_async());
        self.refused_async("catch_up_async", counts.catch_up_async());
        self.refused_async("retry_async", counts.retry_async());
        self.refused_async("rebuild_async", counts.rebuild_async());
        self.is("rebuilding", counts.rebuilding().is_none() && counts.progress().is_none());
        let _ = rebuild.progress();
    }

    fn kept(&mut self, kept: Kept, mut listener: Listener) {
        let Kept { mut following, mut batched, mut stream, ahead, pages, pairs, history } = kept;
        self.refused_async("following", async { following.next().await.unwrap_or_else(ended) });
        let after = self.now("following", following.next());
        self.is("following goes on", matches!(after, Some(None)));
        self.refused_async("batched", async { batched.next().await.unwrap_or_else(ended) });
        self.refused_async("stream", async { stream.next().await.unwrap_or_else(ended) });
        self.refused_async("listener", async { listener.next().await.unwrap_or_else(ended) });
        self.ends("a long read", ahead);
        self.ends("pages", pages);
        self.ends("pairs", pairs);
        self.ends("a history", history);
    }
}

/// In the child: uses all of it, and lets go of all of it.
fn check(handles: Handles, parent: u32, path: &Path) -> String {
    let mut found = Found { parent, wrong: String::new() };
    found.reads(&handles.store, path);
    found.writes(&handles.store);
    found.consumers(&handles.consumer, &handles.delivery);
    found.bus(&handles);
    found.projected(&handles.counts, &handles.rebuild);
    let Handles { store, bus, emitter, subscription, listener, rule, timers, spill, consumer, .. } = handles;
    let (delivery, counts, kept) = (handles.delivery, handles.counts, handles.kept);
    found.kept(kept, listener);
    drop((delivery, consumer, counts, spill, timers, rule, subscription.guard(), emitter, bus, store));
    // The child itself is a process like any other.
    let own = Store::in_memory().unwrap();
    own.append("s", event()).unwrap();
    found.is("a store of its own", own.head("s").is_ok_and(|head| head.get() == 1));
    found.wrong
}

/// Runs this in a child and answers with what it says; a child that hangs, or dies, fails.
pub(crate) fn in_child(work: impl FnOnce() -> String) -> String {
    let (mut from, mut to) = std::io::pipe().unwrap();
    let child = match fork().unwrap() {
        Fork::Child => {
            let work = std::panic::AssertUnwindSafe(work);
            // The hook of the victim would speak for it.
            drop(std::panic::take_hook());
            let said = std::panic::catch_unwind(work).unwrap_or_else(|_| "it panicked\n".into());
            to.write_all(format!("{said}end").as_bytes()).unwrap();
            std::process::exit(0);
        }
        Fork::Parent(child) => child,
    };
    drop(to);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        from.read_to_string(&mut said).unwrap();
        tell.send(said).unwrap();
    });
    let Ok(said) = told.recv_timeout(LIMIT) else {
        let id = rustix::process::Pid::from_raw(child).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
        panic!("the child hangs");
    };
    waitpid(child).unwrap();
    said.strip_suffix("end").expect("the child died").to_owned()
}

const BULK: usize = 10_000;

fn go(path: &Path) -> PathBuf {
    path.with_extension("go")
}

#[test]
#[ignore = "the child process of the test below"]
fn the_process_that_forks() {
    let Some((path, rounds)) = orders() else { return };
    tell("\n");
    let settings = || Store::builder().flush_after(50, 1 << 20).flush_when_idle(Duration::from_millis(1));
    let store = settings().open(&path).unwrap();
    for _ in 0..BULK / 1_000 {
        store.append("bulk", (0..1_000).map(|_| event()).collect::<Vec<_>>()).unwrap();
    }
    store.fork("bulk@1", "fork").unwrap();
    store.maintenance().flush().unwrap();
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let (acknowledged, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let handles = runtime.block_on(Handles::of(&store, 0));
    let parent = std::process::id();
    // Whatever can be locked is, now and then.
    let busy = |work: &dyn Fn()| {
        while !over.load(Ordering::Relaxed) {
            work();
        }
    };
    std::thread::scope(|scope| {
        let (busy, store, acknowledged) = (&busy, &store, &acknowledged);
        scope.spawn(move || {
            busy(&|| {
                store.append("s", event()).unwrap();
                acknowledged.fetch_add(1, Ordering::Relaxed);
            });
        });
        scope
            .spawn(move || busy(&|| drop((store.head("s"), store.committed(), store.follow(Follow::all())))));
        scope.spawn(move || busy(&|| drop(store.read(&Query::all().reverse().limit(3)).unwrap())));
        scope.spawn(move || busy(&|| drop(event())));
        let (bus, emitter) = (handles.bus.clone(), handles.emitter.clone());
        scope.spawn(move || {
            busy(&|| {
                // More than can be written would go to the spill, and wait for the disk there.
                if bus.stats().nowait_waiting < 100 {
                    emitter.emit_nowait(event());
                }
                drop(bus.listen("**").unwrap());
            });
        });
        let spill = Spill::at(path.with_extension("spill"));
        scope.spawn(move || {
            busy(&|| {
                let _ = (spill.put("spilled", &event()), spill.drain(store));
                let timer = store.timers().schedule("s", event(), LIMIT).unwrap();
                store.timers().cancel(timer.id).unwrap();
            });
        });
        for round in 0..rounds {
            let handles = runtime.block_on(Handles::of(store, 1 + round));
            let bus = handles.bus.clone();
            let wrong = in_child(|| check(handles, parent, &path));
            assert!(wrong.is_empty(), "round {round}: {wrong}");
            runtime.block_on(bus.close()).unwrap();
            tell("forked\n");
        }
        // Somebody else looks from outside whether the store is still in use.
        while !go(&path).exists() {
            std::thread::yield_now();
        }
        over.store(true, Ordering::Relaxed);
    });
    let head = store.append("s", event()).unwrap().last().get();
    assert_eq!(head, acknowledged.load(Ordering::Relaxed) + 1);
    runtime.block_on(handles.bus.close()).unwrap();
    drop(handles);
    // A child opens the store itself once its parent has closed it.
    let (mut is_there, mut tell_there) = std::io::pipe().unwrap();
    let (mut is_closed, mut tell_closed) = std::io::pipe().unwrap();
    let inherited = store.clone();
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            is_there.read_exact(&mut [0]).unwrap();
            store.close().unwrap();
            tell_closed.write_all(b"!").unwrap();
        });
        let path = path.clone();
        in_child(move || {
            tell_there.write_all(b"!").unwrap();
            is_closed.read_exact(&mut [0]).unwrap();
            let Err(Error::OtherProcess { .. }) = inherited.head("s") else { return "it reads\n".into() };
            drop(inherited);
            // Followers end a moment after the store.
            let own = loop {
                match Store::open(&path) {
                    Err(Error::Locked { .. }) => std::thread::yield_now(),
                    opened => break opened.unwrap(),
                }
            };
            own.append("child", event()).unwrap();
            own.close().unwrap();
            String::new()
        })
    });
    assert_eq!(said, "");
    drop(store);
    tell(&format!("closed {head}\n"));
}

#[test]
fn a_forked_child_is_refused_everything_and_its_parent_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forked.redb");
    let rounds = if soak() { 500 } else { 5 };
    let mut parent = Victim::begin("fork::the_process_that_forks", &path, rounds);
    parent.until(rounds, |line| line == "forked");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.head("bulk").unwrap().get(), BULK as u64);
    store.close().unwrap();
    std::fs::write(go(&path), "").unwrap();
    let mut head = 0;
    parent.until(1, |line| {
        let closed = line.strip_prefix("closed ");
        head = closed.map_or(0, |head| head.parse().unwrap());
        closed.is_some()
    });
    let store = Store::open(&path).unwrap();
    assert!(store.maintenance().verify().unwrap().is_clean());
    assert_eq!((store.head("s").unwrap().get(), store.head("child").unwrap().get()), (head, 1));
    assert_eq!(store.head("bulk").unwrap().get(), BULK as u64);
}
