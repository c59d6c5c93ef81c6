use crate::event::EventId;

/// One handle on an open engine. What it commits carries its number, so that it can tell the records of others from its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HandleId(u64);

impl HandleId {
    /// Random: no other handle has it, of another process either.
    pub(crate) fn new() -> Self {
        let [.., a, b, c, d, e, f, g, h] = *EventId::new().bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The number that the handle of another process has.
    #[cfg(unix)]
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }

    /// Its number, for other processes.
    #[cfg(unix)]
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}
