//! Integration tests, through the public API and the built program. Every file of this folder is listed here.

mod store;
