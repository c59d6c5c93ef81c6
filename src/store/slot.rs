//! One answer, handed from the writer to whoever waits for it: a blocked thread or a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use super::sync::lock;

/// What a blocked waiter is woken for.
#[derive(Debug)]
pub(super) enum Woken<T> {
    Answered(T),
    /// The writer's seat is free and this waiter is next: it commits its own group.
    Lead,
}

#[derive(Debug)]
struct State<T> {
    answer: Option<T>,
    lead: bool,
    /// A thread is blocked on it: waking nobody still costs a system call.
    blocked: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

impl<T> Slot<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { answer: None, lead: false, blocked: false, waker: None }),
            ready: Condvar::new(),
        })
    }

    pub(super) fn answer(&self, answer: T) {
        let (blocked, waker) = {
            let mut state = lock(&self.state);
            state.answer = Some(answer);
            (state.blocked, state.waker.take())
        };
        if blocked {
            self.ready.notify_one();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the answer is there and waits to be taken.
    pub(super) fn is_answered(&self) -> bool {
        lock(&self.state).answer.is_some()
    }

    /// Tells a blocked waiter to lead.
    pub(super) fn offer_lead(&self) {
        lock(&self.state).lead = true;
        self.ready.notify_one();
    }

    pub(super) fn wait(&self) -> Woken<T> {
        let mut state = lock(&self.state);
        loop {
            if let Some(answer) = state.answer.take() {
                return Woken::Answered(answer);
            }
            if std::mem::take(&mut state.lead) {
                return Woken::Lead;
            }
            state.blocked = true;
            state = self.ready.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

/// Resolves with the answer. Dropping it changes nothing: what was queued happens.
#[derive(Debug)]
pub(super) struct Answer<T>(pub(super) Arc<Slot<T>>);

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = lock(&self.0.state);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
