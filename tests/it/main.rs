//! Integration tests, through the public API and the built program. Every file of this folder is listed here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod follow;
mod interop;
mod store;
