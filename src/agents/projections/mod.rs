//! The built-in projections. They go by the roles of a catalogue, so a user's type that has a role takes part like a
//! built-in one.

pub mod alerts;
mod amount;
mod annotations;
mod board;
#[cfg(test)]
mod board_tests;
mod chart;
mod conversation;
mod counts;
mod coverage;
mod life;
mod lifecycle;
#[cfg(test)]
mod lifecycle_tests;
mod parsed;
mod progress;
mod resource;
#[cfg(test)]
mod resource_tests;
mod roles;
pub mod sessions;
mod spent;
mod stamp;
mod stats;
mod step;
#[cfg(test)]
mod testing;
mod track;

pub use alerts::Alerts;
pub use amount::Amount;
pub use annotations::{Annotated, Annotations, Label, Note};
pub use board::{Board, Card, Glance};
pub use chart::Chart;
pub use conversation::{Conversation, ConversationState, ConversationStatus};
pub use counts::{Counted, Counts};
pub use coverage::{Coverage, CoverageReport, Covered, EmittedType};
pub use life::{Life, Transition};
pub use lifecycle::{Anomaly, Lifecycle, Lives, Tally};
pub use progress::{Progress, Tracks};
pub use resource::{Amounts, OTHERS, Resource, Used};
#[cfg(feature = "search")]
pub(crate) use roles::shape_of;
pub use stats::{Figures, Last, Stats};
pub use track::{Milestone, Track};

use crate::event::Catalogue;
use crate::project::DynProjection;

/// All of them, with the roles of this catalogue, in the order of a listing.
#[must_use]
pub fn all(catalogue: &Catalogue) -> Vec<Box<dyn DynProjection>> {
    let roles = roles::Roles::new(catalogue);
    vec![
        Box::new(Counts),
        Box::new(Lifecycle::with(roles.clone())),
        Box::new(Conversation::with(roles.clone())),
        Box::new(Progress::with(roles.clone())),
        Box::new(Resource::with(roles.clone())),
        Box::new(Resource::over_sessions(roles)),
        Box::new(Stats::of_sessions()),
        Box::new(Stats::of_the_store()),
        Box::new(Annotations),
        Box::new(Coverage),
        Box::new(Alerts::built_in()),
    ]
}
