//! What a client says first, and what it is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::shared::peer::{ClientInfo, Reach};
use crate::error::Error;
use crate::event::{StoreId, Timestamp};
#[cfg(feature = "testkit")]
use crate::limits::SHARED_WAIT_MS;

/// Who the client is, and how its engine is called in messages.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) program: String,
    /// What it is entitled to: higher is more.
    pub(crate) rank: u8,
    /// The store that it expects.
    pub(crate) store: Option<StoreId>,
    /// The name of the store, as it was given.
    pub(crate) name: String,
    /// The absolute path of the store.
    pub(crate) path: Option<PathBuf>,
    pub(crate) read_only: bool,
    /// How long the owner may say nothing while it is waited for.
    pub(crate) wait: Duration,
    /// Where the owner is.
    pub(crate) reach: Reach,
}

#[cfg(feature = "testkit")]
impl Hello {
    /// For a store of this name.
    pub(crate) fn new(program: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            rank: 0,
            store: None,
            name: name.into(),
            path: None,
            read_only: false,
            wait: Duration::from_millis(SHARED_WAIT_MS),
            reach: Reach::Local,
        }
    }
}

/// The owner of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerInfo {
    pub(crate) pid: u32,
    pub(crate) program: String,
    pub(crate) rank: u8,
    pub(crate) since: Timestamp,
    /// The largest payload that it takes.
    pub(crate) payload_bytes: u64,
    /// The version of the protocol that both speak.
    pub(crate) protocol: u16,
}

/// The owner of a store and all who use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerStatus {
    pub(crate) owner: OwnerInfo,
    pub(crate) clients: Vec<ClientInfo>,
}

/// Why there is no owner any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It hung up, or was killed.
    Gone,
    /// It hands over: what it has begun is still answered.
    Leaving,
}

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The owner hung up before it said who it is: try again.
    Lost { owner: u32, reason: String },
    /// The owner hands over: try again.
    Leaving { owner: u32 },
    /// It has as many clients as it takes: try again.
    Busy { owner: u32, clients: u32 },
    /// It has said nothing for so long.
    Silent { owner: u32, waited: Duration },
    /// It is of another user.
    OtherUser { owner: u32, uid: u32 },
    /// It owns another store.
    OtherStore { owner: u32, found: StoreId },
    /// No version of the protocol is common to both.
    Protocol { owner: u32, theirs: (u16, u16), ours: (u16, u16) },
}

impl From<ConnectError> for Error {
    fn from(e: ConnectError) -> Self {
        match e {
            ConnectError::Lost { owner, .. } | ConnectError::Leaving { owner } => Self::OwnerLost { owner },
            ConnectError::Busy { owner, clients } => Self::storage(format!(
                "process {owner} holds the store and has {clients} clients, the most that it takes; end one of them"
            )),
            ConnectError::Silent { owner, waited } => Self::NoAnswer { owner, seconds: waited.as_secs() },
            ConnectError::OtherUser { owner, uid } => Self::storage(format!(
                "the store's socket belongs to process {owner} of user {uid}; only processes of one user share a store"
            )),
            ConnectError::OtherStore { owner, found } => Self::storage(format!(
                "process {owner}, whose socket was found beside the store, holds another store, {found}"
            )),
            ConnectError::Protocol { owner, theirs, ours } => Self::OtherProtocol { owner, theirs, ours },
        }
    }
}
