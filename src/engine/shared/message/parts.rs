//! Places, branches and events as they are sent, and back.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::link::{
    SentAttributes, SentBranch, SentChunk, SentEnd, SentEvent, SentEvents, SentFullBranch, SentFullEnd,
    SentPiece, SentPlace, SentRange, SentSegment,
};
use crate::codec::{Attributes, Bounded, Chunk, IdleRow, Malformed, decode_record};
use crate::engine::branch::{Branch, Segment};
use crate::engine::get::{End, Range};
use crate::engine::pieces::Piece;
use crate::event::{BranchName, Event, Place, Position, Sequence, SessionId, Timestamp};

const NO_NAME: Malformed = Malformed::new("it holds a name that is not one");

pub(super) fn sent_place(place: &Place) -> SentPlace<'_> {
    SentPlace { session: place.session.as_str(), branch: place.branch.as_str() }
}

pub(super) fn place_of(sent: SentPlace<'_>) -> Result<Place, Malformed> {
    let branch = BranchName::new(sent.branch).map_err(|_| NO_NAME)?;
    Ok(Place::new(session_of(sent.session)?, branch))
}

pub(super) fn session_of(sent: &str) -> Result<SessionId, Malformed> {
    SessionId::new(sent).map_err(|_| NO_NAME)
}

pub(super) fn sent_range(range: Range) -> SentRange {
    let Range { from, to, limit, reverse } = range;
    SentRange { from, to, limit: limit as u64, reverse }
}

pub(super) fn sent_end(end: &End) -> SentEnd {
    SentEnd { head: end.head, position: end.position, recorded: end.recorded }
}

pub(super) fn sent_full_end(end: &End) -> SentFullEnd {
    SentFullEnd { end: sent_end(end), first: end.first, closed: end.closed }
}

pub(super) fn end_of(sent: SentEnd) -> End {
    full_end_of(SentFullEnd { end: sent, first: 1, closed: false })
}

pub(super) fn full_end_of(sent: SentFullEnd) -> End {
    let SentFullEnd { end: SentEnd { head, position, recorded }, first, closed } = sent;
    End { head, position, recorded, first, closed }
}

pub(super) fn sent_branch(branch: &Branch) -> SentBranch<'_> {
    let lineage = branch.lineage.iter().map(|s| SentSegment {
        branch: s.branch,
        place: sent_place(&s.place),
        first: s.first,
        last: s.last,
    });
    SentBranch {
        number: branch.number,
        place: sent_place(&branch.place),
        parent: branch.parent,
        parent_name: branch.parent_name.as_ref().map(BranchName::as_str),
        fork: branch.fork,
        created: branch.created,
        depth: branch.depth as u32,
        lineage: Bounded(lineage.collect()),
    }
}

/// With what has become of it.
pub(super) fn sent_full_branch(branch: &Branch) -> SentFullBranch<'_> {
    SentFullBranch { branch: sent_branch(branch), attributes: sent_attributes(&branch.attributes) }
}

fn sent_attributes(attributes: &Attributes) -> SentAttributes {
    SentAttributes {
        closed: attributes.closed,
        expires: attributes.expires,
        idle: attributes.idle.map(|idle| (idle.after, idle.used)),
        deleted: attributes.deleted,
        incarnation: attributes.incarnation,
        truncated: attributes.truncated,
    }
}

fn attributes_of(sent: SentAttributes) -> Attributes {
    Attributes {
        closed: sent.closed,
        expires: sent.expires,
        idle: sent.idle.map(|(after, used)| IdleRow { after, used }),
        deleted: sent.deleted,
        incarnation: sent.incarnation,
        truncated: sent.truncated,
        ..Attributes::default()
    }
}

/// A branch of which nothing has become.
pub(super) fn branch_of(sent: &SentBranch<'_>) -> Result<Arc<Branch>, Malformed> {
    branch_with(sent, Attributes::default())
}

pub(super) fn full_branch_of(sent: &SentFullBranch<'_>) -> Result<Arc<Branch>, Malformed> {
    branch_with(&sent.branch, attributes_of(sent.attributes))
}

