//! What is kept of a stream beside its events: records of this server's own, by path and by incarnation.
//!
//! | key | holds |
//! |---|---|
//! | `s/` path | the stream that has this path |
//! | `p/` incarnation `/` producer | how far a producer is |
//! | `q/` incarnation | the last `Stream-Seq` |
//! | `f/` incarnation `/` incarnation of a fork | the path of the fork |

use retold::event::{Address, BranchName, SessionId};
use retold::{Error, EventId, Invalid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The namespace of the records.
pub(super) const NAMESPACE: &str = "durable-streams";
/// What the sessions of streams are called, before an id.
const SESSION: &str = "durable-stream:";
/// What the branches of forks are called, before an id.
const FORK: &str = "fork-";

/// A stream. All of it but `closed` is as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamRow {
    /// Another for each stream that ever was, also of one path.
    pub(super) incarnation: String,
    session: String,
    branch: String,
    pub(super) content_type: String,
    /// Seconds without a read or a write after which it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<u64>,
    /// When it goes, in microseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) closed: Option<ClosedBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fork: Option<ForkedFrom>,
}

/// Who closed a stream, if it was a producer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClosedBy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) producer: Option<(String, u64, u64)>,
}

/// Where a fork begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ForkedFrom {
    pub(super) path: String,
    pub(super) incarnation: String,
    /// The offset that was asked for.
    pub(super) at: u64,
    /// How much more it has of what follows that.
    pub(super) sub: u64,
}

/// How far a producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProducerRow {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

impl StreamRow {
    /// A new stream with a session of its own.
    pub(super) fn new(content_type: String) -> Self {
        let incarnation = incarnation();
        let session = format!("{SESSION}{incarnation}");
        let branch = BranchName::main().as_str().to_owned();
        Self {
            incarnation,
            session,
            branch,
            content_type,
            ttl: None,
            expires: None,
            closed: None,
            fork: None,
        }
    }

    /// A new fork of a stream, in its session.
    pub(super) fn fork_of(source: &Self, from: ForkedFrom) -> Self {
        let new = Self::new(source.content_type.clone());
        let branch = format!("{FORK}{}", new.incarnation);
        Self { session: source.session.clone(), branch, fork: Some(from), ..new }
    }

    /// Where its events are.
    pub(super) fn address(&self) -> Result<Address, Invalid> {
        Ok(Address::new(SessionId::new(self.session.as_str())?, BranchName::new(self.branch.as_str())?))
    }

    /// The name of its branch.
    pub(super) fn branch(&self) -> &str {
        &self.branch
    }
}

fn incarnation() -> String {
    EventId::new().uuid().simple().to_string()
}

/// As a record has it.
pub(super) fn encoded<T: Serialize>(row: &T) -> Vec<u8> {
    // Nothing in a row can fail to be written.
    serde_json::to_vec(row).unwrap_or_default()
}

/// What a record has.
pub(super) fn decoded<T: DeserializeOwned>(key: &str, row: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(row).map_err(|e| Error::Corrupt {
        place: format!("the record {key:?} of {NAMESPACE}"),
        reason: e.to_string(),
    })
}

pub(super) fn stream_key(path: &str) -> String {
    format!("s/{path}")
}

pub(super) fn producer_key(incarnation: &str, producer: &str) -> String {
    format!("p/{incarnation}/{producer}")
}

pub(super) fn seq_key(incarnation: &str) -> String {
    format!("q/{incarnation}")
}

pub(super) fn fork_key(of: &str, fork: &str) -> String {
    format!("f/{of}/{fork}")
}
