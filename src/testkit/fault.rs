use std::io;

/// What a storage can be asked to do, and can be made to fail.
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

/// An error that a [`Disk`](super::Disk) returns for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The operation that fails; `None` for any except reads.
    pub operation: Option<DiskOperation>,
    /// How many operations of this kind still succeed.
    pub after: u64,
    /// Whether every later one fails too, as when the disk is gone.
    pub for_good: bool,
}

impl Fault {
    /// Fails the operation of this kind that comes after `after` others, once.
    #[must_use]
    pub const fn once(operation: DiskOperation, after: u64) -> Self {
        Self { operation: Some(operation), after, for_good: false }
    }

    /// The same, and everything after it fails too.
    #[must_use]
    pub const fn for_good(mut self) -> Self {
        self.for_good = true;
        self
    }

    /// Counts this operation. `Err` if it has to fail.
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
