//! What is stored, the same for every peer: drafts from the bench, an envelope on the disk, a view when read.

use std::time::{SystemTime, UNIX_EPOCH};

use bincode::{BorrowDecode, Encode};

pub const KIND: &str = "tool.completed";
pub const SOURCE: &str = "bench";

/// An event before it has an id and a time. Each peer gives it those on the producer's thread, as retold does.
pub struct Draft {
    pub data: String,
}

/// The envelope of the peers that have none of their own, and what SQLite keeps in columns.
#[derive(Clone, Copy, Encode, BorrowDecode)]
pub struct Envelope<'a> {
    pub id: [u8; 16],
    pub kind: &'a str,
    pub source: &'a str,
    pub occurred: i64,
    pub data: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub fn stamp(draft: &'a Draft) -> Self {
        Self { id: new_id(), kind: KIND, source: SOURCE, occurred: now_micros(), data: draft.data.as_bytes() }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.data.len() + 64);
        bincode::encode_into_std_write(self, &mut bytes, bincode::config::standard()).unwrap();
        bytes
    }

    pub fn decode(bytes: &'a [u8]) -> Self {
        bincode::borrow_decode_from_slice(bytes, bincode::config::standard()).unwrap().0
    }
}

pub fn new_id() -> [u8; 16] {
    uuid::Uuid::now_v7().into_bytes()
}

pub fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

/// A small generator of numbers, the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }
}
