//! What of a store's file it could do without.

/// Space in a store's file that it could do without, as far as that is known without reading all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadSpace {
    /// Bytes of the file.
    pub file: u64,
    /// About how many of them hold nothing. A [compaction](crate::store::Maintenance::compact) gives them back.
    pub free: u64,
    /// About how many hold events that were deleted or truncated and are not [purged](crate::lifecycle::BranchLifecycle::purge)
    /// yet. A purge and then a compaction give them back.
    pub unpurged: u64,
    /// Whether there may be more to purge: not every branch was looked at.
    pub is_partial: bool,
}

impl DeadSpace {
    /// Bytes that a purge and a compaction would give back.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.free.saturating_add(self.unpurged).min(self.file)
    }

    /// How many per cent of the file that is, rounded down.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.bytes()) * 100 / u128::from(self.file.max(1));
        u64::try_from(percent).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_more_than_the_file() {
        let dead = DeadSpace { file: 1 << 40, free: 1 << 38, unpurged: 1 << 38, is_partial: false };
        assert_eq!((dead.bytes(), dead.percent()), (1 << 39, 50));
        let dead = DeadSpace { file: 9, free: u64::MAX, unpurged: u64::MAX, is_partial: false };
        assert_eq!((dead.bytes(), dead.percent()), (9, 100));
        assert_eq!(DeadSpace::default().percent(), 0);
    }
}
