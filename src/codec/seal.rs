//! A format byte and a checksum before each body: redb does not verify page checksums when it reads, so every row
//! carries its own.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Malformed;
use super::wire::take_bytes;

/// What a row is, mixed into its checksum so that one kind is never read as another.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(super) enum SealKind {
    Frame = 1,
    Chunk = 2,
    Order = 3,
    Branch = 4,
    Head = 5,
    Meta = 6,
    Cursor = 7,
    Sidecar = 8,
    Token = 9,
}

/// The layout of rows that have changed since: see [`Layout`].
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const HEADER: usize = 1 + size_of::<u64>();

/// Which of the layouts of a kind the body has. It is the format byte, and mixed into the checksum, so that a flipped bit
/// does not turn one into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// That of the formats 1 and 2, and of every kind that has not changed since.
    First,
    /// That of format 3, for frames, branches and the meta row; and of cursors and tokens with the mark of an event.
    Second,
}

impl Layout {
    const fn byte(self) -> u8 {
        match self {
            Self::First => FIRST,
            Self::Second => SECOND,
        }
    }
}

/// Room for the header. The body is appended to it, then [`close`] fills in the checksum.
pub(super) fn open(capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + capacity);
    out.resize(HEADER, 0);
    out
}

/// Completes what [`open`] began.
pub(super) fn close(kind: SealKind, out: Vec<u8>) -> Vec<u8> {
    close_at(kind, 0, out)
}

/// The same for a row that is valid only under its key: the checksum covers both.
pub(super) fn close_at(kind: SealKind, key: u64, out: Vec<u8>) -> Vec<u8> {
    close_as(Layout::First, kind, key, out)
}

/// The same for a body in this layout.
pub(super) fn close_as(layout: Layout, kind: SealKind, key: u64, mut out: Vec<u8>) -> Vec<u8> {
    if let Some((header, body)) = out.split_at_mut_checked(HEADER) {
        let sum = xxh3_64_with_seed(body, seed(layout, kind, key));
        if let Some((format, rest)) = header.split_first_mut() {
            *format = layout.byte();
            rest.copy_from_slice(&sum.to_le_bytes());
        }
    }
    out
}

/// Seeds do not collide for the few kinds and the keys in use: the key leaves the lowest byte to the kind.
const fn seed(layout: Layout, kind: SealKind, key: u64) -> u64 {
    let layout = match layout {
        Layout::First => 0,
        Layout::Second => 0x80,
    };
    kind as u64 ^ layout ^ key.rotate_left(8)
}

/// The body, if the checksum is right.
pub(super) fn unseal(kind: SealKind, bytes: &[u8]) -> Result<&[u8], Malformed> {
    unseal_at(kind, 0, bytes)
}

/// The body of a row that is stored under this key.
pub(super) fn unseal_at(kind: SealKind, key: u64, bytes: &[u8]) -> Result<&[u8], Malformed> {
    match unseal_any(kind, key, bytes)? {
        (Layout::First, body) => Ok(body),
        (Layout::Second, _) => Err(UNKNOWN),
    }
}

/// The body of a kind that has two layouts, and which it has.
pub(super) fn unseal_any(kind: SealKind, key: u64, mut bytes: &[u8]) -> Result<(Layout, &[u8]), Malformed> {
    let layout = match take_bytes(&mut bytes, 1)? {
        [FIRST] => Layout::First,
        [SECOND] => Layout::Second,
        _ => return Err(UNKNOWN),
    };
    let sum = take_bytes(&mut bytes, size_of::<u64>())?;
    if sum != xxh3_64_with_seed(bytes, seed(layout, kind, key)).to_le_bytes() {
        return Err(Malformed::new("its checksum is wrong"));
    }
    Ok((layout, bytes))
}

/// [`close`] for what may end with the mark of an event. Without one it is as it was before there were any.
pub(super) fn close_marked(kind: SealKind, mark: Option<u64>, mut out: Vec<u8>) -> Vec<u8> {
    let Some(mark) = mark else { return close(kind, out) };
    out.extend_from_slice(&mark.to_le_bytes());
    close_as(Layout::Second, kind, 0, out)
}

/// The mark, if there is one, and the body before it.
pub(super) fn unseal_marked(kind: SealKind, bytes: &[u8]) -> Result<(Option<u64>, &[u8]), Malformed> {
    match unseal_any(kind, 0, bytes)? {
        (Layout::First, body) => Ok((None, body)),
        (Layout::Second, body) => {
            let (body, mark) = body.split_last_chunk().ok_or(Malformed::new("it ends early"))?;
            Ok((Some(u64::from_le_bytes(*mark)), body))
        }
    }
}

const UNKNOWN: Malformed = Malformed::new("its format byte is unknown");
