//! What handlers of a bus and durable consumers share: the state machine of delivery, its settings, and dead letters.
//!
//! `machine` decides what is delivered next, what waits, and what has failed for the last time, without I/O and without a
//! clock, and keeps at hand what comes next. Whoever drives it keeps its progress: a consumer in the store, a handler in
//! memory.

mod causes;
mod chance;
mod clock;
mod dead_letter;
mod dead_letter_queue;
mod dead_letters;
mod index;
mod lane;
mod look;
mod machine;
#[cfg(test)]
mod machine_tests;
mod owner;
mod rules;
mod settings;

pub(crate) use causes::with_causes;
pub(crate) use chance::chance;
pub(crate) use clock::Clock;
pub use dead_letter::DeadLetter;
pub(crate) use dead_letter_queue::{DeadLetterQueue, Writing, discard_oldest};
pub use dead_letters::DeadLetters;
pub(crate) use lane::{Item, check, floor};
pub(crate) use look::{look_for, recorded};
pub(crate) use machine::{Failed, Look, Machine, Next, Resolved, Stale, Taken, Wanted};
pub use owner::{Owner, OwnerKind};
pub(crate) use rules::{Delay, NEVER, Rules};
pub(crate) use settings::DeliverySettings;
