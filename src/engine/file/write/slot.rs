//! One answer, passed from the writer to a blocked thread or a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;
use crate::sync::{Condvar, Mutex};

#[derive(Debug)]
struct State<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

#[derive(Debug)]
pub(crate) struct Slot<T>(Mutex<State<T>>);

impl<T> Slot<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { answer: None, waker: None })))
    }

    /// Stores the answer and wakes a future. A blocked thread is woken through its gate.
    pub(crate) fn answer(&self, answer: T) {
        let waker = {
            let mut state = lock(&self.0);
            state.answer = Some(answer);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the answer is there, ready to be taken.
    pub(crate) fn is_answered(&self) -> bool {
        lock(&self.0).answer.is_some()
    }

    fn take(&self) -> Option<T> {
        lock(&self.0).answer.take()
    }
}

/// Where the threads of one group wait, so that one system call wakes them all.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    waiting: Mutex<usize>,
    opened: Condvar,
}

impl Gate {
    /// Blocks until the slot, which belongs to a job of this gate's group, is answered.
    pub(crate) fn wait<T>(&self, slot: &Slot<T>) -> T {
        if let Some(answer) = slot.take() {
            return answer;
        }
        let mut waiting = lock(&self.waiting);
        loop {
            // Checked under the lock, which the answering side takes after the last answer.
            if let Some(answer) = slot.take() {
                return answer;
            }
            *waiting += 1;
            waiting = self.opened.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            *waiting -= 1;
        }
    }

    /// Wakes all, after every slot of the group was answered.
    pub(crate) fn open(&self) {
        if *lock(&self.waiting) > 0 {
            self.opened.notify_all();
        }
    }
}

/// Resolves with the answer. Dropping it cancels nothing: what was queued happens.
#[derive(Debug)]
pub(crate) struct Pending<T>(pub(crate) Arc<Slot<T>>);

impl<T> Future for Pending<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = lock(&self.0.0);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
