//! The payload of every built-in type, one file per domain. Each file is a table: type, line, aliases, members, role,
//! example.
//!
//! Members that a program may leave out are optional, and unknown members are kept in `more`, so that a payload that
//! is read and written again loses nothing.

#[macro_use]
mod table;
mod words;

pub mod actor;
pub mod agent;
pub mod analysis;
pub mod approval;
pub mod budget;
pub mod build;
pub mod checkpoint;
pub mod coder;
pub mod context;
pub mod custom;
pub mod decision;
pub mod deploy;
pub mod error;
pub mod invariant;
pub mod kanban;
pub mod memory;
pub mod message;
pub mod mode;
pub mod module;
pub mod monitoring;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod project;
pub mod resource;
pub mod run;
pub mod sandbox;
pub mod scheduler;
pub mod security;
pub mod session;
pub mod state;
pub mod step;
pub mod system;
pub mod task;
pub mod tool;
pub mod ui;
pub mod validation;
pub mod workflow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Invalid, NewEvent, TypeInfo};

/// The payload of one type.
pub trait Payload: Serialize + DeserializeOwned {
    /// The type's name.
    const NAME: &'static str;
    /// The version of the payload's schema.
    const VERSION: u32 = 1;

    /// An event with this payload.
    ///
    /// # Errors
    /// [`Invalid`] with the field `data` when serde refuses it, for instance because a number in one of the user's
    /// members is not finite.
    fn event(&self) -> Result<NewEvent, Invalid> {
        NewEvent::new(Self::NAME).version(Self::VERSION).json(self)
    }
}

/// Every built-in type, by domain.
pub(super) fn all() -> Vec<TypeInfo> {
    [
        coder::types(),
        plan::types(),
        decision::types(),
        invariant::types(),
        actor::types(),
        tool::types(),
        resource::types(),
        sandbox::types(),
        checkpoint::types(),
        context::types(),
        validation::types(),
        session::types(),
        budget::types(),
        task::types(),
        agent::types(),
        project::types(),
        kanban::types(),
        system::types(),
        module::types(),
        plugin::types(),
        analysis::types(),
        build::types(),
        deploy::types(),
        monitoring::types(),
        security::types(),
        workflow::types(),
        scheduler::types(),
        ui::types(),
        run::types(),
        step::types(),
        message::types(),
        approval::types(),
        memory::types(),
        policy::types(),
        mode::types(),
        state::types(),
        error::types(),
        custom::types(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
