//! Integration tests of the program, as a user sees it. Every file of this folder is listed here, and so is what it
//! shares with the tests of the library.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod annotations;
#[cfg(unix)]
mod beside;
mod completing;
mod consumer;
mod coverage;
mod current;
mod damage;
#[path = "../../../tests/it/damaged_chunk.rs"]
mod damaged_chunk;
mod files;
mod import;
mod lifecycle;
mod log;
mod migrate;
mod names;
mod outdated;
mod overview;
mod payload_tests;
mod refusals;
#[cfg(unix)]
mod remote;
mod search;
mod serve;
mod serve_alike;
mod shell;
mod show;
mod state;
#[path = "../../../tests/it/tables.rs"]
mod tables;
mod tail;
mod timeline;
mod timers;
#[path = "../../../tests/it/type_names.rs"]
mod type_names;
mod types;
mod verbs;
