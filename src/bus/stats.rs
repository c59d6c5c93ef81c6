//! Statistics of a bus and of its handlers.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::bus::Bus;
use super::handler_state::HandlerState;
pub use super::history::HistoryCounts;
use super::phase::Phase;
use super::spill::{Spill, SpillStats};
use crate::sync::lock;

/// A handler in a listing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HandlerStats {
    /// Its name.
    pub name: String,
    /// Its patterns.
    pub patterns: Vec<String>,
    /// Its exclusions.
    pub except: Vec<String>,
    /// Its priority; higher comes first.
    pub priority: i32,
    /// Whether it runs on blocking threads.
    pub blocking: bool,
    /// Whether publishers wait for it.
    pub awaited: bool,
    /// Whether it ends after its first event.
    pub once: bool,
    /// Whether it still takes events.
    pub running: bool,
    /// Why it ended, if that was not requested.
    pub ended: Option<String>,
    /// Events that it took.
    pub events: u64,
    /// Events that it handled successfully.
    pub handled: u64,
    /// Events that it handled successfully, per second since it subscribed, or until it was gone.
    pub throughput: f64,
    /// Calls, including retries.
    pub calls: u64,
    /// Calls that failed, for any reason.
    pub errors: u64,
    /// Of these, calls that panicked.
    pub panics: u64,
    /// Of these, calls that timed out.
    pub timeouts: u64,
    /// Events that became dead letters.
    pub dead_letters: u64,
    /// Dead letters that are kept now.
    pub dead_letters_kept: usize,
    /// Dead letters that were replaced by newer ones since the store was opened.
    pub dead_letters_pushed_out: u64,
    /// Events that could not be upcast.
    pub unreadable: u64,
    /// Ephemeral events that were dropped because its queue was full.
    pub ephemeral_dropped: u64,
    /// Events that it holds: running, in backoff, or waiting.
    pub queue: usize,
    /// Branches that it holds events of.
    pub branches: usize,
    /// Timed-out calls that could not be stopped.
    pub stuck: usize,
    /// Committed positions that it has not scanned yet.
    pub lag: u64,
    /// The mean duration of its calls; `None` before the first.
    pub mean: Option<Duration>,
    /// The median duration of its calls, to within an eighth; `None` before the first.
    pub p50: Option<Duration>,
    /// The 99th percentile of the duration of its calls, to within an eighth.
    pub p99: Option<Duration>,
}

impl HandlerStats {
    pub(super) fn of(handler_state: &HandlerState) -> Self {
        let (asked, m) = (&handler_state.asked, &handler_state.metrics);
        let texts = |patterns: &[crate::event::Pattern]| patterns.iter().map(ToString::to_string).collect();
        // In a forked child nothing runs, and locks may never be released.
        let here = handler_state.shared.handle.process().is_this();
        // Before the held events: one that moves from there to here in between is then counted twice, not missed.
        let lag = handler_state.lag();
        let (queue, branches, stuck) = match here {
            true => {
                let work = handler_state.work();
                (work.machine.held(), work.machine.lanes(), work.stuck)
            }
            false => (0, 0, 0),
        };
        Self {
            name: asked.name.to_string(),
            patterns: texts(asked.route.patterns()),
            except: texts(asked.route.exclusions()),
            priority: asked.priority,
            blocking: asked.handler.is_blocking(),
            awaited: asked.awaited,
            once: asked.once,
            running: here && handler_state.phase() == Phase::Running,
            ended: if here { lock(&handler_state.ended).clone() } else { None },
            events: m.events.load(Relaxed),
            handled: m.handled.load(Relaxed),
            throughput: m.throughput(),
            calls: m.calls.load(Relaxed),
            errors: m.errors.load(Relaxed),
            panics: m.panics.load(Relaxed),
            timeouts: m.timeouts.load(Relaxed),
            dead_letters: m.dead_letters.load(Relaxed),
            dead_letters_kept: if here { handler_state.dead_letters.len() } else { 0 },
            dead_letters_pushed_out: handler_state.dead_letters.pushed_out(),
            unreadable: m.unreadable.load(Relaxed),
            ephemeral_dropped: m.ephemeral_dropped.load(Relaxed),
            queue,
            branches,
            stuck,
            lag,
            mean: m.times.mean(),
            p50: m.times.quantile(0.5),
            p99: m.times.quantile(0.99),
        }
    }
}

/// Statistics of a bus since it was opened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BusStats {
    /// Events that were published and recorded, with or without waiting.
    pub published: u64,
    /// Ephemeral events.
    pub ephemeral: u64,
    /// Events that were published without waiting.
    pub nowait: u64,
    /// Of these, events that are queued in memory now.
    pub nowait_waiting: usize,
    /// Events that went to the spill because the store could not be written.
    pub spilled: u64,
    /// Of its spill, if it has one.
    pub spill: Option<SpillStats>,
    /// Events that were published without waiting and were lost.
    pub dropped: u64,
    /// Dead letters that were lost because the store could not be written.
    pub dead_letters_lost: u64,
    /// The history.
    pub history: HistoryCounts,
    /// Every handler.
    pub handlers: Vec<HandlerStats>,
}

impl Bus {
    /// Statistics since the bus was opened. In a forked child without history and handlers.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        let core = self.core();
        let here = core.shared.handle.process().is_this();
        if here && let Err(error) = core.history.catch_up(&core.shared.handle) {
            tracing::debug!(%error, "the counts of the history do not have the latest events yet");
        }
        let c = &core.shared.counts;
        BusStats {
            published: c.published.load(Relaxed),
            ephemeral: c.ephemeral.load(Relaxed),
            nowait: c.nowait.load(Relaxed),
            nowait_waiting: core.nowait.waiting(),
            spilled: c.spilled.load(Relaxed),
            spill: core.spill.as_ref().map(Spill::stats),
            dropped: c.dropped.load(Relaxed),
            dead_letters_lost: c.dead_letters_lost.load(Relaxed),
            history: if here { core.history.counts() } else { HistoryCounts::default() },
            handlers: self.handlers(),
        }
    }

    /// How many running handlers and listeners can get events of this type, by their patterns and exclusions: filters and
    /// predicates depend on the event. 0 in a forked child.
    #[must_use]
    pub fn subscriber_count(&self, kind: &str) -> usize {
        let core = self.core();
        if !core.shared.handle.process().is_this() {
            return 0;
        }
        let roster = core.roster();
        let running = roster.handler_states.iter().filter(|s| s.phase() == Phase::Running);
        running.filter(|s| s.asked.route.may_take(kind)).count() + core.subscribers.listening(kind)
    }

    /// Every subscribed handler with its counters, in order of subscription; none in a forked child.
    #[must_use]
    pub fn handlers(&self) -> Vec<HandlerStats> {
        if !self.core().shared.handle.process().is_this() {
            return Vec::new();
        }
        self.core()
            .roster()
            .handler_states
            .iter()
            .map(|handler_state| HandlerStats::of(handler_state))
            .collect()
    }
}
