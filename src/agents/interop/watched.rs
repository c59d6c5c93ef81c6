//! The progress of reading a file.

use std::io;

use crate::limits::IMPORT_WINDOW_BYTES;

use super::content::Content;
use super::scan;

/// How often a file of lines is read, and one of arrays or of wrappers around records.
const LINES_READ: u64 = 2;
const DOCUMENT_READ: u64 = 3;
impl Content {
    /// From now on `progress` is called with how many of the file's bytes are done. The file is read more than once,
    /// but reported as if once. An error that it returns stops the reading.
    pub fn watch(&self, mut progress: impl FnMut(u64) -> io::Result<()> + 'static) {
        let (work, len) = (self.work().max(1), self.len() as u64);
        *self.watch.borrow_mut() = Some(Box::new(move |read| {
            progress((u128::from(read.min(work)) * u128::from(len) / u128::from(work)) as u64)
        }));
    }

    /// Stops the calls of `progress`.
    pub(super) fn unwatch(&self) {
        *self.watch.borrow_mut() = None;
    }

    /// About how many bytes are read before all records of the file are known. A Temporal history is read once more,
    /// because an event can be made only when all others are known.
    pub(super) fn work(&self) -> u64 {
        let mut c = self.cursor(0..self.len().min(IMPORT_WINDOW_BYTES));
        let is_lines = c.skip_while(scan::is_space) == Some(b'{')
            && scan::value(&mut c).is_ok()
            && c.skip_while(|b| b == b'\r' || b == b' ') == Some(b'\n');
        let begins = self.bytes(0..self.len().min(IMPORT_WINDOW_BYTES));
        let has = |name: &[u8]| begins.windows(name.len()).any(|w| w == name);
        let is_history = has(b"\"eventId\"") || has(b"\"event_type\"");
        self.len() as u64 * (if is_lines { LINES_READ } else { DOCUMENT_READ } + u64::from(is_history))
    }
}
