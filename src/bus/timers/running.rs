//! The one task of a store that fires its timers, while it is wanted.

use crate::store::Process;
use crate::sync::task::JoinHandle;

#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it is writing at this moment is written as a whole.
        if self.process.is_this() {
            self.task.abort();
        }
    }
}
