//! What a backup says of itself: an additional field of its meta row.

use bincode::{BorrowDecode, Encode};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Malformed;
use super::meta::Meta;
use super::wire::{put, take_all};
use crate::limits::MAX_NAME_BYTES;

/// The tag of the field.
const LABEL: u16 = 1;
/// Keeps these hashes apart from others of the same bytes.
const LINE_SEED: u64 = 0x6c69_6e65;
const EVENT_SEED: u64 = 0x6576_656e;

/// By which a backup is known, and the store that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupLabel {
    /// Drawn anew for each backup.
    pub id: [u8; 16],
    /// The [line](line_of_secret) of the file that it was made of.
    pub line: u64,
    /// The last event that it has: position and [print](event_print). `None` when none is left.
    pub last: Option<(u64, u64)>,
    /// The backup that an incremental one continues.
    pub since: Option<BackupBase>,
}

/// What an incremental backup says of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupBase {
    /// Its id.
    pub id: [u8; 16],
    /// The last position that it has.
    pub position: u64,
    /// What its file was called then.
    pub name: String,
}

#[derive(Encode, BorrowDecode)]
struct LabelWire<'a> {
    id: [u8; 16],
    line: u64,
    last: Option<(u64, u64)>,
    /// Hash of the meta row without the label.
    rest: u64,
    since: Option<([u8; 16], u64, &'a str)>,
}

/// What a file has in common with those that continue it: a hash of the secret in its header, which is not to be told.
#[must_use]
pub fn line_of_secret(secret: &[u8; 16]) -> u64 {
    xxh3_64_with_seed(secret, LINE_SEED)
}

/// A hash of an event and its place. The same event recorded again has another one.
#[must_use]
pub fn event_print(id: &[u8; 16], branch: u64, sequence: u64, recorded: i64) -> u64 {
    let mut bytes = id.to_vec();
    bytes.extend(branch.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(recorded.to_le_bytes());
    xxh3_64_with_seed(&bytes, EVENT_SEED)
}

/// A hash of everything else in the row, which every write to the file changes.
fn rest_of(meta: &Meta) -> u64 {
    let mut rest = meta.clone();
    rest.others.set(LABEL, None);
    xxh3_64(&rest.encode())
}

impl BackupLabel {
    /// The label of a file, if it has one, and whether nothing was written to the file since it got it.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`BackupLabel::stick`] does not write.
    pub fn of(meta: &Meta) -> Result<Option<(Self, bool)>, Malformed> {
        let Some(bytes) = meta.others.get(LABEL) else { return Ok(None) };
        let LabelWire { id, line, last, rest, since } = take_all(bytes)?;
        let since = match since {
            Some((_, _, name)) if name.len() > MAX_NAME_BYTES => {
                return Err(Malformed::new("a length in it passes the limit"));
            }
            since => since.map(|(id, position, name)| BackupBase { id, position, name: name.to_owned() }),
        };
        Ok(Some((Self { id, line, last, since }, rest == rest_of(meta))))
    }

    /// Puts it on a row, which is not changed after that.
    pub fn stick(&self, meta: &mut Meta) {
        let Self { id, line, last, ref since } = *self;
        let since = since.as_ref().map(|base| {
            let name = base.name.get(..base.name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default();
            (base.id, base.position, name)
        });
        let mut bytes = Vec::new();
        put(LabelWire { id, line, last, rest: rest_of(meta), since }, &mut bytes);
        meta.others.set(LABEL, Some(bytes));
    }

    /// Takes the label off a row.
    pub fn remove(meta: &mut Meta) {
        meta.others.set(LABEL, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> BackupLabel {
        let since = BackupBase { id: [8; 16], position: 40, name: "runs-1.redb".into() };
        BackupLabel { id: [7; 16], line: 9, last: Some((50, 70_000)), since: Some(since) }
    }

    #[test]
    fn a_label_is_read_back_and_says_whether_the_file_was_written_to() {
        let mut meta = Meta::new([3; 16], 5);
        assert_eq!(BackupLabel::of(&meta), Ok(None));
        for label in [label(), BackupLabel { last: None, since: None, ..label() }] {
            label.stick(&mut meta);
            assert_eq!(
                BackupLabel::of(&Meta::decode(&meta.encode()).unwrap()),
                Ok(Some((label.clone(), true)))
            );
            let mut written = Meta { flushed: 1, ..meta.clone() };
            assert_eq!(BackupLabel::of(&written), Ok(Some((label, false))));
            BackupLabel::remove(&mut written);
            assert_eq!(BackupLabel::of(&written), Ok(None));
        }
    }

    #[test]
    fn a_long_name_is_cut_and_a_longer_one_is_refused() {
        let long = BackupBase { id: [8; 16], position: 40, name: "ü".repeat(200) };
        let mut meta = Meta::new([3; 16], 5);
        BackupLabel { since: Some(long), ..label() }.stick(&mut meta);
        let (read, _) = BackupLabel::of(&meta).unwrap().unwrap();
        assert_eq!(read.since.unwrap().name, "ü".repeat(127));
        let mut bytes = Vec::new();
        let since = Some(([0; 16], 1, "n".repeat(256)));
        let wire = LabelWire { id: [0; 16], line: 1, last: None, rest: 1, since: None };
        put((wire.id, wire.line, wire.last, wire.rest, since), &mut bytes);
        meta.others.set(LABEL, Some(bytes));
        assert!(BackupLabel::of(&meta).is_err());
        meta.others.set(LABEL, Some(b"short".to_vec()));
        assert!(BackupLabel::of(&meta).is_err());
    }

    #[test]
    fn an_event_recorded_again_has_another_print() {
        let print = event_print(&[1; 16], 2, 3, 4);
        let others = [([2; 16], 2, 3, 4), ([1; 16], 3, 3, 4), ([1; 16], 2, 4, 4), ([1; 16], 2, 3, 5)];
        assert!(
            others.iter().all(|(id, branch, sequence, at)| event_print(id, *branch, *sequence, *at) != print)
        );
    }
}
