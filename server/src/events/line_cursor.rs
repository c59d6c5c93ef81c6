//! Where a reader of a live stream is: the store's cursor, and the stream that it is of.
//!
//! Written `CURSOR.STREAM`. The part before the dot is what `retold tail --cursor` takes; it is taken here as well.

use retold::Cursor;
use sha2::{Digest, Sha256};

use super::feed::{Feed, bad_cursor};
use crate::problem::Problem;

/// Writes and reads the cursors of one stream.
#[derive(Clone, Debug)]
pub(super) struct LineCursors {
    stream: String,
}

impl LineCursors {
    pub(super) fn of(feed: &Feed) -> Self {
        let hash = Sha256::digest(feed.to_string());
        Self { stream: hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect() }
    }

    pub(super) fn write(&self, cursor: Cursor) -> String {
        format!("{cursor}.{}", self.stream)
    }

    pub(super) fn read(&self, text: &str) -> Result<Cursor, Problem> {
        let cursor = match text.split_once('.') {
            None => text,
            Some((cursor, stream)) if stream == self.stream => cursor,
            Some(_) => return Err(bad_cursor("it is of another stream")),
        };
        Ok(cursor.parse::<Cursor>()?)
    }
}
