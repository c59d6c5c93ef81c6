//! Sidecar records: opaque bytes of other modules, with a checksum.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Malformed;
use super::seal::{self, SealKind};

/// What a commit makes of a record, as it is encoded: table, key and value; no value removes the record.
pub(super) type SidecarChange<'a> = (u8, &'a [u8], Option<&'a [u8]>);

/// The encoded row for this sidecar table and key.
#[must_use]
pub fn encode_sidecar_row(table: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = seal::open(value.len());
    out.extend_from_slice(value);
    seal::close_at(SealKind::Sidecar, key_number(table, key), out)
}

/// The value of the row in this sidecar table under this key.
///
/// # Errors
/// [`Malformed`] for anything that [`encode_sidecar_row`] does not write for them.
pub fn decode_sidecar_row<'a>(table: u8, key: &[u8], row: &'a [u8]) -> Result<&'a [u8], Malformed> {
    seal::unseal_at(SealKind::Sidecar, key_number(table, key), row)
}

fn key_number(table: u8, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, u64::from(table))
}
