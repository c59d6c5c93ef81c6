//! Which snapshots of a branch stay: those on a grid that is the finer the smaller they are. A small one costs little
//! to keep, and saves a reader as many events as a large one.

use crate::limits::{SNAPSHOT_BYTES_PER_EVENT, SNAPSHOT_SPACING, SNAPSHOT_SPACING_LEAST};

/// Events between two snapshots of so many bytes.
pub(super) fn spacing(bytes: usize) -> u64 {
    let events = (bytes as u64).div_ceil(SNAPSHOT_BYTES_PER_EVENT);
    events
        .checked_next_power_of_two()
        .unwrap_or(SNAPSHOT_SPACING)
        .clamp(SNAPSHOT_SPACING_LEAST, SNAPSHOT_SPACING)
}

/// Whether a snapshot of so many bytes stays when later ones are written. Others are those of heads that have moved.
pub(super) fn stays(sequence: u64, bytes: usize) -> bool {
    sequence.is_multiple_of(spacing(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_that_stay_take_a_bounded_number_of_bytes_for_each_event() {
        for bytes in [0, 1, 511, 512, 513, 1_025, 4_096, 65_536] {
            assert!(bytes as u64 <= spacing(bytes) * SNAPSHOT_BYTES_PER_EVENT, "{bytes}");
        }
        assert_eq!((spacing(0), spacing(1_500), spacing(usize::MAX)), (16, 32, SNAPSHOT_SPACING));
    }

    #[test]
    fn every_grid_holds_the_widest_one() {
        for bytes in [0, 600, 3_000, 1_000_000] {
            assert!(stays(SNAPSHOT_SPACING, bytes) && !stays(SNAPSHOT_SPACING + 1, bytes), "{bytes}");
        }
    }
}
