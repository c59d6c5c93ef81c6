//! What a payload looks like, and how an old one becomes a new one. Pure: value to value, and the loader of the
//! folders that say so.

mod compare;
mod migrations;
mod upcast;

pub use compare::{Difference, SchemaDiff, Verdict, compare_schemas};
pub use migrations::{Evidence, Migration, check_evidence, load_migrations, own_steps};
pub use upcast::{Shaped, Step, Stuck, Upcasts};
