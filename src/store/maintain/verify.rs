//! Walking everything that is stored, and saying what does not agree.

use crate::engine::Report;
use crate::error::Result;
use crate::store::handle::store::Store;

impl Store {
    /// Walks everything: chunks and frames decode, sequences and positions are dense, forks point at what exists,
    /// heads, global order and ids agree with the events, records are what
    /// their keys promise, current branches exist. Reads go on meanwhile, and so do appends, which the walk
    /// does not see.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), or [`Error::Storage`](crate::Error::Storage) when the walk itself is
    /// stopped. What is wrong is in the report.
    pub fn verify(&self) -> Result<Report> {
        self.verify_with(|_, _| {})
    }

    /// [`verify`](Self::verify), telling as it goes how many flushed events of how many it has seen.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_with(&self, mut progress: impl FnMut(u64, u64)) -> Result<Report> {
        let reader = self.reader()?;
        let mut report = self.inner().admin()?.verify(&mut progress)?;
        if let Err(e) = reader.verify_current(&mut report) {
            report.error("current branches", e);
        }
        Ok(report)
    }
}
