//! In which texts a term is, how often, and where. Two lists, so that most queries do not read the second.

use super::numbers::{Numbers, put};
use super::unusable::Unusable;

/// The lists of a term as they grow.
#[derive(Debug, Default)]
pub(super) struct ListWriter {
    pub(super) texts: u32,
    /// For each text how far it is from the one before, shifted by a bit that says that the term is there once; else how often.
    pub(super) docs: Vec<u8>,
    /// For each text the places of the term, each by how far it is from the one before.
    pub(super) places: Vec<u8>,
    last: u32,
}

impl ListWriter {
    /// The next text; of terms without places, `places` is empty.
    pub(super) fn add(&mut self, doc: u32, places: impl ExactSizeIterator<Item = u32>) {
        let count = places.len().max(1);
        let distance = u64::from(doc.wrapping_sub(self.last));
        put(distance << 1 | u64::from(count == 1), &mut self.docs);
        if count > 1 {
            put(count as u64, &mut self.docs);
        }
        let mut before = 0;
        for place in places {
            put(u64::from(place.wrapping_sub(before)), &mut self.places);
            before = place;
        }
        self.last = doc;
        self.texts += 1;
    }

    pub(super) fn bytes(&self) -> usize {
        self.docs.len() + self.places.len()
    }

    pub(super) fn clear(&mut self) {
        self.texts = 0;
        self.last = 0;
        self.docs.clear();
        self.places.clear();
    }
}

/// The texts of a term, with how often it is in each. None is beyond `end`.
pub(super) fn each_doc(
    docs: &[u8],
    end: u32,
    mut take: impl FnMut(u32, u32) -> Result<(), Unusable>,
) -> Result<(), Unusable> {
    let (mut numbers, mut doc, mut is_first) = (Numbers(docs), 0_u64, true);
    while !numbers.is_empty() {
        let number = numbers.take()?;
        let distance = number >> 1;
        if distance == 0 && !is_first {
            return Err(Unusable::new("a list in it goes back"));
        }
        is_first = false;
        doc = doc.saturating_add(distance);
        let count = if number & 1 == 1 { 1 } else { numbers.take_small()? };
        match u32::try_from(doc) {
            Ok(doc) if doc < end && count > 0 => take(doc, count)?,
            _ => return Err(Unusable::new("a list in it leads beyond its texts")),
        }
    }
    Ok(())
}

/// The places of a term, text by text as in its other list.
#[derive(Debug)]
pub(super) struct Places<'a>(Numbers<'a>);

impl<'a> Places<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Numbers(bytes))
    }

    /// Those of the next text, which are so many.
    pub(super) fn next(&mut self, count: u32, mut take: impl FnMut(u32)) -> Result<(), Unusable> {
        let mut place = 0_u32;
        for _ in 0..count {
            place = place.saturating_add(self.0.take_small()?);
            take(place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_come_back(
            lists in prop::collection::btree_map(0_u32..10_000, prop::collection::btree_set(0_u32..500, 1..5), 0..50),
        ) {
            let mut writer = ListWriter::default();
            for (doc, places) in &lists {
                writer.add(*doc, places.iter().copied().collect::<Vec<_>>().into_iter());
            }
            let mut places = Places::new(&writer.places);
            let mut read = Vec::new();
            each_doc(&writer.docs, 10_000, |doc, count| {
                let mut of_doc = std::collections::BTreeSet::new();
                places.next(count, |place| { of_doc.insert(place); })?;
                read.push((doc, of_doc));
                Ok(())
            }).unwrap();
            prop_assert_eq!(read, lists.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_lists_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut places = Places::new(&bytes);
            let _ = each_doc(&bytes, 1_000, |doc, count| {
                assert!(doc < 1_000);
                places.next(count.min(100), |_| {})
            });
        }
    }
}
