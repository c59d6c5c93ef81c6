//! What is kept of a text beside its words.

use super::unusable::Unusable;

/// Bytes of a row.
pub(super) const ROW_BYTES: usize = 10;

/// Where a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: u64,
    /// Which of the event's texts.
    pub(crate) part: u16,
    /// When the event occurred, in seconds since 1970; 0 and the highest number for what does not fit.
    pub(crate) seconds: u32,
}

impl Row {
    /// After the first position of its segment.
    pub(super) fn encode(self, first: u64, out: &mut Vec<u8>) {
        let offset = u32::try_from(self.position.saturating_sub(first)).unwrap_or(u32::MAX);
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&self.part.to_le_bytes());
        out.extend_from_slice(&self.seconds.to_le_bytes());
    }

    pub(super) fn decode(first: u64, bytes: &[u8]) -> Result<Self, Unusable> {
        let &[a, b, c, d, e, f, g, h, i, j] = bytes else {
            return Err(Unusable::new("a row in it ends early"));
        };
        Ok(Self {
            position: first.saturating_add(u64::from(u32::from_le_bytes([a, b, c, d]))),
            part: u16::from_le_bytes([e, f]),
            seconds: u32::from_le_bytes([g, h, i, j]),
        })
    }
}
