use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::bus::Bus;
use super::handler_state::HandlerState;
use super::history::HistoryCounts;
use super::phase::Phase;
use crate::store::lock;

/// A handler, as a listing shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HandlerStats {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub patterns: Vec<String>,
    /// What it does not take.
    pub except: Vec<String>,
    /// Higher comes first.
    pub priority: i32,
    /// Whether it runs on threads that may block.
    pub blocking: bool,
    /// Whether publishers wait for it.
    pub awaited: bool,
    /// Whether it goes after its first event.
    pub once: bool,
    /// Whether it still takes events.
    pub running: bool,
    /// Why it ended, when nobody asked for it.
    pub ended: Option<String>,
    /// Events that it took.
    pub events: u64,
    /// Calls, those for the same event counted each.
    pub calls: u64,
    /// Calls that failed, for whatever reason.
    pub errors: u64,
    /// Of these, calls that panicked.
    pub panics: u64,
    /// Of these, calls that were not done in time.
    pub timeouts: u64,
    /// Events that became dead letters.
    pub dead_letters: u64,
    /// Dead letters that are kept now.
    pub dead_letters_kept: usize,
    /// Dead letters that newer ones pushed out since the store was opened.
    pub dead_letters_pushed_out: u64,
    /// Events that could not be read in their newest shape.
    pub unreadable: u64,
    /// Ephemeral events that found no room.
    pub ephemeral_dropped: u64,
    /// Events that it holds: running, resting between calls, or waiting.
    pub queue: usize,
    /// Sessions and branches of which it holds any.
    pub branch_queues: usize,
    /// Calls past their time that could not be stopped.
    pub stuck: usize,
    /// Positions that were committed and that it has not looked at yet.
    pub lag: u64,
    /// Half of its calls took no longer, to an eighth; `None` before the first.
    pub p50: Option<Duration>,
    /// 99 of 100 calls took no longer, to an eighth.
    pub p99: Option<Duration>,
}

impl HandlerStats {
    pub(super) fn of(handler_state: &HandlerState) -> Self {
        let (asked, m) = (&handler_state.asked, &handler_state.metrics);
        let texts = |patterns: &[crate::event::Pattern]| patterns.iter().map(ToString::to_string).collect();
        // In a forked child nothing runs, and what is behind locks may never be given back.
        let here = handler_state.shared.handle.process().is_this();
        // Before what it holds: an event that goes from there to here in between is then seen twice, not never.
        let lag = handler_state.lag();
        let (queue, branch_queues, stuck) = match here {
            true => {
                let work = handler_state.work();
                (work.branch_queues.held(), work.branch_queues.branch_queues(), work.stuck)
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
            branch_queues,
            stuck,
            lag,
            p50: m.times.quantile(0.5),
            p99: m.times.quantile(0.99),
        }
    }
}

/// What a bus has done since it was opened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BusStats {
    /// Events that were published and recorded, also by those who did not wait.
    pub published: u64,
    /// Events that were told and not recorded.
    pub ephemeral: u64,
    /// Events that were published without waiting.
    pub nowait: u64,
    /// Of these, those that wait in memory now.
    pub nowait_waiting: usize,
    /// Events that went to the spill, since the store could not take them.
    pub spilled: u64,
    /// Events that were published without waiting and could be kept nowhere.
    pub dropped: u64,
    /// Events that became no dead letter, since the store could not write one.
    pub dead_letters_lost: u64,
    /// What the history has.
    pub history: HistoryCounts,
    /// Every handler.
    pub handlers: Vec<HandlerStats>,
}

impl Bus {
    /// What was done since the bus was opened. In a forked child without history and handlers.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        let core = self.core();
        let here = core.shared.handle.process().is_this();
        let c = &core.shared.counts;
        BusStats {
            published: c.published.load(Relaxed),
            ephemeral: c.ephemeral.load(Relaxed),
            nowait: c.nowait.load(Relaxed),
            nowait_waiting: core.nowait.waiting(),
            spilled: c.spilled.load(Relaxed),
            dropped: c.dropped.load(Relaxed),
            dead_letters_lost: c.dead_letters_lost.load(Relaxed),
            history: if here { core.history.counts() } else { HistoryCounts::default() },
            handlers: self.handlers(),
        }
    }

    /// Every subscribed handler with its counts, in the order in which they subscribed; none in a forked child.
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
