//! The small rows: branches, their heads, and the global order.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::attributes::Attributes;
use super::extras::{Extras, ExtrasWire};
use super::run::Run;
use super::seal::{self, Layout, SealKind};
use super::wire::{Bounded, put, take, take_all};
use crate::event::{BranchName, Place, SessionId};
use crate::limits::MAX_ORDER_RUNS;

/// A branch. Only its attributes change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRow {
    /// Its session and name.
    pub place: Place,
    /// Number of the branch that it was forked from.
    pub parent: Option<u64>,
    /// The last sequence that it inherits; 0 when it inherits nothing.
    pub fork: u64,
    /// When it was created, in microseconds since the epoch.
    pub created: i64,
    /// What has become of it.
    pub attributes: Attributes,
}

/// What a row of the first two formats holds; from the third on, attributes follow it.
#[derive(Encode, BorrowDecode)]
struct BranchWire<'a> {
    session: &'a str,
    branch: &'a str,
    parent: Option<u64>,
    fork: u64,
    created: i64,
}

impl BranchRow {
    /// The row's bytes under the branch's number.
    #[must_use]
    pub fn encode(&self, number: u64) -> Vec<u8> {
        let mut out = seal::open(96);
        put(self.wire(), &mut out);
        put(self.attributes.fields().wire(), &mut out);
        seal::close_as(Layout::Second, SealKind::Branch, number, out)
    }

    fn wire(&self) -> BranchWire<'_> {
        BranchWire {
            session: self.place.session.as_str(),
            branch: self.place.branch.as_str(),
            parent: self.parent,
            fork: self.fork,
            created: self.created,
        }
    }

    /// Reads the row of this branch number, of this format or an earlier one.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`BranchRow::encode`] does not write for that number, in this release or an earlier.
    pub fn decode(number: u64, bytes: &[u8]) -> Result<Self, Malformed> {
        let (layout, mut body) = seal::unseal_any(SealKind::Branch, number, bytes)?;
        let (wire, attributes): (BranchWire<'_>, _) = match layout {
            Layout::First => (take_all(body)?, Attributes::default()),
            Layout::Second => {
                let wire = take(&mut body)?;
                (wire, Attributes::of(Extras::read(take_all::<ExtrasWire<'_>>(body)?)?)?)
            }
        };
        let named = |_| Malformed::new("it holds a name that is not one");
        Ok(Self {
            place: Place::new(
                SessionId::new(wire.session).map_err(named)?,
                BranchName::new(wire.branch).map_err(named)?,
            ),
            parent: wire.parent,
            fork: wire.fork,
            created: wire.created,
            attributes,
        })
    }
}

/// Where the flushed part of a branch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct HeadRow {
    /// Sequence of the last event.
    pub head: u64,
    /// Its position.
    pub position: u64,
    /// When it was recorded, in microseconds since the epoch.
    pub recorded: i64,
}

impl HeadRow {
    /// The row's bytes under the branch's number.
    #[must_use]
    pub fn encode(self, branch: u64) -> Vec<u8> {
        let mut out = seal::open(27);
        put(self, &mut out);
        seal::close_at(SealKind::Head, branch, out)
    }

    /// Reads the row of this branch number.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`HeadRow::encode`] does not write for that number.
    pub fn decode(branch: u64, bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal_at(SealKind::Head, branch, bytes)?)
    }
}

/// A row of the global order: runs with consecutive positions, starting at `position`.
#[must_use]
pub fn encode_order(position: u64, runs: &[Run]) -> Vec<u8> {
    let mut out = seal::open(runs.len() * 6 + 4);
    put(Bounded::<Run, { MAX_ORDER_RUNS as u32 }>(runs.to_vec()), &mut out);
    seal::close_at(SealKind::Order, position, out)
}

/// Reads the row of the global order that begins at `position`.
///
/// # Errors
/// [`Malformed`] for anything that [`encode_order`] does not write for that position.
pub fn decode_order(position: u64, bytes: &[u8]) -> Result<Vec<Run>, Malformed> {
    let runs: Bounded<Run, { MAX_ORDER_RUNS as u32 }> =
        take_all(seal::unseal_at(SealKind::Order, position, bytes)?)?;
    if runs
        .0
        .iter()
        .any(|r| r.count == 0 || r.first == 0 || r.first.checked_add(u64::from(r.count)).is_none())
    {
        return Err(Malformed::new("it holds an impossible run"));
    }
    Ok(runs.0)
}
