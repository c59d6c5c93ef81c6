//! Helpers of the cases: plain events, reads, and comparisons that name what they found.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use super::case::{CaseOutcome, Stop};
use super::home::{Capability, Home};
use crate::consumer::Consumer;
use crate::error::{Error, Result};
use crate::event::{Event, NewEvent};
use crate::follow::Following;
use crate::store::{Builder, Query, Store};

/// How long something may take on a busy machine that should happen soon.
const LONG: Duration = Duration::from_secs(120);

/// An empty store with the usual settings.
pub(super) fn empty(home: &mut dyn Home) -> Result<Store> {
    home.create(Builder::new())
}

/// The latest store, closed and opened again.
pub(super) fn reopened(home: &mut dyn Home, store: Store, settings: &Builder) -> Result<Store, Stop> {
    store.close()?;
    drop(store);
    let begun = Instant::now();
    loop {
        match home.reopen(settings.clone()) {
            Ok(Some(store)) => return Ok(store),
            Ok(None) => return Err(Stop::Lacks(Capability::Reopen)),
            // A reader that has just finished releases the file soon.
            Err(Error::Locked { .. }) if begun.elapsed() < LONG => std::thread::yield_now(),
            Err(e) => return Err(e.into()),
        }
    }
}

/// The latest store, as a crash would leave it now.
pub(super) fn crashed(home: &mut dyn Home, settings: &Builder) -> Result<Store, Stop> {
    home.crash(settings.clone())?.ok_or(Stop::Lacks(Capability::Crash))
}

/// What was made of a store is so after a crash, whether it was flushed before or not. `make` is told whether it can flush.
pub(super) fn stays_after_a_crash(
    home: &mut dyn Home,
    make: fn(&Store, bool) -> CaseOutcome,
    check: fn(&Store) -> CaseOutcome,
) -> CaseOutcome {
    let flushes = home.has_maintenance();
    for flushed_after in [false, true] {
        let store = empty(home)?;
        make(&store, flushes)?;
        if flushed_after && flushes {
            store.maintenance().flush()?;
        }
        let after = crashed(home, &Builder::new())?;
        check(&after)?;
        holds("it verifies", !flushes || after.maintenance().verify()?.is_clean())?;
    }
    Ok(())
}

/// One event whose payload is this number.
pub(super) fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").json_text(n.to_string())
}

/// Events with these numbers.
pub(super) fn run_of(numbers: impl IntoIterator<Item = u64>) -> Vec<NewEvent> {
    numbers.into_iter().map(numbered).collect()
}

/// The number of a [`numbered`] event.
pub(super) fn number(event: &Event) -> Result<u64, Stop> {
    let text = std::str::from_utf8(event.payload())?;
    text.parse().map_err(|_| Stop::failed(format!("{} has the payload {text}", event.address())))
}

pub(super) fn numbers(events: &[Event]) -> Result<Vec<u64>, Stop> {
    events.iter().map(number).collect()
}

/// All events of a query.
pub(super) fn read(store: &Store, query: Query) -> Result<Vec<Event>> {
    store.events(query)?.collect()
}

/// All events of a query, in pages of this size.
pub(super) fn paged(store: &Store, query: Query, size: usize) -> Result<Vec<Event>, Stop> {
    let (mut events, mut next) = (Vec::new(), Some(query.limit(size)));
    while let Some(query) = next.take() {
        let page = store.read(&query)?;
        holds("a page is no larger than it was asked for", page.events.len() <= size)?;
        holds("a page that is not the last has events", page.next.is_none() || !page.events.is_empty())?;
        events.extend(page.events);
        next = page.next;
    }
    Ok(events)
}

/// The numbers of a branch's history.
pub(super) fn of_branch(store: &Store, address: &str) -> Result<Vec<u64>, Stop> {
    numbers(&read(store, Query::branch(address)?)?)
}

/// The next event of a follower that goes on.
pub(super) async fn next_event(following: &mut Following) -> Result<Event, Stop> {
    Ok(some("next event: the follower ended", following.next_event().await)??)
}

/// The numbers of the next deliveries, each of which is acknowledged.
pub(super) async fn delivered(consumer: &Consumer, count: usize) -> Result<Vec<u64>, Stop> {
    let mut found = Vec::new();
    for _ in 0..count {
        let delivery = consumer.next().await?;
        found.push(number(delivery.event())?);
        delivery.ack().await?;
    }
    Ok(found)
}

/// All events of a store, to compare with another's.
pub(super) fn everything(store: &Store) -> Result<Vec<Event>> {
    read(store, Query::all())
}

#[track_caller]
pub(super) fn equal<T: PartialEq + Debug>(what: &str, found: T, due: T) -> CaseOutcome {
    if found == due { Ok(()) } else { Err(Stop::failed(format!("{what}: {found:?} where {due:?} was due"))) }
}

#[track_caller]
pub(super) fn holds(what: &str, it_does: bool) -> CaseOutcome {
    if it_does { Ok(()) } else { Err(Stop::failed(format!("this does not hold: {what}"))) }
}

/// The value, or a failure that it is missing.
#[track_caller]
pub(super) fn some<T>(what: &str, thing: Option<T>) -> Result<T, Stop> {
    thing.ok_or_else(|| Stop::failed(format!("there is no {what}")))
}

/// The result must be this error; names any other result.
macro_rules! refused {
    ($answer:expr, $due:pat $(if $guard:expr)?) => {
        match $answer {
            Err($due) $(if $guard)? => {}
            Err(e) => {
                let due = stringify!($due);
                return Err($crate::testkit::conformance::case::Stop::failed(format!("{e:?} where {due} was due")));
            }
            Ok(_) => {
                let (what, due) = (stringify!($answer), stringify!($due));
                return Err($crate::testkit::conformance::case::Stop::failed(format!(
                    "it succeeded where {due} was due: {what}"
                )));
            }
        }
    };
}

pub(super) use refused;

/// Runs tasks on this thread until the work is done, with a time limit.
pub(super) fn in_tasks<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let answer = runtime.block_on(async {
        let late = |_| Stop::failed(format!("it goes on after {LONG:?}: something did not come"));
        tokio::time::timeout(LONG, work).await.map_err(late)?
    });
    runtime.shutdown_background();
    answer
}

/// Runs the same work on this many threads, which start together, and collects the results. The work gets the number
/// of its thread.
pub(super) fn at_once<T: Send>(threads: u64, work: impl Fn(u64) -> T + Sync) -> Result<Vec<T>, Stop> {
    let begin = std::sync::Barrier::new(usize::try_from(threads)?);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|n| {
                let (begin, work) = (&begin, &work);
                scope.spawn(move || {
                    begin.wait();
                    work(n)
                })
            })
            .collect();
        let panicked = |_| Stop::failed("a thread panicked");
        running.into_iter().map(|thread| thread.join().map_err(panicked)).collect()
    })
}
