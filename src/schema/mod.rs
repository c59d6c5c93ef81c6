//! Payload schemas and upcasters. Pure, apart from loading files: users' types and folders of migrations.

mod compare;
mod guard;
#[cfg(feature = "toml")]
mod migrations;
mod own;
#[cfg(feature = "schema")]
mod registered;
mod registry;
mod upcast;
#[cfg(feature = "schema")]
mod validate;

pub use compare::{Difference, SchemaDiff, Verdict, compare_schemas};
pub(crate) use guard::Guard;
pub use guard::Validation;
#[cfg(feature = "toml")]
pub use migrations::{Evidence, Migration, check_evidence, load_migrations};
pub use own::own_upcasters;
pub use upcast::{Shaped, Stuck, Upcaster, Upcasts};
