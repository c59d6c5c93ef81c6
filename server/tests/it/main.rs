//! A real server on a port of its own, spoken to over TCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod abuse;
mod ag_ui;
mod api;
mod appending;
mod durable;
mod harness;
mod live;
mod names;
mod narrow;
mod page;
mod reading;
mod remote;
mod serving;
#[cfg(feature = "otel")]
mod telemetry;
mod tls;
mod web_sockets;
mod who;