fn branch_with(sent: &SentBranch<'_>, attributes: Attributes) -> Result<Arc<Branch>, Malformed> {
    let place = Arc::new(place_of(sent.place)?);
    let mut lineage = Vec::with_capacity(sent.lineage.0.len());
    for segment in &sent.lineage.0 {
        let own = segment.branch == sent.number;
        let place = if own { place.clone() } else { Arc::new(place_of(segment.place)?) };
        lineage.push(Segment { branch: segment.branch, place, first: segment.first, last: segment.last });
    }
    let parent_name = sent.parent_name.map(BranchName::new).transpose().map_err(|_| NO_NAME)?;
    Ok(Arc::new(Branch {
        number: sent.number,
        place,
        parent: sent.parent,
        parent_name,
        fork: sent.fork,
        created: sent.created,
        attributes,
        depth: sent.depth as usize,
        lineage: lineage.into(),
    }))
}

pub(super) fn sent_events(events: &[Event]) -> SentEvents<'_> {
    let mut places: Vec<SentPlace<'_>> = Vec::new();
    let mut known: HashMap<SentPlace<'_>, u32> = HashMap::new();
    let mut last: Option<(&Arc<Place>, u32)> = None;
    let mut sent = Vec::with_capacity(events.len());
    for event in events {
        let place = match last {
            Some((place, at)) if Arc::ptr_eq(place, event.place()) => at,
            _ => *known.entry(sent_place(event.place())).or_insert_with_key(|place| {
                places.push(*place);
                places.len() as u32 - 1
            }),
        };
        last = Some((event.place(), place));
        sent.push(SentEvent {
            place,
            sequence: event.sequence().get(),
            position: event.position().get(),
            recorded: event.recorded().micros(),
            record: event.record().encoded(),
        });
    }
    SentEvents { places: Bounded(places), events: Bounded(sent) }
}

/// About as many as they are sent with.
pub(super) fn bytes_of_events(events: &[Event]) -> usize {
    events.iter().map(|event| event.record().encoded().len() + 24).sum()
}

/// The events of a message, which share its bytes.
pub(super) fn events_of(message: &Bytes, sent: &SentEvents<'_>) -> Result<Vec<Event>, Malformed> {
    let places: Vec<Arc<Place>> =
        sent.places.0.iter().map(|place| place_of(*place).map(Arc::new)).collect::<Result<_, _>>()?;
    let event = |sent: &SentEvent<'_>| {
        let place = places.get(sent.place as usize).ok_or(Malformed::new("an event has no branch"))?;
        Ok(Event::new(
            place.clone(),
            Sequence::new(sent.sequence),
            Position::new(sent.position),
            Timestamp::from_micros(sent.recorded),
            decode_record(message.slice_ref(sent.record))?,
        ))
    };
    sent.events.0.iter().map(event).collect()
}

/// A piece, and what it is borrowed from.
pub(super) enum PieceParts<'a> {
    Packed(&'a Place, Chunk),
    Events(&'a [Event]),
}

impl<'a> PieceParts<'a> {
    pub(super) fn of(piece: &'a Piece) -> Self {
        match piece {
            Piece::Packed { next, last, .. } if next > last => Self::Events(&[]),
            Piece::Packed { place, chunk, next, last } => Self::Packed(place, chunk.part(*next, *last)),
            Piece::Events(events) => Self::Events(events.as_slice()),
        }
    }

    /// About as many as it is sent with.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Packed(_, chunk) => chunk.bytes() + chunk.count() * 24,
            Self::Events(events) => bytes_of_events(events),
        }
    }

    pub(super) fn sent(&self) -> SentPiece<'_> {
        match self {
            Self::Packed(place, chunk) => SentPiece::Packed(sent_place(place), chunk.sent()),
            Self::Events(events) => SentPiece::Events(sent_events(events)),
        }
    }
}

/// The events of a piece.
pub(super) fn piece_of(message: &Bytes, sent: &SentPiece<'_>) -> Result<Piece, Malformed> {
    Ok(match sent {
        SentPiece::Packed(place, chunk) => {
            let place = Arc::new(place_of(*place)?);
            let chunk = chunk_of(message, chunk)?;
            Piece::Packed { place, next: chunk.first(), last: chunk.last(), chunk }
        }
        SentPiece::Events(events) => Piece::Events(events_of(message, events)?.into_iter()),
    })
}

fn chunk_of(message: &Bytes, sent: &SentChunk<'_>) -> Result<Chunk, Malformed> {
    Chunk::from_sent(sent, message.slice_ref(sent.body))
}
