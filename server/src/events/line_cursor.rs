//! Where a reader of a live stream is: the store's cursor, the stream that it is of, and when the spans of its filter began.
//!
//! Written `CURSOR.STREAM` or `CURSOR.STREAM.BEGAN`. The part before the first dot is what `retold tail --cursor` takes; it is
//! taken here as well. For a token that may not read all of the stream it is sealed: it would count events of others, and one
//! that was made up would ask for them.

use retold::event::NamePattern;
use retold::{Cursor, StoreId, Timestamp};
use sha2::{Digest, Sha256};

use super::feed::{Feed, bad_cursor};
use super::seal::Seal;
use crate::kept_key::Key;
use crate::problem::Problem;
use crate::tokens::Token;

/// Sealed cursors have this length, or a multiple of it: a longer number is not to be seen from outside.
const SEALED_BYTES: usize = 96;
/// What is longer is no cursor.
const MOST_BYTES: usize = 512;

/// Writes and reads the cursors of one stream.
#[derive(Clone, Debug)]
pub(super) struct LineCursors {
    stream: String,
    seal: Option<Seal>,
}

/// What a cursor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinePlace {
    pub(super) cursor: Cursor,
    /// Spans of the filter are before this.
    pub(super) began: Option<Timestamp>,
}

impl LineCursors {
    pub(super) fn of(key: &Key, store: StoreId, feed: &Feed, token: &Token) -> Self {
        let hash = Sha256::digest(feed.to_string());
        let stream = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let seal = feed.is_narrow(token).then(|| {
            let sessions = token.sessions.as_ref().map_or("", NamePattern::as_str);
            let (store, feed) = (store.uuid().into_bytes(), feed.to_string());
            Seal::new(&key.0, &[b"live", &store, feed.as_bytes(), sessions.as_bytes()])
        });
        Self { stream, seal }
    }

    pub(super) fn write(&self, place: LinePlace) -> String {
        let LinePlace { cursor, began } = place;
        let mut text = format!("{cursor}.{}", self.stream);
        if let Some(began) = began {
            text.push_str(&format!(".{}", began.micros()));
        }
        match &self.seal {
            None => text,
            Some(seal) => {
                let length = text.len().next_multiple_of(SEALED_BYTES);
                seal.seal(format!("{text:length$}").as_bytes())
            }
        }
    }

    pub(super) fn read(&self, text: &str) -> Result<LinePlace, Problem> {
        if text.len() > MOST_BYTES {
            return Err(bad_cursor("it is too long to be one"));
        }
        let Some(seal) = &self.seal else { return self.place(text) };
        let opened = seal.open(text).and_then(|text| String::from_utf8(text).ok());
        let reason = "it is not one that this token was given for this stream";
        self.place(opened.ok_or_else(|| bad_cursor(reason))?.trim_end())
    }

    fn place(&self, text: &str) -> Result<LinePlace, Problem> {
        let mut parts = text.splitn(3, '.');
        let cursor = parts.next().unwrap_or_default();
        if parts.next().is_some_and(|stream| stream != self.stream) {
            return Err(bad_cursor("it is of another stream"));
        }
        let began = parts.next().map(str::parse).transpose();
        let began = began.map_err(|_| bad_cursor("it is incomplete or changed"))?.map(Timestamp::from_micros);
        Ok(LinePlace { cursor: cursor.parse::<Cursor>()?, began })
    }
}
