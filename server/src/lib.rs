//! Serves a [`retold`] store over HTTP: programs in any language append and follow, and a person looks.
//!
//! Layers, each on those before it: `problem`, `tokens`, `limits`, `turns` and `metrics` know no request; `app` has what every request
//! needs; `input` and `access` read requests; the handlers answer them; `router` puts them together. `guard`, `bounds` and
//! `observe` are around every request; `socket`, `connection` and `listen` are below them; `run` is a server.

mod access;
mod api;
mod app;
mod body;
mod bounds;
mod config;
mod connection;
mod durable;
mod events;
mod exposition;
mod guard;
mod health;
mod input;
mod limits;
mod listen;
mod metrics;
mod observe;
mod openapi;
mod page;
mod probe;
mod problem;
mod rates;
mod reference;
mod reply;
mod router;
mod run;
mod socket;
mod streams;
mod tls;
mod token_file;
mod tokens;
mod turns;

pub use app::App;
pub use config::{Config, PORT, TlsFiles, Unfit};
pub use limits::Limits;
pub use problem::Problem;
pub use router::router;
pub use run::{ServeError, Server};
pub use tls::Tls;
pub use token_file::BadTokens;
pub use tokens::{Scope, SecretHash, Token, Tokens};
