//! Fields that a row may have beside those that this release knows: each has a tag. An older release keeps them as they are;
//! whether it may use the store at all, its features say.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::wire::Bounded;

/// More would be a mistake.
const MAX_EXTRAS: u32 = 64;

/// The encoding of [`Extras`].
pub(super) type ExtrasWire<'a> = Bounded<(u16, &'a [u8]), MAX_EXTRAS>;

/// Tagged fields, in the order of their tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras(Vec<(u16, Vec<u8>)>);

impl Extras {
    /// The field with this tag.
    #[must_use]
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, bytes)| bytes.as_slice())
    }

    /// Sets a field, or removes it.
    pub fn set(&mut self, tag: u16, bytes: Option<Vec<u8>>) {
        let place = self.0.binary_search_by_key(&tag, |(tag, _)| *tag);
        match (place, bytes) {
            (Ok(place), None) => drop(self.0.remove(place)),
            (Err(_), None) => {}
            (Ok(place), Some(bytes)) => {
                if let Some(field) = self.0.get_mut(place) {
                    field.1 = bytes;
                }
            }
            (Err(place), Some(bytes)) => self.0.insert(place, (tag, bytes)),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn wire(&self) -> ExtrasWire<'_> {
        Bounded(self.0.iter().map(|(tag, bytes)| (*tag, bytes.as_slice())).collect())
    }

    pub(super) fn read(wire: ExtrasWire<'_>) -> Result<Self, Malformed> {
        let fields: Vec<_> = wire.0.into_iter().map(|(tag, bytes)| (tag, bytes.to_vec())).collect();
        match fields.is_sorted_by(|(a, _), (b, _)| a < b) {
            true => Ok(Self(fields)),
            false => Err(Malformed::new("its additional fields are not in order")),
        }
    }
}

/// What a release has to know to use a store: a bit for each thing that was added to the format after it was defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Features {
    /// Whoever does not know these may read and write.
    pub compatible: u64,
    /// Whoever does not know these may only read.
    pub read_only: u64,
    /// Whoever does not know these may do neither.
    pub incompatible: u64,
}

impl Features {
    /// An incompatible one: attributes of branches have changed, and are to be kept to.
    pub const LIFECYCLE: u64 = 1;
    /// An incompatible one: it is an incremental backup, which has a part of a store only.
    pub const INCREMENT: u64 = 2;

    /// A compatible one: branches may expire. One that does not know it lets them stay.
    pub const EXPIRY: u64 = 1;

    /// What this release knows.
    pub const KNOWN: Self =
        Self { compatible: Self::EXPIRY, read_only: 0, incompatible: Self::LIFECYCLE | Self::INCREMENT };

    /// Those that bar a release that knows only [`KNOWN`](Self::KNOWN) from reading, or from writing too.
    #[must_use]
    pub fn barring(self, from_writing: bool) -> u64 {
        let unknown = self.incompatible & !Self::KNOWN.incompatible;
        let for_writers = if from_writing { self.read_only & !Self::KNOWN.read_only } else { 0 };
        unknown | for_writers
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{put, take_all};
    use super::*;

    #[test]
    fn fields_are_kept_in_order_and_come_back_as_they_were() {
        let mut extras = Extras::default();
        for tag in [7, 1, 300, 7] {
            extras.set(tag, Some(vec![tag as u8; 3]));
        }
        extras.set(2, None);
        extras.set(1, None);
        let mut bytes = Vec::new();
        put(extras.wire(), &mut bytes);
        assert_eq!(Extras::read(take_all(&bytes).unwrap()), Ok(extras.clone()));
        assert_eq!((extras.get(7), extras.get(1)), (Some(&[7, 7, 7][..]), None));
        let mut bytes = Vec::new();
        put(Bounded::<_, 64>(vec![(3u16, &b"a"[..]), (3, b"b")]), &mut bytes);
        assert!(Extras::read(take_all(&bytes).unwrap()).is_err());
    }

    #[test]
    fn an_unknown_feature_bars_readers_or_only_writers() {
        let features = Features { compatible: 1, read_only: 2, incompatible: 0 };
        assert_eq!((features.barring(false), features.barring(true)), (0, 2));
        let features = Features { incompatible: 4, ..features };
        assert_eq!((features.barring(false), features.barring(true)), (4, 6));
    }
}
