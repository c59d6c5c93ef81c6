//! How an owner serves.

use std::fmt;
use std::sync::Arc;

use crate::engine::durability::Durability;
use crate::engine::shared::peer::ClientInfo;

/// What an owner says of itself, and what it takes.
#[derive(Clone)]
pub(crate) struct ServerOptions {
    /// Its name, for people.
    pub(crate) program: String,
    /// What it is entitled to: higher is more. Clients are told.
    pub(crate) rank: u8,
    /// The largest payload, whatever the settings of a client are.
    pub(crate) payload_bytes: usize,
    /// How durable appends are at the least, whatever a client asks for.
    pub(crate) least: Durability,
    /// Called when a client asks for the store, on the server's thread: it returns at once.
    pub(crate) handover: Arc<dyn Fn(&ClientInfo) + Send + Sync>,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions").field("program", &self.program).field("rank", &self.rank).finish()
    }
}
