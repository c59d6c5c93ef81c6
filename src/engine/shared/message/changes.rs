//! Changes of branches as they are sent, and back.

use super::parts::{place_of, sent_place};
use crate::codec::Malformed;
use crate::codec::link::{SentChange, SentWhat};
use crate::engine::life::{BranchChange, Change};
use crate::event::Sequence;

pub(super) fn sent_change(change: &BranchChange) -> SentChange<'_> {
    let what = match change.what {
        Change::Close => SentWhat::Close,
        Change::Delete => SentWhat::Delete,
        Change::Truncate { before } => SentWhat::Truncate(before.get()),
    };
    SentChange { place: sent_place(&change.place), number: change.number, what }
}

pub(super) fn change_of(sent: SentChange<'_>) -> Result<BranchChange, Malformed> {
    let what = match sent.what {
        SentWhat::Close => Change::Close,
        SentWhat::Delete => Change::Delete,
        SentWhat::Truncate(before) => Change::Truncate { before: Sequence::new(before) },
    };
    Ok(BranchChange { place: place_of(sent.place)?, number: sent.number, what })
}
