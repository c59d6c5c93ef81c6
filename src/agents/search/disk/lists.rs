//! In which texts a term is, how often, and where. Two lists, so that most queries do not read the second.
//!
//! Both come in blocks of 128 numbers, each packed to as many bits as its largest number needs. What is left over at the end has
//! seven bits to a byte.

use bitpacking::{BitPacker, BitPacker4x};

use super::numbers::{Numbers, put};
use super::unusable::Unusable;

/// Numbers of a block.
pub(super) const BLOCK: usize = BitPacker4x::BLOCK_LEN;

/// Adds a whole block.
pub(super) fn pack(numbers: &[u32; BLOCK], out: &mut Vec<u8>) {
    let packer = BitPacker4x::new();
    let bits = packer.num_bits(numbers);
    out.push(bits);
    let begin = out.len();
    out.resize(begin + packed_bytes(bits), 0);
    if let Some(packed) = out.get_mut(begin..) {
        packer.compress(numbers, packed, bits);
    }
}

/// Reads a whole block.
pub(super) fn unpack(from: &mut Numbers<'_>, numbers: &mut [u32; BLOCK]) -> Result<(), Unusable> {
    let bits = match from.bytes(1)? {
        [bits] if *bits <= 32 => *bits,
        _ => return Err(Unusable::new("a block in it has numbers of more than 32 bits")),
    };
    BitPacker4x::new().decompress(from.bytes(packed_bytes(bits) as u64)?, numbers, bits);
    Ok(())
}

fn packed_bytes(bits: u8) -> usize {
    usize::from(bits) * BLOCK / 8
}

/// Numbers that become a block when there are enough.
#[derive(Debug)]
struct Pending {
    numbers: [u32; BLOCK],
    count: usize,
}

impl Pending {
    const NONE: Self = Self { numbers: [0; BLOCK], count: 0 };

    /// Whether there are enough.
    fn push(&mut self, number: u32) -> bool {
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = number;
            self.count += 1;
        }
        self.count == BLOCK
    }

    fn pack(&mut self, out: &mut Vec<u8>) {
        pack(&self.numbers, out);
        self.count = 0;
    }

    fn rest(&self) -> impl Iterator<Item = u32> {
        self.numbers.iter().copied().take(self.count)
    }
}

/// The lists of a term as they grow.
#[derive(Debug)]
pub(super) struct ListWriter {
    texts: u32,
    last: u32,
    docs: Vec<u8>,
    places: Vec<u8>,
    /// For each text how far it is from the one before.
    distances: Pending,
    /// How often the term is in it, less one.
    more: Pending,
    /// Each place in a text by how far it is from the one before.
    steps: Pending,
}

impl Default for ListWriter {
    fn default() -> Self {
        let (docs, places) = (Vec::new(), Vec::new());
        let (distances, more, steps) = (Pending::NONE, Pending::NONE, Pending::NONE);
        Self { texts: 0, last: 0, docs, places, distances, more, steps }
    }
}

impl ListWriter {
    /// The next text; of terms without places, `places` is empty.
    pub(super) fn add(&mut self, doc: u32, places: impl Iterator<Item = u32>) {
        let (mut count, mut before) = (0_u32, 0);
        for place in places {
            if self.steps.push(place.wrapping_sub(before)) {
                self.steps.pack(&mut self.places);
            }
            before = place;
            count += 1;
        }
        self.more.push(count.saturating_sub(1));
        if self.distances.push(doc.wrapping_sub(self.last)) {
            self.distances.pack(&mut self.docs);
            self.more.pack(&mut self.docs);
        }
        self.last = doc;
        self.texts += 1;
    }

    /// How many texts have it, and both lists. The next list begins.
    pub(super) fn take(
        &mut self,
        mut take: impl FnMut(u32, &[u8], &[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        for (distance, more) in self.distances.rest().zip(self.more.rest()) {
            put(u64::from(distance) << 1 | u64::from(more == 0), &mut self.docs);
            if more > 0 {
                put(u64::from(more), &mut self.docs);
            }
        }
        for step in self.steps.rest() {
            put(step.into(), &mut self.places);
        }
        let taken = if self.texts > 0 { take(self.texts, &self.docs, &self.places) } else { Ok(()) };
        (self.texts, self.last) = (0, 0);
        (self.distances.count, self.more.count, self.steps.count) = (0, 0, 0);
        self.docs.clear();
        self.places.clear();
        taken
    }
}

/// The texts of a term, so many, with how often it is in each. None is beyond `end`.
pub(super) fn each_doc(
    docs: &[u8],
    texts: u32,
    end: u32,
    mut take: impl FnMut(u32, u32) -> Result<(), Unusable>,
) -> Result<(), Unusable> {
    let (mut numbers, mut distances, mut more) = (Numbers(docs), [0; BLOCK], [0; BLOCK]);
    let mut at = Docs { doc: 0, end, is_first: true };
    for _ in 0..texts as usize / BLOCK {
        unpack(&mut numbers, &mut distances)?;
        unpack(&mut numbers, &mut more)?;
        for (distance, more) in distances.iter().zip(&more) {
            take(at.next((*distance).into())?, more.saturating_add(1))?;
        }
    }
    for _ in 0..texts as usize % BLOCK {
        let number = numbers.take()?;
        let more = if number & 1 == 1 { 0 } else { numbers.take_small()? };
        take(at.next(number >> 1)?, more.saturating_add(1))?;
    }
    if numbers.is_empty() { Ok(()) } else { Err(Unusable::new("a list in it is too long")) }
}

/// The numbers of texts, by their distances.
struct Docs {
    doc: u64,
    end: u32,
    is_first: bool,
}

impl Docs {
    #[inline]
    fn next(&mut self, distance: u64) -> Result<u32, Unusable> {
        if distance == 0 && !self.is_first {
            return Err(Unusable::new("a list in it goes back"));
        }
        self.is_first = false;
        self.doc = self.doc.saturating_add(distance);
        match u32::try_from(self.doc) {
            Ok(doc) if doc < self.end => Ok(doc),
            _ => Err(Unusable::new("a list in it leads beyond its texts")),
        }
    }
}

/// The places of a term, text by text as in its other list.
#[derive(Debug)]
pub(super) struct Places<'a> {
    numbers: Numbers<'a>,
    /// Numbers that are still in blocks.
    packed: u64,
    block: [u32; BLOCK],
    /// What of the block was taken.
    taken: usize,
}

impl<'a> Places<'a> {
    /// Those of a term that is so often in all its texts.
    pub(super) fn new(bytes: &'a [u8], count: u64) -> Self {
        Self {
            numbers: Numbers(bytes),
            packed: count - count % BLOCK as u64,
            block: [0; BLOCK],
            taken: BLOCK,
        }
    }

