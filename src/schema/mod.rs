//! What a payload looks like, and how an old one becomes a new one. Pure, apart from the files that say so: users' types
//! and folders of migrations.

mod compare;
mod guard;
#[cfg(feature = "toml")]
mod migrations;
mod own;
mod registry;
mod upcast;
#[cfg(feature = "schema")]
mod validate;

pub use compare::{Difference, SchemaDiff, Verdict, compare_schemas};
pub(crate) use guard::Guard;
pub use guard::Validation;
#[cfg(feature = "toml")]
pub use migrations::{Evidence, Migration, check_evidence, load_migrations};
pub use own::own_steps;
pub use upcast::{Shaped, Step, Stuck, Upcasts};
