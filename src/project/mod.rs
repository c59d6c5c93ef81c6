//! State folded from events: projections, their background thread, reading states as of any moment, and rebuilds.
//!
//! Reading never waits for the background thread: a state is the nearest snapshot and the fold of what follows it.

mod alert_payload;
mod apply;
#[cfg(test)]
mod away;
mod branch_fold;
mod build;
mod build_writer;
mod building;
mod claim;
mod damage;
mod fold;
mod generations;
mod gone;
mod history;
mod info;
mod keep;
mod keys;
mod lasting;
mod lease;
mod list;
mod nesting;
#[cfg(test)]
mod nesting_tests;
mod page;
mod patch;
mod projection_state;
mod projections;
mod raise;
mod read;
mod row;
mod run;
mod session_key;
mod signal;
mod spacing;
mod status;
mod sweep;
mod task;
mod tenure;
mod timeline;
#[cfg(test)]
mod turns;
mod view;
mod view_async;
mod window;

pub use alert_payload::AlertPayload;
pub use fold::{AnyState, ApplyError, DynProjection, Emit, Projection, Scope};
pub(crate) use gone::forget_states;
pub use history::{Change, History};
pub use info::{Parked, ProjectionInfo};
pub use lasting::{Lasting, PhaseSpan};
#[cfg(feature = "agents")]
pub(crate) use patch::patch;
pub use projections::Projections;
pub use signal::Retried;
pub use task::{Rebuild, RebuildProgress};
pub use timeline::{Timeline, Warning};
pub use view::{Projected, Reading};
pub use window::{Window, WindowCounts};
