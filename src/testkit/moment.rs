//! The file at the moment of a power failure.

/// A change of the file.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, data: Box<[u8]> },
    SetLen(usize),
    Sync,
}

impl Change {
    pub(super) fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => write_at(file, *offset, data),
            Self::SetLen(len) => resize(file, *len),
            Self::Sync => {}
        }
    }
}

/// Without going through each byte, which an unoptimised build does.
pub(super) fn resize(file: &mut Vec<u8>, len: usize) {
    if len <= file.len() {
        return file.truncate(len);
    }
    let mut longer = vec![0; len];
    write_at(&mut longer, 0, file);
    *file = longer;
}

/// A write beyond the end of the file is lost: the file was cut off first.
pub(super) fn write_at(file: &mut [u8], offset: usize, data: &[u8]) {
    let end = offset.saturating_add(data.len()).min(file.len());
    if let Some(place) = file.get_mut(offset..end) {
        place.copy_from_slice(data.get(..place.len()).unwrap_or_default());
    }
}

/// Which unsynced writes reach the disk when the power fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Everything, as after a kill of the process.
    Everything,
    /// The first writes in order, and some sectors of the next one.
    First {
        /// How many writes are complete.
        writes: usize,
        /// How many bytes of the next one arrive; a multiple of a sector.
        bytes: usize,
    },
    /// Any of them, in any order: a seed decides for each write.
    Some {
        /// The seed.
        seed: u64,
    },
    /// Any sectors of any writes.
    Torn {
        /// The seed.
        seed: u64,
        /// Bytes that are written as a whole or not at all: 512 or 4,096.
        sector: usize,
    },
}

/// The file as of its last sync, and what was written after it.
#[derive(Clone, Debug)]
pub struct Moment {
    pub(super) synced: Vec<u8>,
    pub(super) pending: Vec<Change>,
}

impl Moment {
    /// The number of unsynced writes.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.pending.len()
    }

    /// The file that is found when the power is back.
    #[must_use]
    pub fn cut(&self, cut: &Cut) -> Vec<u8> {
        let mut file = self.synced.clone();
        match *cut {
            Cut::Nothing => {}
            Cut::Everything => self.pending.iter().for_each(|change| change.apply(&mut file)),
            Cut::First { writes, bytes } => {
                self.pending.iter().take(writes).for_each(|change| change.apply(&mut file));
                if let Some(Change::Write { offset, data }) = self.pending.get(writes) {
                    write_at(&mut file, *offset, data.get(..bytes.min(data.len())).unwrap_or_default());
                }
            }
            Cut::Some { seed } => {
                let mut dice = Dice(seed);
                for change in &self.pending {
                    // A file that did not grow has no room for what was written at its end.
                    if dice.coin() || matches!(change, Change::SetLen(_)) {
                        change.apply(&mut file);
                    }
                }
            }
            Cut::Torn { seed, sector } => self.tear(&mut file, &mut Dice(seed), sector.max(1)),
        }
        file
    }

    fn tear(&self, file: &mut Vec<u8>, dice: &mut Dice, sector: usize) {
        for change in &self.pending {
            match change {
                Change::Write { offset, data } => {
                    let mut at = *offset;
                    let end = offset + data.len();
                    while at < end {
                        // Up to the disk's next sector boundary, wherever the write began.
                        let next = ((at / sector + 1) * sector).min(end);
                        if dice.coin() {
                            let part = data.get(at - offset..next - offset).unwrap_or_default();
                            write_at(file, at, part);
                        }
                        at = next;
                    }
                }
                other => other.apply(file),
            }
        }
    }
}

/// SplitMix64: small, and the same on every platform.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
