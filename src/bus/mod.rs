//! Handlers in the process: which handler is called for which event, in which order, and what happens if a call fails.
//! Every handler has its own follower, so a slow one does not affect the others. Decisions are made by the state machine
//! in `delivery` and in `gate`, without I/O or a clock; the code around them carries them out. Needs a tokio runtime.

mod answer;
#[cfg(test)]
mod away_tests;
mod builder;
#[allow(clippy::module_inception, reason = "the bus itself")]
mod bus;
mod chain;
mod core;
mod current;
mod drive;
mod emitter;
#[cfg(test)]
mod explored;
mod gate;
mod handler;
mod handler_state;
mod history;
mod line;
mod listen;
mod message;
mod metrics;
mod names;
mod nowait;
#[cfg(test)]
mod nowait_tests;
mod overflow;
#[cfg(test)]
mod overflow_tests;
mod persist;
mod phase;
mod publish;
mod queue;
#[cfg(test)]
mod queue_explored;
mod route;
mod run;
mod settings;
mod shared;
pub mod spill;
pub mod stats;
mod subscribe;
mod subscribers;
mod tickets;
pub mod timers;
mod trace;
mod wait_for;
mod window;
mod writing;

pub use answer::{Answer, Failure, IntoAnswer, Json};
pub use builder::BusBuilder;
pub use bus::{Bus, BusClosed};
pub use current::handling;
pub use emitter::{Emitted, Emitter};
#[doc(hidden)]
pub use line::{parse as parse_spill_line, print as print_spill_line};
pub use listen::Listener;
pub use message::Message;
pub use persist::Persistence;
pub use publish::{Answered, Published};
pub use route::imported_pattern;
pub use subscribe::{Subscribe, Subscription, SubscriptionGuard};
#[cfg(feature = "testkit")]
pub(crate) use timers::Due;
pub(crate) use timers::forget_deleted_timers;
#[doc(hidden)]
pub use timers::parse_timer_row;
#[cfg(feature = "agents")]
pub(crate) use timers::{Fired, Timer};
pub use wait_for::WaitFor;
pub use window::{RuleRunning, WindowRule};
