//! Integration tests, through the public API and the built program. Every file of this folder is listed here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alerts;
mod bitflip;
mod builtin;
mod bus;
mod bus_hostile;
mod bus_publish;
mod bus_random;
#[cfg(feature = "schema")]
mod catalogue;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod cli_consumer;
#[cfg(feature = "cli")]
mod cli_current;
#[cfg(feature = "cli")]
mod cli_damage;
#[cfg(feature = "cli")]
mod cli_files;
#[cfg(feature = "cli")]
mod cli_import;
#[cfg(feature = "cli")]
mod cli_migrate;
#[cfg(feature = "cli")]
mod cli_overview;
#[cfg(feature = "cli")]
mod cli_refusals;
#[cfg(feature = "cli")]
mod cli_state;
#[cfg(feature = "cli")]
mod cli_tail;
#[cfg(feature = "cli")]
mod cli_timeline;
#[cfg(feature = "cli")]
mod cli_timers;
#[cfg(feature = "cli")]
mod cli_types;
#[cfg(feature = "cli")]
mod cli_verbs;
mod closing;
mod consumer_kill;
mod consumers;
mod cost;
#[cfg(feature = "cli")]
mod coverage;
mod crash;
mod damage;
mod edges;
mod fault;
mod files;
mod follow;
mod followers;
#[cfg(unix)]
mod fork;
mod growth;
mod import_history;
mod import_logs;
mod interop;
mod kill;
mod migrations;
mod model;
mod project_damage;
mod project_kill;
mod projections;
mod properties;
mod store;
mod stress;
mod support;
mod timers_kill;
mod upcasts;
mod victim;
