//! Runtimes of the explorer. Tasks of all of them take turns, like any other. One that ends drops its tasks where they wait,
//! and what blocks and has not begun; one that nobody runs leaves its tasks where they are, until somebody does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::switch::Waiting;

#[derive(Debug, Default)]
struct RuntimeState {
    has_ended: bool,
    stands_still: bool,
    next: u64,
    /// Its tasks, with what wakes them once they were polled.
    tasks: BTreeMap<u64, Option<Waker>>,
    polled: BTreeSet<u64>,
    /// What blocks, and has begun.
    blocking: usize,
}

std::thread_local! {
    static ALL: RefCell<Vec<RuntimeState>> = const { RefCell::new(Vec::new()) };
    static ENDING: Waiting = const { Waiting::new() };
}

shuttle::thread_local! {
    static HERE: Cell<usize> = Cell::new(0);
}

fn with<T>(runtime: usize, look: impl FnOnce(&mut RuntimeState) -> T) -> T {
    ALL.with_borrow_mut(|all| {
        if all.len() <= runtime {
            all.resize_with(runtime + 1, RuntimeState::default);
        }
        look(&mut all[runtime])
    })
}

/// For messages: what they are at.
pub(crate) fn runtimes() -> String {
    let told = |(number, state): (usize, &RuntimeState)| {
        let RuntimeState { has_ended, stands_still, tasks, polled, .. } = state;
        let tasks: Vec<&u64> = tasks.keys().collect();
        format!("{number}: ended {has_ended}, still {stands_still}, tasks {tasks:?}, polled {polled:?}")
    };
    ALL.with_borrow(|all| all.iter().enumerate().map(told).collect::<Vec<_>>().join("; "))
}

/// There is one, which the model is in.
pub(super) fn begin() {
    ALL.set(vec![RuntimeState::default()]);
}

pub(super) fn another() -> usize {
    ALL.with_borrow_mut(|all| {
        all.push(RuntimeState::default());
        all.len() - 1
    })
}

/// The runtime of the task or thread that asks.
pub(super) fn here() -> usize {
    HERE.try_with(Cell::get).unwrap_or(0)
}

pub(super) fn has_ended(runtime: usize) -> bool {
    with(runtime, |state| state.has_ended)
}

/// What is called while this lives is called in a runtime.
pub(super) struct Entered(usize);

pub(super) fn enter(runtime: usize) -> Entered {
    Entered(HERE.try_with(|here| here.replace(runtime)).unwrap_or(0))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.set(self.0));
    }
}

/// Ends it, and waits until its tasks are gone.
pub(super) fn end(runtime: usize) {
    let wakers: Vec<Waker> = with(runtime, |state| {
        state.has_ended = true;
        state.tasks.values().flatten().cloned().collect()
    });
    wakers.into_iter().for_each(Waker::wake);
    ENDING.with(|ending| {
        ending.until(|| with(runtime, |state| state.tasks.is_empty()).then_some(()));
    });
}

/// Ends all but that of the model, and waits until what blocks has ended too: what is left in the middle of something at the
/// end of an execution cannot be dropped.
pub(crate) fn end_runtimes() {
    let count = ALL.with_borrow(Vec::len);
    for runtime in 1..count {
        end(runtime);
    }
    ENDING.with(|ending| {
        ending.until(|| ALL.with_borrow(|all| all.iter().all(|state| state.blocking == 0)).then_some(()));
    });
}

/// Runs what blocks, unless the runtime has ended.
pub(super) fn block_in<T>(runtime: usize, work: impl FnOnce() -> T) -> Option<T> {
    let _here = enter(runtime);
    if has_ended(runtime) {
        return None;
    }
    with(runtime, |state| state.blocking += 1);
    let done = work();
    with(runtime, |state| state.blocking -= 1);
    ENDING.with(Waiting::again);
    Some(done)
}

/// Nobody runs it from now on; or somebody does again.
pub(super) fn stand_still(runtime: usize, stands_still: bool) {
    let wakers: Vec<Waker> = with(runtime, |state| {
        state.stands_still = stands_still;
        state.tasks.values().flatten().cloned().collect()
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// A task of a runtime. It resolves to nothing when that has ended before.
pub(super) struct RuntimeTask<F> {
    runtime: usize,
    id: u64,
    work: Option<Pin<Box<F>>>,
}

impl<F> RuntimeTask<F> {
    /// `None` when the runtime has ended.
    pub(super) fn of(runtime: usize, work: F) -> Option<Self> {
        let id = with(runtime, |state| {
            state.next += 1;
            let id = state.next;
            (!state.has_ended).then(|| {
                state.tasks.insert(id, None);
                id
            })
        });
        // It is dropped there.
        let _here = enter(runtime);
        id.map(|id| Self { runtime, id, work: Some(Box::pin(work)) })
    }
}

impl<F> RuntimeTask<F> {
    /// It is over.
    fn leave(&mut self) {
        self.work = None;
        with(self.runtime, |state| drop(state.tasks.remove(&self.id)));
        ENDING.with(Waiting::again);
    }
}

impl<F: Future> Future for RuntimeTask<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (runtime, id) = (self.runtime, self.id);
        let _here = enter(runtime);
        let (has_ended, stands_still) = with(runtime, |state| {
            if let Some(waker) = state.tasks.get_mut(&id) {
                *waker = Some(context.waker().clone());
            }
            (state.has_ended, state.stands_still)
        });
        if stands_still && !has_ended {
            return Poll::Pending;
        }
        with(runtime, |state| state.polled.insert(id));
        let polled = match &mut self.work {
            Some(work) if !has_ended => work.as_mut().poll(context).map(Some),
            _ => Poll::Ready(None),
        };
        if polled.is_ready() {
            self.leave();
        }
        with(runtime, |state| state.polled.remove(&id));
        polled
    }
}

impl<F> Drop for RuntimeTask<F> {
    fn drop(&mut self) {
        let _here = enter(self.runtime);
        self.leave();
    }
}
