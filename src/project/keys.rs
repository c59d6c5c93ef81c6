//! The sidecar records of projections: their keys, and the checkpoints of a generation of states.

use serde::{Deserialize, Serialize};

use super::fold::Scope;
use crate::event::{Address, Timestamp};

/// One generation of a projection's states: those of one version, built once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Built {
    pub(super) generation: u32,
    pub(super) version: u32,
    pub(super) shape: u64,
    pub(super) scope: Scope,
    /// Every event up to here is in the states.
    pub(super) position: u64,
    /// While it is being built: where it is to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<u64>,
}

/// Where a projection could not go on for one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ParkedRow {
    /// Branch or key, for people.
    pub(super) of: String,
    pub(super) at: String,
    pub(super) position: u64,
    pub(super) reason: String,
    /// When it was parked, in microseconds since the epoch.
    pub(super) since: i64,
    /// Every event of the key up to here is in its snapshot.
    pub(super) from: u64,
}

impl ParkedRow {
    pub(super) fn new(of: String, at: &Address, position: u64, reason: String, from: u64) -> Self {
        Self { of, at: at.to_string(), position, reason, since: Timestamp::now().micros(), from }
    }
}

pub(super) fn to_json<T: Serialize>(row: &T) -> Vec<u8> {
    let json = serde_json::to_vec(row);
    debug_assert!(json.is_ok(), "rows of ours have plain fields");
    json.unwrap_or_default()
}

/// What a state belongs to, as a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Branch(u64),
    Text(String),
}

impl Key {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Branch(number) => number.to_be_bytes().to_vec(),
            Self::Text(text) => text.as_bytes().to_vec(),
        }
    }
}

/// All states of a projection.
pub(super) fn states(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// The states of one generation.
pub(super) fn states_of(name: &str, generation: u32) -> Vec<u8> {
    [name.as_bytes(), &[0], &generation.to_be_bytes()].concat()
}

/// The generation in the key of a state or a parking, behind so many bytes and a zero.
pub(super) fn generation_at(len: usize, key: &[u8]) -> Option<u32> {
    let rest = key.get(len + 1..len + 5)?;
    Some(u32::from_be_bytes(rest.try_into().ok()?))
}

/// The state of a key, or of a branch at a sequence.
pub(super) fn state(name: &str, generation: u32, key: &Key, sequence: u64) -> Vec<u8> {
    let mut bytes = states_of(name, generation);
    bytes.extend(key.bytes());
    if let Key::Branch(_) = key {
        bytes.extend(sequence.to_be_bytes());
    }
    bytes
}

/// All states of one branch.
pub(super) fn states_of_branch(name: &str, generation: u32, branch: u64) -> Vec<u8> {
    [states_of(name, generation), branch.to_be_bytes().to_vec()].concat()
}

/// The sequence at the end of a branch state's key.
pub(super) fn sequence_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk()?))
}

/// The key's text, behind the generation.
pub(super) fn text_of<'a>(name: &str, key: &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(key.get(name.len() + 5..)?).ok()
}

const CURRENT: &[u8] = b"c\0";
const NEXT: &[u8] = b"n\0";

/// The generation that is read.
pub(super) fn current(name: &str) -> Vec<u8> {
    [CURRENT, name.as_bytes()].concat()
}

/// The generation that is being built.
pub(super) fn next(name: &str) -> Vec<u8> {
    [NEXT, name.as_bytes()].concat()
}

/// The prefixes of all generations, and the name behind them.
pub(super) fn all_generations() -> [&'static [u8]; 2] {
    [CURRENT, NEXT]
}

/// The name in such a key.
pub(super) fn name_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(CURRENT.len()..)?).ok()
}

const LEASE: &[u8] = b"l\0";

/// The records of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaseKeys {
    pub(super) holder: Vec<u8>,
    pub(super) term: Vec<u8>,
}

/// All leases on a projection, of whatever code.
pub(super) fn leases(name: &str) -> Vec<u8> {
    [LEASE, name.as_bytes(), &[0]].concat()
}

/// What tells the code of one version of a projection from another: also the data that it depends on.
pub(super) fn code(version: u32, shape: u64, scope: Scope) -> Vec<u8> {
    let scope = match scope {
        Scope::Branch => b'b',
        Scope::Session => b's',
        Scope::Key => b'k',
    };
    [&version.to_be_bytes()[..], &shape.to_be_bytes(), &[scope]].concat()
}

/// The lease of such code.
pub(super) fn lease(name: &str, code: &[u8]) -> LeaseKeys {
    let lease = [&leases(name)[..], code].concat();
    LeaseKeys { holder: [&lease[..], b"h"].concat(), term: [&lease[..], b"t"].concat() }
}

/// The code in the key of a lease.
pub(super) fn leased<'a>(name: &str, key: &'a [u8]) -> Option<&'a [u8]> {
    key.get(leases(name).len()..)?.split_last().map(|(_, code)| code)
}

/// Where a projection is parked, in any generation.
pub(super) fn parkings(name: &str) -> Vec<u8> {
    [b"p\0", name.as_bytes(), &[0]].concat()
}

/// Where a generation is parked.
pub(super) fn parkings_of(name: &str, generation: u32) -> Vec<u8> {
    [&parkings(name)[..], &generation.to_be_bytes()].concat()
}

/// Where a key is parked.
pub(super) fn parking(name: &str, generation: u32, key: &Key) -> Vec<u8> {
    [parkings_of(name, generation), key.bytes()].concat()
}

/// The key that is parked there.
pub(super) fn parked_key(name: &str, scope: Scope, row: &[u8]) -> Option<Key> {
    let rest = row.get(parkings_of(name, 0).len()..)?;
    match scope {
        Scope::Branch => Some(Key::Branch(u64::from_be_bytes(rest.try_into().ok()?))),
        Scope::Session | Scope::Key => Some(Key::Text(std::str::from_utf8(rest).ok()?.to_owned())),
    }
}
