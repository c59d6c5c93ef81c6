//! Events on their way into the store: those that come due later, and those that wait until it can write again.

mod line;
mod spill;
mod timers;

pub use spill::{Drained, Spill, SpillStats};
pub use timers::{Fired, Timer, TimersRunning, When};
