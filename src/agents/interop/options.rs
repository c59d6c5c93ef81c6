//! How to read a file.

use std::collections::BTreeMap;

use crate::event::{SessionId, Timestamp};
use crate::limits::DEFAULT_PAYLOAD_BYTES;

use super::format::Format;
use super::mapping::Mapping;

/// How to read a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The format; detected if `None`.
    pub format: Option<Format>,
    /// The session of the file's events. Sub-agents get sessions named after it. In our own format and CloudEvents it
    /// is used only for records that name no session.
    pub session: Option<SessionId>,
    /// Where the fields of an event are in records of [`Format::Ndjson`].
    pub map: Option<Mapping>,
    /// The largest payload in bytes that the store accepts.
    pub max_payload: usize,
    /// The session of records that name none, instead of one named after the file.
    pub(crate) home: Option<SessionId>,
    /// The session that the file of each of these is in: that of a fork is its parent's.
    pub(crate) families: BTreeMap<String, SessionId>,
    /// When the file is imported: the time of events that have none. The current time, unless it is set.
    pub now: Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        let now = Timestamp::now();
        Self {
            format: None,
            session: None,
            map: None,
            max_payload: DEFAULT_PAYLOAD_BYTES,
            home: None,
            families: BTreeMap::new(),
            now,
        }
    }
}

impl Options {
    /// Sets the format.
    #[must_use]
    pub fn format(mut self, format: Option<Format>) -> Self {
        self.format = format;
        self
    }

    /// Sets the session.
    #[must_use]
    pub fn session(mut self, session: Option<SessionId>) -> Self {
        self.session = session;
        self
    }

    /// Sets the mapping of [`Format::Ndjson`].
    #[must_use]
    pub fn map(mut self, map: Option<Mapping>) -> Self {
        self.map = map;
        self
    }

    /// Sets the time of events that have none.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Sets the largest payload.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }
}
