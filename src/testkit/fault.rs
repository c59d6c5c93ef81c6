use std::io;

/// What a storage is asked to do, as far as it can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// The length is changed.
    SetLen,
    /// What was written is made durable.
    Sync,
}

/// An error that a [`Disk`](super::Disk) answers with when it is asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The operation that fails; `None` for any that changes something.
    pub operation: Option<DiskOperation>,
    /// How many operations of that sort still succeed.
    pub after: u64,
    /// Whether every later one fails too, as when the disk is gone.
    pub for_good: bool,
}

impl Fault {
    /// The operation of this sort that comes after `after` others fails, once.
    #[must_use]
    pub const fn once(operation: DiskOperation, after: u64) -> Self {
        Self { operation: Some(operation), after, for_good: false }
    }

    /// The same, and everything after it.
    #[must_use]
    pub const fn for_good(mut self) -> Self {
        self.for_good = true;
        self
    }

    /// Counts this operation. `Err` when it is the one, or comes after it.
    pub(super) fn pass(fault: &mut Option<Self>, operation: DiskOperation) -> io::Result<()> {
        let Some(armed) = fault else { return Ok(()) };
        let counts = match armed.operation {
            Some(wanted) => wanted == operation,
            None => operation != DiskOperation::Read,
        };
        if !counts {
            return Ok(());
        }
        if armed.after > 0 {
            armed.after -= 1;
            return Ok(());
        }
        if armed.for_good {
            armed.operation = None;
        } else {
            *fault = None;
        }
        Err(io::Error::other("injected by the test"))
    }
}
