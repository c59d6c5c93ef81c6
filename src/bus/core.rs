//! The core of the bus: its handlers, and their shared parts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::handler_state::HandlerState;
use super::history::History;
use super::message::Message;
use super::phase::Phase;
use super::queue::Nowait;
use super::settings::Settings;
use super::shared::Shared;
use super::spill::Spill;
use super::subscribers::Subscribers;
use super::timers::TimersRunning;
use crate::error::{Error, Result};
use crate::event::PayloadView;
use crate::limits::MAX_HANDLERS;
use crate::store::StoreHandle;
use crate::sync::task::Runtime;
use crate::sync::{Mutex, RwLock, fault, lock, read, write};

/// Why a bus takes nothing more whose tasks were dropped.
pub(super) const RUNTIME_ENDED: &str =
    "the runtime of the bus has ended; open another bus on one that keeps running";

/// All handlers, in the order in which they subscribed.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) handler_states: Vec<Arc<HandlerState>>,
    /// Whether priorities differ.
    pub(super) ranked: bool,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Settings,
    roster: RwLock<Arc<Roster>>,
    next: AtomicU64,
    pub(super) phase: watch::Sender<Phase>,
    /// Why it ended, if that was not requested.
    ended: OnceLock<String>,
    pub(super) history: History,
    pub(super) subscribers: Subscribers,
    pub(super) nowait: Nowait,
    /// Where events go while the store cannot be written.
    pub(super) spill: Option<Spill>,
    /// Timers fire as long as the bus is open.
    pub(super) timers: Mutex<Option<TimersRunning>>,
}

impl Core {
    pub(super) fn new(handle: StoreHandle, runtime: Runtime, settings: Settings) -> Arc<Self> {
        let spill = match &settings.spill {
            Some(path) => Some(Spill::at(path)),
            None => Spill::beside_file(&handle),
        };
        // The builder has checked the bound.
        let spill =
            spill.filter(|_| settings.spill_limit > 0).and_then(|s| s.limit(settings.spill_limit).ok());
        let reserve = match handle.read_only() {
            true => 0,
            false => settings.spill_reserve.min(settings.spill_limit),
        };
        let spill = spill.and_then(|s| s.reserve(reserve).ok());
        let waits = spill.as_ref().is_some_and(|spill| !spill.is_empty());
        let nowait = Nowait::new(settings.nowait, waits);
        let core = Self {
            shared: Shared::new(handle, runtime, settings.workers),
            roster: RwLock::default(),
            next: AtomicU64::new(1),
            phase: watch::Sender::new(Phase::Running),
            ended: OnceLock::new(),
            history: History::new(settings.history),
            subscribers: Subscribers::default(),
            nowait,
            spill,
            timers: Mutex::default(),
            settings,
        };
        Arc::new(core)
    }

    pub(super) fn roster(&self) -> Arc<Roster> {
        read(&self.roster).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Arc<HandlerState>>) -> Result<T>) -> Result<T> {
        let mut roster = write(&self.roster);
        let mut handler_states = roster.handler_states.clone();
        let done = change(&mut handler_states)?;
        let first = handler_states.first().map(|s| s.asked.priority);
        let ranked = handler_states.iter().any(|s| Some(s.asked.priority) != first);
        *roster = Arc::new(Roster { handler_states, ranked });
        Ok(done)
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    pub(super) fn enter(&self, handler_state: &Arc<HandlerState>) -> Result<()> {
        self.change(|handler_states| {
            self.open()?;
            if handler_states.len() >= MAX_HANDLERS {
                let reason = format!("is one too many: the limit of a bus is {MAX_HANDLERS} handlers");
                return Err(crate::event::Invalid::new("handler", reason).into());
            }
            handler_states.push(handler_state.clone());
            Ok(())
        })
    }

    pub(super) fn leave(&self, id: u64) {
        // Nothing in it can fail.
        let _ = self.change(|handler_states| {
            handler_states.retain(|handler_state| handler_state.id != id);
            Ok(())
        });
        if !fault!(GoesSilently) {
            self.shared.tickets.ring();
        }
    }

    /// Whether the bus accepts events.
    pub(super) fn open(&self) -> Result<()> {
        self.shared.handle.process().check()?;
        match *self.phase.borrow() {
            Phase::Running => Ok(()),
            _ => Err(self.ended.get().map_or(Error::Closed { after: None }, Error::storage)),
        }
    }

    /// Its runtime has ended, and its tasks with it: nothing is taken that nobody would handle.
    pub(super) fn runtime_has_ended(&self) {
        let _ = self.ended.set(RUNTIME_ENDED.to_owned());
        self.drain();
        self.nowait.ended.send_replace(true);
        self.roster().handler_states.iter().for_each(|handler_state| handler_state.go(Phase::Leaving));
    }

    /// Accepts nothing more. The task that writes what was published without waiting then notifies the handlers.
    pub(super) fn drain(&self) {
        // While holding the roster, so that no handler is added in between.
        let _roster = write(&self.roster);
        self.phase.send_if_modified(|now| {
            let later = *now < Phase::Draining;
            *now = Phase::Draining.max(*now);
            later
        });
        *lock(&self.timers) = None;
    }

    /// Sends an ephemeral event to every matching handler.
    pub(super) fn tell(&self, message: &Message) {
        self.shared.counts.ephemeral.fetch_add(1, Relaxed);
        let payload = PayloadView::of(message.record());
        for handler_state in &self.roster().handler_states {
            if handler_state.asked.route.takes_with(message, &payload) {
                handler_state.tell(message.clone());
            }
        }
        self.subscribers.tell(message);
        self.history.add(message.clone());
    }
}
