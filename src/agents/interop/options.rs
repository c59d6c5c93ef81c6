//! How a file is to be read.

use crate::event::{SessionId, Timestamp};
use crate::limits::DEFAULT_PAYLOAD_BYTES;

use super::format::Format;

/// How a file is to be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The format; found out when left out.
    pub format: Option<Format>,
    /// The session that the file's events go to. Sub-agents get sessions named after it. For our own format and
    /// CloudEvents it counts only where a record names no session.
    pub session: Option<SessionId>,
    /// Bytes of the largest payload that the store takes.
    pub max_payload: usize,
    /// The session of records that name none, instead of one named after the file.
    pub(crate) home: Option<SessionId>,
    /// When the file is imported: the time of events that say none. Now, unless it is set.
    pub now: Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        let now = Timestamp::now();
        Self { format: None, session: None, max_payload: DEFAULT_PAYLOAD_BYTES, home: None, now }
    }
}

impl Options {
    /// With this format.
    #[must_use]
    pub fn format(mut self, format: Option<Format>) -> Self {
        self.format = format;
        self
    }

    /// With this session.
    #[must_use]
    pub fn session(mut self, session: Option<SessionId>) -> Self {
        self.session = session;
        self
    }

    /// With this time for events that say none.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// With this bound on payloads.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }
}
