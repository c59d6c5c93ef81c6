//! Records as they were read, so that who writes them can expect them to be so still.

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::store::{Records, SidecarTable, SidecarWrites};

/// A record of the checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Row {
    #[default]
    Absent,
    Read(Vec<u8>),
    /// It says nothing, and nothing can be expected of it: it is written over.
    Damaged,
}

impl Row {
    /// Several as of one moment, unless one of them is damaged.
    pub(super) fn all<const N: usize>(records: &Records, keys: [&[u8]; N]) -> Result<[Self; N]> {
        match records.get_all(SidecarTable::Checkpoints, keys) {
            Ok(rows) => Ok(rows.map(Self::from)),
            Err(e) if e.is_damage() => {
                let mut rows = [const { Self::Damaged }; N];
                for (row, key) in rows.iter_mut().zip(keys) {
                    match records.get(SidecarTable::Checkpoints, key) {
                        Ok(found) => *row = found.into(),
                        Err(e) if e.is_damage() => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok(rows)
            }
            Err(e) => Err(e),
        }
    }

    /// What it says, when it can be read and understood.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Read(json) => serde_json::from_slice(json).ok(),
            Self::Absent | Self::Damaged => None,
        }
    }

    /// Lets a commit happen only while the record is as it was read.
    pub(super) fn expected_by(&self, records: &mut SidecarWrites, key: Vec<u8>) {
        match self {
            Self::Absent => records.expect(SidecarTable::Checkpoints, key, None),
            Self::Read(value) => records.expect(SidecarTable::Checkpoints, key, Some(value.clone())),
            Self::Damaged => {}
        }
    }
}

impl From<Option<Vec<u8>>> for Row {
    fn from(value: Option<Vec<u8>>) -> Self {
        value.map_or(Self::Absent, Self::Read)
    }
}
