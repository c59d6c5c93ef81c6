//! What watchers are told, as messages, and back.

use std::sync::Arc;

use bytes::Bytes;

use super::parts::{branch_of, events_of, sent_branch, sent_events};
use crate::codec::link::SentNotice;
use crate::codec::{Bounded, Malformed};
use crate::engine::branch::Branch;
use crate::engine::handle_id::HandleId;
use crate::engine::sidecar::SidecarTables;
use crate::engine::watch::{Changed, Committed};
use crate::event::{Event, Position};
use crate::limits::SHARED_HINT_BYTES;

/// What an owner says without being asked.
#[derive(Debug)]
pub(crate) enum Noticed {
    Alive,
    Leaving,
    Unseen(Position),
    Committed {
        position: Position,
        births: Vec<Arc<Branch>>,
        events: Vec<Event>,
        changed: Vec<Changed>,
    },
    /// Something that this release does not understand, which may have been said of a commit.
    Other,
}

/// What was committed, as it is sent; `None` when it is too large for a hint.
pub(crate) fn notice_message(position: u64, commit: &Committed<'_>) -> Option<Vec<u8>> {
    let (events, births) = (commit.events(), commit.births());
    let of_event = |event: &Event| event.record().encoded().len() + 48;
    let of_birth = |branch: &Arc<Branch>| 64 + branch.lineage.len() * 64;
    let bytes = events.iter().map(of_event).sum::<usize>() + births.iter().map(of_birth).sum::<usize>();
    // They are not in the notice: a client has to ask for such a branch.
    let has_attributes = !commit.changes().is_empty() || births.iter().any(|b| !b.attributes.is_empty());
    if bytes > SHARED_HINT_BYTES || commit.is_unseen() || has_attributes {
        return None;
    }
    let changed = commit.changed().iter().map(|changed| (changed.by.get(), changed.tables.bits()));
    let notice = SentNotice::Committed {
        position,
        births: Bounded(births.iter().map(|branch| sent_branch(branch)).collect()),
        events: sent_events(events),
        changed: Bounded(changed.collect()),
    };
    let message = notice.message(0, bytes + 64);
    // Names may be long: what was reckoned above is not exact.
    (message.len() <= SHARED_HINT_BYTES * 2).then_some(message)
}

/// What an owner said. One of a later release may say more.
pub(crate) fn noticed(message: &Bytes) -> Noticed {
    understood(message).unwrap_or_else(|problem| {
        tracing::debug!(%problem, "the owner says something that this release does not understand");
        Noticed::Other
    })
}

fn understood(message: &Bytes) -> Result<Noticed, Malformed> {
    Ok(match SentNotice::decode(message)? {
        SentNotice::Alive => Noticed::Alive,
        SentNotice::Leaving => Noticed::Leaving,
        SentNotice::Unseen(position) => Noticed::Unseen(Position::new(position)),
        SentNotice::Committed { position, births, events, changed } => Noticed::Committed {
            position: Position::new(position),
            births: births.0.iter().map(branch_of).collect::<Result<_, _>>()?,
            events: events_of(message, &events)?,
            changed: changed
                .0
                .iter()
                .map(|(by, tables)| Changed {
                    by: HandleId::of(*by),
                    tables: SidecarTables::of_bits(*tables),
                })
                .collect(),
        },
    })
}
