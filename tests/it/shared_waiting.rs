//! Calls of a client that wait: for room, for their answer, for each other. Blocking verbs and futures that nobody polls any more
//! are in one process, on one thread at the worst.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use retold::limits::{SHARED_CALLS, SHARED_CLIENT_BYTES};
use retold::testkit::Sharing;
use retold::{Builder, Error, NewEvent, Receipt, Result, Store};

use crate::shared_hostile::{listen, owner_that, welcome};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

fn event() -> NewEvent {
    NewEvent::new("step.done")
}

/// Events of so many bytes in all.
fn batch(bytes: usize) -> Vec<NewEvent> {
    let payload = "x".repeat(MIB / 2);
    (0..bytes.div_ceil(MIB / 2)).map(|_| event().data(serde_json::json!(payload))).collect()
}

/// Runs it on a thread of its own; a test that hangs fails.
fn in_time<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = channel();
    thread::spawn(move || tell.send(what()));
    told.recv_timeout(LIMIT).expect("it hangs, or has failed")
}

fn client_of_memory() -> (Sharing, Store, Store) {
    let owner = Store::in_memory().unwrap();
    let sharing = Sharing::of(&owner, None).unwrap();
    let client = sharing.client(Builder::new()).unwrap();
    (sharing, owner, client)
}

type Append = Pin<Box<dyn Future<Output = Result<Receipt>> + Send>>;

fn append(client: &Store, events: Vec<NewEvent>) -> Append {
    let client = client.clone();
    Box::pin(async move { client.append_async("s", events).await })
}

fn poll(append: &mut Append) -> Poll<Result<Receipt>> {
    append.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn on_one_thread<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

#[test]
fn a_blocking_verb_finds_room_though_the_thread_that_it_blocks_has_an_answer_to_take() {
    in_time(|| {
        let (_sharing, _owner, client) = client_of_memory();
        on_one_thread(async {
            let first = tokio::spawn(append(&client, batch(SHARED_CLIENT_BYTES + MIB)));
            // It is sent.
            tokio::task::yield_now().await;
            let second = client.append("s", event()).unwrap();
            let first = first.await.unwrap().unwrap();
            assert_eq!(second.last(), first.last().next());
        });
    });
}

#[test]
fn futures_that_nobody_polls_any_more_keep_no_room() {
    in_time(|| {
        let (_sharing, _owner, client) = client_of_memory();
        let begun = |count: usize, events: fn() -> Vec<NewEvent>| -> Vec<Append> {
            let mut appends: Vec<Append> = (0..count).map(|_| append(&client, events())).collect();
            // Most of them have no answer yet.
            appends.retain_mut(|append| poll(append).is_pending());
            appends
        };
        // More calls than there may be.
        let calls = begun(SHARED_CALLS + 10, || vec![event()]);
        client.append("s", event()).unwrap();
        assert!(client.head("s").unwrap().get() > 0);
        drop(calls);
        // More bytes than there may be.
        let bytes = begun(12, || batch(MIB));
        client.append("s", event()).unwrap();
        // One that is pinned beside a loop that appends.
        let mut pinned = append(&client, batch(SHARED_CLIENT_BYTES));
        on_one_thread(async {
            let first = poll(&mut pinned);
            for _ in 0..10 {
                client.append_async("s", event()).await.unwrap();
            }
            if first.is_pending() {
                pinned.await.unwrap();
            }
        });
        drop(bytes);
        client.close().unwrap();
    });
}

#[test]
fn closing_waits_for_no_future_that_nobody_polls() {
    in_time(|| {
        let (_sharing, owner, client) = client_of_memory();
        on_one_thread(async {
            let appends = tokio::spawn({
                let client = client.clone();
                async move {
                    let mut appends: Vec<Append> = (0..300).map(|_| append(&client, vec![event()])).collect();
                    appends.extend((0..20).map(|_| append(&client, batch(MIB))));
                    let mut outcomes: Vec<Option<Result<Receipt>>> = vec![None; appends.len()];
                    // All of them at once, within what a task may do in one turn.
                    std::future::poll_fn(|cx| {
                        for (append, outcome) in appends.iter_mut().zip(&mut outcomes) {
                            if outcome.is_none()
                                && let Poll::Ready(done) = append.as_mut().poll(cx)
                            {
                                *outcome = Some(done);
                            }
                        }
                        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                    outcomes
                }
            });
            let closes = tokio::spawn({
                let client = client.clone();
                async move { client.close() }
            });
            closes.await.unwrap().unwrap();
            let mut written = 0;
            for outcome in appends.await.unwrap().into_iter().flatten() {
                match outcome {
                    Ok(receipt) => written = written.max(receipt.last().get()),
                    Err(e) => assert!(matches!(e, Error::Closed { .. }), "{e:?}"),
                }
            }
            assert!(written >= 300);
            assert_eq!(owner.head("s").unwrap().get(), written);
        });
    });
}

#[test]
fn many_tasks_take_turns_and_none_is_left_out() {
    in_time(|| {
        let (_sharing, owner, client) = client_of_memory();
        let tasks = SHARED_CALLS + 300;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let each: Vec<_> = (0..tasks)
                .map(|_| {
                    let client = client.clone();
                    tokio::spawn(async move {
                        for _ in 0..3 {
                            client.append_async("s", event()).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in each {
                task.await.unwrap();
            }
        });
        assert_eq!(owner.head("s").unwrap().get(), 3 * tasks as u64);
    });
}

#[test]
fn whoever_waits_for_room_gives_up_on_a_silent_owner_with_those_who_have_it() {
    let wait = Duration::from_secs(2);
    let client = owner_that(welcome(), listen, wait).unwrap();
    let start = Instant::now();
    let threads: Vec<_> = (0..40)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.append("s", batch(MIB)))
        })
        .collect();
    let (mut unknown, mut not_written) = (0, 0);
    for thread in threads {
        match thread.join().unwrap().unwrap_err() {
            Error::Unknown { .. } => unknown += 1,
            Error::NoAnswer { .. } => not_written += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(unknown > 0 && not_written > 0, "{unknown} unknown, {not_written} not written");
    // One round of those that have room, and not five.
    assert!(start.elapsed() < wait * 4, "{:?}", start.elapsed());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

#[test]
fn a_waker_that_panics_harms_nobody_else() {
    in_time(|| {
        let (_sharing, owner, client) = client_of_memory();
        let waker = Waker::from(Arc::new(Panics));
        let mut appends: Vec<Append> = (0..3).map(|_| append(&client, vec![event()])).collect();
        appends.retain_mut(|append| append.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        for _ in 0..3 {
            client.append("s", event()).unwrap();
        }
        assert_eq!(owner.head("s").unwrap().get(), 6);
        client.close().unwrap();
        // They have their answers all the same.
        for append in &mut appends {
            assert!(matches!(poll(append), Poll::Ready(Ok(_))));
        }
    });
}

#[test]
fn the_owner_of_a_client_that_goes_amid_many_calls_has_room_for_others() {
    in_time(|| {
        let (sharing, _owner, client) = client_of_memory();
        let (own, other) = UnixStream::pair().unwrap();
        sharing.serve(other);
        let going = Sharing::connect(own, Builder::new(), LIMIT).unwrap();
        let mut appends: Vec<Append> = (0..12).map(|_| append(&going, batch(MIB))).collect();
        appends.retain_mut(|append| poll(append).is_pending());
        drop(appends);
        drop(going);
        client.append("s", batch(4 * MIB)).unwrap();
    });
}
