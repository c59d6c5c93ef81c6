//! Integration tests, through the public API and the built program. Every file of this folder is listed here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[cfg(feature = "testkit")]
mod bitflip;
#[cfg(feature = "testkit")]
mod closing;
#[cfg(feature = "testkit")]
mod crash;
#[cfg(feature = "testkit")]
mod edges;
#[cfg(feature = "testkit")]
mod fault;
mod follow;
mod interop;
#[cfg(all(unix, feature = "testkit"))]
mod kill;
#[cfg(feature = "testkit")]
mod model;
#[cfg(feature = "testkit")]
mod properties;
mod store;
#[cfg(feature = "testkit")]
mod stress;
#[cfg(feature = "testkit")]
mod support;
