//! A real server on a port of its own, spoken to over TCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod abuse;
mod api;
mod appending;
mod durable;
mod harness;
mod live;
mod names;
mod page;
mod reading;
mod serving;
mod tls;
mod web_sockets;
mod who;
