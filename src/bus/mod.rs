//! Events on their way into the store: those that come due later, and those that wait until it can write again.

mod line;
mod spill;
mod timers;
mod window;

#[doc(hidden)]
pub use line::{parse as parse_spill_line, print as print_spill_line};
pub use spill::{Drained, Spill, SpillStats};
#[doc(hidden)]
pub use timers::parse_timer_row;
pub use timers::{Fired, Timer, TimersRunning, When};
pub use window::{RuleRunning, WindowRule};
