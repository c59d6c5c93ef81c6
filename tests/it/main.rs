//! Integration tests, through the public API. Every file of this folder is listed here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alerts;
mod backup;
mod beside;
mod bitflip;
mod builtin;
mod bus;
mod bus_closing;
mod bus_hostile;
mod bus_names;
mod bus_publish;
mod bus_random;
#[cfg(feature = "schema")]
mod catalogue;
mod closing;
mod compact;
mod conformance;
mod consumer_kill;
mod consumers;
mod cost;
mod coverage;
mod crash;
mod damage;
mod damaged_chunk;
mod dead_space;
mod diverged;
mod edges;
mod fault;
mod files;
mod follow;
mod followers;
#[cfg(unix)]
mod fork;
mod full_disk;
mod growth;
mod import_history;
mod import_logs;
mod increments;
mod increments_random;
mod interop;
mod interop_ended;
mod kill;
mod lifecycle;
mod lifecycle_edges;
mod lifecycle_kill;
mod lives;
mod machine;
mod migrations;
#[cfg(unix)]
mod mixed_load;
mod model;
mod old_records;
mod pattern_names;
#[cfg(unix)]
mod peer;
#[cfg(unix)]
mod power_cut;
mod project_damage;
mod project_kill;
mod project_leases;
mod projections;
mod properties;
#[cfg(unix)]
mod remote;
mod repair;
mod replays;
mod restore;
mod retention;
mod runtimes;
mod search;
mod search_random;
mod search_trouble;
mod shared;
#[cfg(unix)]
mod shared_hostile;
#[cfg(unix)]
mod shared_process;
#[cfg(unix)]
mod shared_waiting;
#[cfg(unix)]
mod sharing;
#[cfg(unix)]
mod sharing_kill;
#[cfg(unix)]
mod sharing_trouble;
mod spill;
mod store;
mod stress;
mod support;
mod tables;
mod timers_kill;
mod twins;
mod type_names;
mod unblocked;
mod upcasts;
mod victim;
