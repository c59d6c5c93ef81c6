//! The first message in each direction. Its beginning is the same in every version, so that two releases that cannot talk to
//! each other can say so.

use bincode::{BorrowDecode, Encode};

use crate::codec::Malformed;
use crate::codec::link::head::{LINK_HEADER, LinkHead};
use crate::codec::wire::{Bounded, put, take, take_all, take_bytes};
use crate::limits::MAX_DAMAGE_TOLD;

/// The first bytes of every connection, in both directions.
const LINK_MAGIC: [u8; 8] = *b"retold\0\x01";
/// The oldest version of the protocol that this release speaks …
pub const LINK_OLDEST: u16 = 1;
/// … and the newest.
pub const LINK_NEWEST: u16 = 1;

/// What a client says first. The versions come first, in plain bytes; the rest is read only when they overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentHello<'a> {
    /// The oldest version that the client speaks.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
    /// The rest; `None` when the versions do not overlap with those of this release.
    pub hello: Option<HelloBody<'a>>,
}

/// Who the client is, and what it wants.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct HelloBody<'a> {
    /// The program.
    pub program: &'a str,
    /// What it is entitled to: higher is more.
    pub rank: u8,
    /// The store that it expects.
    pub store: Option<[u8; 16]>,
    /// Milliseconds without a word from the owner after which it gives up waiting.
    pub wait: u64,
}

/// What an owner says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentGreeting<'a> {
    /// Come in: in this version.
    Welcome(u16, Box<SentWelcome<'a>>),
    /// The versions do not overlap: those of the owner.
    Protocol(u16, u16),
    /// Another store than the client expects.
    OtherStore([u8; 16]),
    /// So many clients are connected, and there may be no more.
    Busy(u32),
    /// The owner is about to leave.
    Leaving,
}

/// The owner and its store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct SentWelcome<'a> {
    /// The process.
    pub pid: u32,
    /// The program.
    pub program: &'a str,
    /// What it is entitled to.
    pub rank: u8,
    /// Since when it owns the store, in microseconds since the epoch.
    pub since: i64,
    /// The largest payload that it takes.
    pub payload_bytes: u64,
    /// The last position that is committed.
    pub committed: u64,
    /// The id of the store.
    pub store: [u8; 16],
    /// Which opening of the store this is.
    pub opening: [u8; 16],
    /// When the store was made, in microseconds since the epoch.
    pub created: i64,
    /// The format of the file.
    pub format: u32,
    /// What could not be read when it was opened: place and reason.
    pub damage: Bounded<(&'a str, &'a str), { MAX_DAMAGE_TOLD as u32 }>,
    /// What of it may hide events.
    pub lacks: Option<(&'a str, &'a str)>,
}

const WELCOME: u8 = 0;
const PROTOCOL: u8 = 1;
const OTHER_STORE: u8 = 2;
const BUSY: u8 = 3;
const LEAVING: u8 = 4;

fn opened() -> Vec<u8> {
    let mut out = vec![0; LINK_HEADER];
    out.extend_from_slice(&LINK_MAGIC);
    out
}

fn closed(mut out: Vec<u8>) -> Vec<u8> {
    let len = (out.len() - LINK_HEADER) as u32;
    if let Some(header) = out.first_chunk_mut() {
        *header = LinkHead { len, total: len, call: 0 }.encode();
    }
    out
}

fn magic(bytes: &mut &[u8]) -> Result<(), Malformed> {
    match take_bytes(bytes, LINK_MAGIC.len())? == LINK_MAGIC {
        true => Ok(()),
        false => Err(Malformed::new("it does not begin as a connection to a store does")),
    }
}

fn two(bytes: &mut &[u8]) -> Result<u16, Malformed> {
    match take_bytes(bytes, 2)? {
        [a, b] => Ok(u16::from_le_bytes([*a, *b])),
        _ => Err(Malformed::new("it ends early")),
    }
}

impl<'a> SentHello<'a> {
    /// Its frame.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut out = opened();
        out.extend_from_slice(&self.oldest.to_le_bytes());
        out.extend_from_slice(&self.newest.to_le_bytes());
        if let Some(body) = &self.hello {
            put(body, &mut out);
        }
        closed(out)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`] for anything that no client says.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        magic(&mut bytes)?;
        let (oldest, newest) = (two(&mut bytes)?, two(&mut bytes)?);
        if oldest > newest {
            return Err(Malformed::new("its oldest version is newer than its newest"));
        }
        let speaks = oldest <= LINK_NEWEST && newest >= LINK_OLDEST;
        // A newer client may say more at the end.
        let hello = if speaks { Some(take(&mut bytes)?) } else { None };
        Ok(Self { oldest, newest, hello })
    }
}

impl<'a> SentGreeting<'a> {
    /// Its frame.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut out = opened();
        match self {
            Self::Welcome(version, welcome) => {
                out.push(WELCOME);
                out.extend_from_slice(&version.to_le_bytes());
                put(&**welcome, &mut out);
            }
            Self::Protocol(oldest, newest) => {
                out.push(PROTOCOL);
                out.extend_from_slice(&oldest.to_le_bytes());
                out.extend_from_slice(&newest.to_le_bytes());
            }
            Self::OtherStore(id) => {
                out.push(OTHER_STORE);
                out.extend_from_slice(id);
            }
            Self::Busy(clients) => {
                out.push(BUSY);
                put(*clients, &mut out);
            }
            Self::Leaving => out.push(LEAVING),
        }
        closed(out)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`] for anything that no owner says.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        magic(&mut bytes)?;
        match take_bytes(&mut bytes, 1)? {
            [WELCOME] => {
                let version = two(&mut bytes)?;
                if !(LINK_OLDEST..=LINK_NEWEST).contains(&version) {
                    return Err(Malformed::new("it chooses a version that was not offered"));
                }
                // A newer owner may say more at the end.
                Ok(Self::Welcome(version, Box::new(take(&mut bytes)?)))
            }
            [PROTOCOL] => Ok(Self::Protocol(two(&mut bytes)?, two(&mut bytes)?)),
            [OTHER_STORE] => take_all(bytes).map(Self::OtherStore),
            [BUSY] => take_all(bytes).map(Self::Busy),
            [LEAVING] if bytes.is_empty() => Ok(Self::Leaving),
            _ => Err(Malformed::new("it is a greeting of an unknown kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_do_not_overlap_are_read_without_the_rest() {
        let mut out = opened();
        out.extend_from_slice(&7u16.to_le_bytes());
        out.extend_from_slice(&9u16.to_le_bytes());
        out.extend_from_slice(b"whatever version seven says");
        let said = SentHello::decode(out.get(LINK_HEADER..).unwrap()).unwrap();
        assert_eq!((said.oldest, said.newest, said.hello), (7, 9, None));
    }
}
