//! State folded from events: what a projection is, how it is kept up, read and rebuilt.

mod fold;

pub use fold::{AnyState, ApplyError, DynProjection, Emit, Projection, Scope};
