//! State folded from events: what a projection is, how it is kept up behind the writer, read at any moment and rebuilt.
//!
//! Reading never waits for what is kept up: an answer is the nearest snapshot and the fold of what follows it.

mod apply;
mod bell;
mod build;
mod damage;
mod fold;
mod history;
mod info;
mod keep;
mod keys;
mod lane;
mod list;
mod patch;
mod raise;
mod read;
mod run;
mod seat;
mod spacing;
mod status;
mod task;
mod timeline;
mod told;
mod view;
mod view_async;
mod window;

pub use bell::Retried;
pub use fold::{AnyState, ApplyError, DynProjection, Emit, Projection, Scope};
pub use history::{Change, History};
pub use info::{Parked, ProjectionInfo};
pub use task::{Progress, Rebuild};
pub use timeline::{Lasting, Span, Timeline, Warning};
pub use told::Told;
pub use view::{Projected, Reading};
pub use window::{Window, WindowCounts};
