//! Serves a [`retold`] store over HTTP: programs in any language append and follow, and a person looks.
//!
//! Layers, each on those before it: `problem`, `tokens`, `limits`, `turns`, `metrics` and `kept_key` know no request; `app` has what every request
//! needs; `input` and `access` read requests; the handlers answer them; `router` puts them together. `guard`, `bodies`, `bounds`,
//! `observe` and `spans` are around every request; `line`, `socket`, `connection` and `listen` are below them; `run` is a server.

mod access;
mod api;
mod app;
mod asking;
mod bodies;
mod body;
mod bounds;
mod budget;
mod calls;
mod config;
mod connection;
mod durable;
mod events;
mod exposition;
mod guard;
mod health;
mod input;
mod kept_key;
mod limits;
mod line;
mod listen;
mod metrics;
mod observe;
mod openapi;
mod page;
mod private_file;
mod probe;
mod problem;
mod rates;
mod reads;
mod reference;
#[cfg(unix)]
mod remote;
mod reply;
mod router;
mod run;
mod socket;
mod spans;
mod streams;
#[cfg(feature = "otel")]
mod telemetry;
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
#[cfg(feature = "otel")]
pub use telemetry::{BadCollector, Collector, Telemetry};
pub use tls::Tls;
pub use token_file::BadTokens;
pub use tokens::{Scope, SecretHash, Token, Tokens};
