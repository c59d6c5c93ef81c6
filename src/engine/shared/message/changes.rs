//! Changes of branches as they are sent, and back.

use std::time::Duration;

use super::parts::{place_of, sent_place};
use crate::codec::Malformed;
use crate::codec::link::{SentChange, SentWhat};
use crate::engine::expiry::Expiry;
use crate::engine::life::{BranchChange, Change};
use crate::event::{Sequence, Timestamp};

pub(super) fn sent_change(change: &BranchChange) -> SentChange<'_> {
    let what = match change.what {
        Change::Close => SentWhat::Close,
        Change::Delete => SentWhat::Delete,
        Change::Truncate { before } => SentWhat::Truncate(before.get()),
        Change::Expire(None) => SentWhat::Keep,
        Change::Expire(Some(Expiry::At(at))) => SentWhat::ExpireAt(at.micros()),
        Change::Expire(Some(Expiry::Unused(span))) => {
            SentWhat::ExpireUnused(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
        }
        Change::Lapse => SentWhat::Lapse,
    };
    SentChange { place: sent_place(&change.place), number: change.number, head: change.head, what }
}

pub(super) fn change_of(sent: SentChange<'_>) -> Result<BranchChange, Malformed> {
    let what = match sent.what {
        SentWhat::Close => Change::Close,
        SentWhat::Delete => Change::Delete,
        SentWhat::Truncate(before) => Change::Truncate { before: Sequence::new(before) },
        SentWhat::Keep => Change::Expire(None),
        SentWhat::ExpireAt(at) => Change::Expire(Some(Expiry::At(Timestamp::from_micros(at)))),
        SentWhat::ExpireUnused(after) => Change::Expire(Some(Expiry::Unused(Duration::from_micros(after)))),
        SentWhat::Lapse => Change::Lapse,
    };
    Ok(BranchChange { place: place_of(sent.place)?, number: sent.number, head: sent.head, what })
}
