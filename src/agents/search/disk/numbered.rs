//! Numbers for what comes again and again.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// About what a new one costs beside its bytes.
const BYTES: usize = 64;

/// A number for each sequence of bytes, in the order in which they first came.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    numbers: HashMap<Box<[u8]>, u32, Seed>,
    pub(super) bytes: usize,
}

impl Numbered {
    pub(super) fn number(&mut self, of: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(of) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(of.into(), number);
        self.bytes += of.len() + BYTES;
        number
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// All of them with their numbers, in the order of their bytes.
    pub(super) fn in_order(&self) -> Vec<(&[u8], u32)> {
        let mut all: Vec<(&[u8], u32)> =
            self.numbers.iter().map(|(bytes, number)| (&**bytes, *number)).collect();
        all.sort_unstable();
        all
    }
}

/// Drawn for each map, so that nobody can write words that collide.
#[derive(Clone, Debug)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seed {
    type Hasher = Xxh3;

    fn build_hasher(&self) -> Xxh3 {
        Xxh3(self.0)
    }
}

/// Several times faster than the hash of the standard library on what is as short as words.
struct Xxh3(u64);

impl Hasher for Xxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = self.0.wrapping_add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
