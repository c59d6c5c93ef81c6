//! Where a file keeps which commit was acknowledged last. There are two pages for it, written by turns: a torn write leaves
//! the other.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use crate::codec::{LAST_COMMIT_BYTES, LastCommit};

/// The pages lie one behind the other.
const PAGE: u64 = 4_096;

#[derive(Debug)]
pub(crate) struct LastCommitPages {
    /// `None` in a file of an earlier format, which has none.
    at: Option<u64>,
    known: Option<LastCommit>,
    /// Which of the two is written next.
    turn: u64,
}

impl LastCommitPages {
    pub(crate) fn read(file: &Arc<dyn StorageBackend>, at: Option<u64>, secret: &[u8; 16]) -> Self {
        let mut pages = Self { at, known: None, turn: 0 };
        let Some(at) = at else { return pages };
        for page in [0, 1] {
            let mut bytes = [0; LAST_COMMIT_BYTES];
            if let Err(error) = file.read(at + page * PAGE, &mut bytes) {
                // Every commit is in the journal; only the loss of the last ones would go unnoticed.
                tracing::warn!(%error, "where the last commit is noted cannot be read");
                continue;
            }
            let Some(found) = LastCommit::decode(secret, &bytes) else { continue };
            if pages.known.is_none_or(|known| known.number < found.number) {
                (pages.known, pages.turn) = (Some(found), 1 - page);
            }
        }
        pages
    }

    /// The number of the commit.
    pub(crate) fn number(&self) -> Option<u64> {
        self.known.map(|known| known.number)
    }

    /// Whether a later commit than the one that is kept could be.
    pub(crate) fn lacks(&self, number: u64) -> bool {
        self.at.is_some() && number > self.number().unwrap_or_default()
    }

    /// Writes it, without a sync.
    pub(crate) fn write(
        &mut self,
        file: &Arc<dyn StorageBackend>,
        secret: &[u8; 16],
        last: LastCommit,
    ) -> io::Result<()> {
        let Some(at) = self.at else { return Ok(()) };
        // It is not tried again for this commit.
        self.known = Some(last);
        file.write(at + self.turn * PAGE, &last.encode(secret))?;
        self.turn = 1 - self.turn;
        Ok(())
    }
}