    /// Those of the next text, which are so many.
    pub(super) fn next(&mut self, count: u32, mut take: impl FnMut(u32)) -> Result<(), Unusable> {
        let mut place = 0_u32;
        for _ in 0..count {
            place = place.saturating_add(self.step()?);
            take(place);
        }
        Ok(())
    }

    #[inline]
    fn step(&mut self) -> Result<u32, Unusable> {
        if let Some(step) = self.block.get(self.taken) {
            self.taken += 1;
            return Ok(*step);
        }
        if self.packed == 0 {
            return self.numbers.take_small();
        }
        unpack(&mut self.numbers, &mut self.block)?;
        self.packed -= BLOCK as u64;
        self.taken = 1;
        Ok(self.block[0])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    type Lists = BTreeMap<u32, BTreeSet<u32>>;

    /// As many as are left over, or some blocks.
    fn lists() -> impl Strategy<Value = Lists> {
        let places = prop::collection::btree_set(0_u32..500, 1..5);
        prop_oneof![
            prop::collection::btree_map(0_u32..100_000, places.clone(), 1..50),
            prop::collection::btree_map(0_u32..1_000, places, 100..400),
        ]
    }

    fn written(lists: &Lists, writer: &mut ListWriter) -> (u32, Vec<u8>, Vec<u8>) {
        for (doc, places) in lists {
            writer.add(*doc, places.iter().copied());
        }
        let mut written = None;
        writer
            .take(|texts, docs, places| {
                written = Some((texts, docs.to_vec(), places.to_vec()));
                Ok(())
            })
            .unwrap();
        written.unwrap()
    }

    fn read(texts: u32, docs: &[u8], places: &[u8], end: u32) -> Result<Lists, Unusable> {
        let mut count = 0;
        each_doc(docs, texts, end, |_, own| {
            count += u64::from(own);
            Ok(())
        })?;
        let (mut places, mut lists) = (Places::new(places, count), Lists::new());
        each_doc(docs, texts, end, |doc, count| {
            assert!(doc < end);
            let mut of_doc = BTreeSet::new();
            places.next(count.min(1_000), |place| {
                of_doc.insert(place);
            })?;
            lists.insert(doc, of_doc);
            Ok(())
        })?;
        Ok(lists)
    }

    proptest! {
        #[test]
        fn lists_come_back(one in lists(), other in lists()) {
            let mut writer = ListWriter::default();
            for lists in [one, other] {
                let (texts, docs, places) = written(&lists, &mut writer);
                prop_assert_eq!(read(texts, &docs, &places, 100_000).unwrap(), lists);
            }
        }

        #[test]
        fn terms_without_places_come_back(docs in prop::collection::btree_set(0_u32..10_000, 1..400)) {
            let mut writer = ListWriter::default();
            docs.iter().for_each(|doc| writer.add(*doc, std::iter::empty()));
            writer.take(|texts, bytes, places| {
                assert!(places.is_empty());
                let mut read = BTreeSet::new();
                each_doc(bytes, texts, 10_000, |doc, count| { assert_eq!(count, 1); read.insert(doc); Ok(()) }).unwrap();
                assert_eq!(read, docs);
                Ok(())
            }).unwrap();
        }

        #[test]
        fn any_bytes_are_lists_or_are_refused(
            docs in prop::collection::vec(any::<u8>(), 0..600),
            places in prop::collection::vec(any::<u8>(), 0..600),
            texts in 0_u32..300,
        ) {
            let _ = read(texts, &docs, &places, 1_000);
        }

        #[test]
        fn what_is_changed_is_a_list_or_is_refused(
            lists in lists(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            texts in 0_u32..500,
        ) {
            let (written, mut docs, places) = written(&lists, &mut ListWriter::default());
            let _ = read(texts, &docs, &places, 100_000);
            let at = at.index(docs.len());
            docs[at] = byte;
            let _ = read(written, &docs, &places, 100_000);
        }
    }
}
