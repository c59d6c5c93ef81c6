//! Publishers that wait for the results of handlers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::answer::Answer;
use super::wait_for::WaitFor;
use crate::event::EventId;
use crate::sync::{Mutex, fault, lock};

/// The results for the events of one publisher.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    answers: Mutex<HashMap<(EventId, u64), Answer>>,
    wake: Notify,
    /// Its publisher has looked.
    #[cfg(test)]
    looked: std::sync::atomic::AtomicBool,
}

impl Ticket {
    pub(super) fn take(&self, event: EventId, handler_state: u64) -> Option<Answer> {
        #[cfg(test)]
        self.looked.store(true, Ordering::SeqCst);
        lock(&self.answers).remove(&(event, handler_state))
    }

    /// Signals that a result arrived, or a handler left.
    pub(super) async fn rung(&self) {
        self.wake.notified().await;
    }
}

/// All tickets of a bus, by event.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: AtomicUsize,
    /// Those that wait for all handlers.
    for_all: AtomicUsize,
    /// Several publishers of one event each have their own: one of them is a retry.
    by_event: Mutex<HashMap<EventId, Vec<Arc<Ticket>>>>,
}

/// A ticket that goes with its publisher.
#[derive(Debug)]
pub(super) struct Held<'a> {
    tickets: &'a Tickets,
    events: Vec<EventId>,
    waits_for: WaitFor,
    pub(super) ticket: Arc<Ticket>,
}

impl Tickets {
    /// Has to be opened before the append: a handler may be faster than its publisher.
    pub(super) fn open(&self, events: Vec<EventId>, waits_for: WaitFor) -> Held<'_> {
        if waits_for == WaitFor::All {
            self.for_all.fetch_add(1, Ordering::SeqCst);
        }
        let ticket = Arc::new(Ticket::default());
        let mut by_event = lock(&self.by_event);
        for id in &events {
            by_event.entry(*id).or_default().push(ticket.clone());
        }
        self.open.store(by_event.len(), Ordering::SeqCst);
        Held { tickets: self, events, waits_for, ticket }
    }

    /// Whether somebody waits for the handlers that did not ask for it too.
    pub(super) fn are_for_all(&self) -> bool {
        self.for_all.load(Ordering::SeqCst) > 0
    }

    pub(super) fn resolve(&self, event: EventId, handler_state: u64, answer: Answer) {
        if self.open.load(Ordering::SeqCst) == 0 {
            return;
        }
        for ticket in lock(&self.by_event).get(&event).into_iter().flatten() {
            fault!(OpensTicketLate, {
                if !ticket.looked.load(Ordering::SeqCst) {
                    continue;
                }
            });
            lock(&ticket.answers).insert((event, handler_state), answer.clone());
            ticket.wake.notify_one();
        }
    }

    /// A handler has gone: wakes those who wait for it.
    pub(super) fn ring(&self) {
        lock(&self.by_event).values().flatten().for_each(|ticket| ticket.wake.notify_one());
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.waits_for == WaitFor::All {
            self.tickets.for_all.fetch_sub(1, Ordering::SeqCst);
        }
        let mut by_event = lock(&self.tickets.by_event);
        for event in &self.events {
            if let Some(tickets) = by_event.get_mut(event) {
                tickets.retain(|other| !Arc::ptr_eq(other, &self.ticket));
                if tickets.is_empty() {
                    by_event.remove(event);
                }
            }
        }
        self.tickets.open.store(by_event.len(), Ordering::SeqCst);
    }
}
