//! What is kept of a text beside its words. Rows come in blocks: the first row, and how each differs from the one before.

use super::lists::{BLOCK, pack, unpack};
use super::numbers::{Numbers, put};
use super::unusable::Unusable;

/// Rows of a block. The last block of a segment has fewer.
pub(super) const BLOCK_ROWS: usize = BLOCK;

/// Where a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: u64,
    /// Which of the event's texts.
    pub(crate) part: u16,
    /// When the event occurred, in seconds since 1970; 0 and the highest number for what does not fit.
    pub(crate) seconds: u32,
}

/// Adds a block of rows, whose positions do not go back and are within 32 bits of the first one of the segment.
pub(super) fn encode(rows: &[Row], first: u64, out: &mut Vec<u8>) {
    let offset = |row: &Row| row.position.saturating_sub(first);
    let Some(begin) = rows.first() else { return };
    put(offset(begin), out);
    put(begin.seconds.into(), out);
    let (mut steps, mut parts, mut times) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    let slots = steps.iter_mut().zip(&mut parts).zip(&mut times);
    let (mut at, mut seconds) = (offset(begin), begin.seconds);
    for (row, ((step, part), time)) in rows.iter().zip(slots) {
        *step = u32::try_from(offset(row).saturating_sub(at)).unwrap_or(u32::MAX);
        *part = row.part.into();
        // Small, whether it is later or earlier.
        let change = row.seconds.wrapping_sub(seconds) as i32;
        *time = (change << 1 ^ change >> 31) as u32;
        (at, seconds) = (offset(row), row.seconds);
    }
    [steps, parts, times].iter().for_each(|numbers| pack(numbers, out));
}

/// The rows of a block that has so many.
pub(super) fn decode(bytes: &[u8], first: u64, count: usize) -> Result<Vec<Row>, Unusable> {
    let mut numbers = Numbers(bytes);
    let mut position = first.saturating_add(numbers.take()?);
    let mut seconds = numbers.take_small()?;
    let (mut steps, mut parts, mut times) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    for block in [&mut steps, &mut parts, &mut times] {
        unpack(&mut numbers, block)?;
    }
    let mut rows = Vec::with_capacity(count.min(BLOCK_ROWS));
    for ((step, part), time) in steps.into_iter().zip(parts).zip(times).take(count) {
        position = position.saturating_add(step.into());
        seconds = seconds.wrapping_add((time >> 1) ^ (time & 1).wrapping_neg());
        let part = u16::try_from(part).map_err(|_| Unusable::new("a row in it has too many parts"))?;
        rows.push(Row { position, part, seconds });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let seconds = prop_oneof![Just(0), Just(u32::MAX), any::<u32>(), 1_700_000_000_u32..1_700_000_100];
        let row = (prop_oneof![0_u64..3, 0_u64..20_000_000], any::<u16>(), seconds);
        prop::collection::vec(row, 1..=BLOCK_ROWS).prop_map(|rows| {
            let mut position = 7;
            let rows = rows.into_iter().map(|(step, part, seconds)| {
                position += step;
                Row { position, part, seconds }
            });
            rows.collect()
        })
    }

    proptest! {
        #[test]
        fn rows_come_back(rows in rows()) {
            let mut bytes = Vec::new();
            encode(&rows, 5, &mut bytes);
            prop_assert_eq!(decode(&bytes, 5, rows.len()).unwrap(), rows);
        }

        #[test]
        fn any_bytes_are_rows_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..1_600), count in 0_usize..200) {
            let _ = decode(&bytes, 5, count);
        }
    }
}
