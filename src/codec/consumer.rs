//! The records of a durable consumer: a header with its settings and how far it is, and one for each branch with something
//! unresolved.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::seal::{self, SealKind};
use super::wire::{Bounded, put, take_all};
use crate::event::{BranchName, Place, SessionId};
use crate::limits::{MAX_CONSUMER_LANES, MAX_CONSUMER_PATTERNS};

/// The first byte of a row that holds its branches itself, as rows did before branches had records of their own.
const LAYOUT_WHOLE: u8 = 1;
/// The first byte of such a row that begins with a time; the rest is a row of the other layout.
const LAYOUT_SINCE: u8 = 2;
/// The first byte of a header.
const LAYOUT_HEADER: u8 = 3;
/// The first byte of a header with a mark behind it.
const LAYOUT_MARKED: u8 = 4;
/// The first byte of the record of a branch.
const LAYOUT_LANE: u8 = 1;

/// The header of a consumer: everything that is kept of it but its branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRow {
    /// Random: a consumer that is created again under the same name has another.
    pub id: [u8; 16],
    /// When it was created, in microseconds since the epoch.
    pub created: i64,
    /// The settings it was created with.
    pub settings: SettingsRow,
    /// Counts the commits that changed the consumer.
    pub turn: u64,
    /// Drawn by whoever made the last of them.
    pub writer: u64,
    /// It takes no event that was recorded before this, in microseconds since the epoch.
    pub since: Option<i64>,
    /// Every event up to this position is resolved, except what branches hold.
    pub scanned: u64,
    /// The [mark](super::event_mark) of the event there, if it is known.
    pub mark: Option<u64>,
    /// The number of the next delivery.
    pub next_delivery: u64,
    /// The number of acknowledged events.
    pub acknowledged: u64,
    /// The number of events that became dead letters.
    pub set_aside: u64,
    /// How many branches have a record.
    pub lanes: u32,
}

/// The settings of a consumer. Durations are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsRow {
    /// The only session that it reads; `None` for all.
    pub session: Option<SessionId>,
    /// Globs of the types to include; empty for all.
    pub types: Vec<String>,
    /// Globs of the types to exclude.
    pub except: Vec<String>,
    /// The lowest priority to include.
    pub priority: u8,
    /// The ack deadline.
    pub deadline: u64,
    /// How often an event is delivered at most.
    pub max_deliveries: u32,
    /// How many events are in flight at most.
    pub max_in_flight: u32,
    /// The delay before the first retry.
    pub backoff: u64,
    /// The longest delay before a retry.
    pub max_backoff: u64,
    /// How many dead letters are kept at most.
    pub max_dead_letters: u32,
}

/// A branch with unresolved events up to where the consumer has scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The branch.
    pub place: Place,
    /// Waiting events: after this sequence, whose position comes second, up to the last number.
    pub rest: Option<(u64, u64, u64)>,
    /// The event that was delivered and is not resolved yet.
    pub head: Option<DeliveredRow>,
}

/// An event that was delivered and is not resolved yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct DeliveredRow {
    /// Its sequence.
    pub sequence: u64,
    /// Its position.
    pub position: u64,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was first delivered, in microseconds since the epoch.
    pub first: i64,
    /// It is a dead letter that was redelivered.
    pub again: bool,
    /// The number of the delivery in flight; `None` while the event waits for a retry.
    pub delivery: Option<u64>,
    /// When it is due again, in microseconds since the epoch.
    pub due: i64,
}

/// What both layouts of a consumer have.
#[derive(Encode, BorrowDecode)]
struct Core<'a> {
    id: [u8; 16],
    created: i64,
    session: Option<&'a str>,
    types: Bounded<&'a str, { MAX_CONSUMER_PATTERNS as u32 }>,
    except: Bounded<&'a str, { MAX_CONSUMER_PATTERNS as u32 }>,
    priority: u8,
    deadline: u64,
    max_deliveries: u32,
    max_in_flight: u32,
    backoff: u64,
    max_backoff: u64,
    max_dead_letters: u32,
    scanned: u64,
    next_delivery: u64,
    acknowledged: u64,
    set_aside: u64,
}

#[derive(Encode, BorrowDecode)]
struct Whole<'a> {
    layout: u8,
    core: Core<'a>,
    lanes: Bounded<LaneOfWhole<'a>, { 4 * MAX_CONSUMER_LANES as u32 }>,
}

#[derive(Encode, BorrowDecode)]
struct LaneOfWhole<'a> {
    session: &'a str,
    branch: &'a str,
    rest: Option<(u64, u64, u64)>,
    head: Option<DeliveredRow>,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    layout: u8,
    turn: u64,
    writer: u64,
    since: Option<i64>,
    lanes: u32,
    core: Core<'a>,
}

#[derive(Encode, BorrowDecode)]
struct LaneWire {
    layout: u8,
    rest: Option<(u64, u64, u64)>,
    head: Option<DeliveredRow>,
}

impl Core<'_> {
    fn row(&self, since: Option<i64>, turn: u64, writer: u64, lanes: u32) -> Result<ConsumerRow, Malformed> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Ok(ConsumerRow {
            id: self.id,
            created: self.created,
            settings: SettingsRow {
                session: self.session.map(SessionId::new).transpose().map_err(no_name)?,
                types: owned(&self.types.0),
                except: owned(&self.except.0),
                priority: self.priority,
                deadline: self.deadline,
                max_deliveries: self.max_deliveries,
                max_in_flight: self.max_in_flight,
                backoff: self.backoff,
                max_backoff: self.max_backoff,
                max_dead_letters: self.max_dead_letters,
            },
            turn,
            writer,
            since,
            scanned: self.scanned,
            mark: None,
            next_delivery: self.next_delivery,
            acknowledged: self.acknowledged,
            set_aside: self.set_aside,
            lanes,
        })
    }
}

fn no_name<E>(_: E) -> Malformed {
    Malformed::new("it holds a name that is not one")
}

impl ConsumerRow {
    fn core(&self) -> Core<'_> {
        let s = &self.settings;
        Core {
            id: self.id,
            created: self.created,
            session: s.session.as_ref().map(SessionId::as_str),
            types: Bounded(s.types.iter().map(String::as_str).collect()),
            except: Bounded(s.except.iter().map(String::as_str).collect()),
            priority: s.priority,
            deadline: s.deadline,
            max_deliveries: s.max_deliveries,
            max_in_flight: s.max_in_flight,
            backoff: s.backoff,
            max_backoff: s.max_backoff,
            max_dead_letters: s.max_dead_letters,
            scanned: self.scanned,
            next_delivery: self.next_delivery,
            acknowledged: self.acknowledged,
            set_aside: self.set_aside,
        }
    }

    /// The header's bytes, the body of a sidecar record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { turn, writer, since, lanes, .. } = *self;
        let mut out = Vec::with_capacity(168);
        let layout = if self.mark.is_some() { LAYOUT_MARKED } else { LAYOUT_HEADER };
        put(Header { layout, turn, writer, since, lanes, core: self.core() }, &mut out);
        out.extend(self.mark.map(u64::to_le_bytes).into_iter().flatten());
        out
    }

    /// The bytes that a release wrote which kept the branches in the same row.
    #[cfg(test)]
    pub(crate) fn encode_whole(&self, lanes: &[LaneRow]) -> Vec<u8> {
        let lanes = lanes.iter().map(|lane| {
            let (session, branch) = (lane.place.session.as_str(), lane.place.branch.as_str());
            LaneOfWhole { session, branch, rest: lane.rest, head: lane.head }
        });
        let mut out = Vec::new();
        if let Some(since) = self.since {
            out.push(LAYOUT_SINCE);
            out.extend_from_slice(&since.to_be_bytes());
        }
        put(Whole { layout: LAYOUT_WHOLE, core: self.core(), lanes: Bounded(lanes.collect()) }, &mut out);
        out
    }

    /// Reads a header's bytes, and the branches that a row of an older release holds itself.
    ///
    /// # Errors
    /// [`Malformed`] for anything that neither [`ConsumerRow::encode`] nor an older release writes.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<LaneRow>), Malformed> {
        if bytes.first() == Some(&LAYOUT_HEADER) {
            let Header { turn, writer, since, lanes, core, .. } = take_all(bytes)?;
            return Ok((core.row(since, turn, writer, lanes)?, Vec::new()));
        }
        if bytes.first() == Some(&LAYOUT_MARKED) {
            let (header, mark) = bytes.split_last_chunk().ok_or(Malformed::new("it ends early"))?;
            let Header { turn, writer, since, lanes, core, .. } = take_all(header)?;
            let row = core.row(since, turn, writer, lanes)?;
            return Ok((ConsumerRow { mark: Some(u64::from_le_bytes(*mark)), ..row }, Vec::new()));
        }
        let (since, bytes) = match bytes.split_first_chunk::<9>() {
            Some(([LAYOUT_SINCE, since @ ..], rest)) => (Some(i64::from_be_bytes(*since)), rest),
            _ => (None, bytes),
        };
        let whole: Whole<'_> = take_all(bytes)?;
        if whole.layout != LAYOUT_WHOLE {
            return Err(Malformed::new("its layout is unknown"));
        }
        let lane = |lane: &LaneOfWhole<'_>| {
            let session = SessionId::new(lane.session).map_err(no_name)?;
            let place = Place::new(session, BranchName::new(lane.branch).map_err(no_name)?);
            Ok(LaneRow { place, rest: lane.rest, head: lane.head })
        };
        let lanes: Vec<LaneRow> = whole.lanes.0.iter().map(lane).collect::<Result<_, _>>()?;
        let count = u32::try_from(lanes.len()).map_err(|_| Malformed::new("it holds too many branches"))?;
        Ok((whole.core.row(since, 0, 0, count)?, lanes))
    }
}

impl LaneRow {
    /// The bytes of a branch's record; its key names the branch.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        put(LaneWire { layout: LAYOUT_LANE, rest: self.rest, head: self.head }, &mut out);
        out
    }

    /// Reads the record of this branch.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`LaneRow::encode`] does not write.
    pub fn decode(place: Place, bytes: &[u8]) -> Result<Self, Malformed> {
        let LaneWire { layout, rest, head } = take_all(bytes)?;
        if layout != LAYOUT_LANE {
            return Err(Malformed::new("its layout is unknown"));
        }
        Ok(Self { place, rest, head })
    }
}

/// The contents of a delivery's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenParts {
    /// The store's id.
    pub store: [u8; 16],
    /// The consumer's id.
    pub consumer: [u8; 16],
    /// The number of the delivery.
    pub delivery: u64,
    /// The event's position.
    pub position: u64,
    /// The [mark](super::event_mark) of the event, if it is known.
    pub mark: Option<u64>,
}

/// What is always in a token.
#[derive(Encode, BorrowDecode)]
struct FirstToken {
    store: [u8; 16],
    consumer: [u8; 16],
    delivery: u64,
    position: u64,
}

impl TokenParts {
    /// The token's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let Self { store, consumer, delivery, position, mark } = self;
        let mut out = seal::open(58);
        put(FirstToken { store, consumer, delivery, position }, &mut out);
        seal::close_marked(SealKind::Token, mark, out)
    }

    /// Reads a token's bytes, of this release or an earlier one.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`TokenParts::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mark, body) = seal::unseal_marked(SealKind::Token, bytes)?;
        let FirstToken { store, consumer, delivery, position } = take_all(body)?;
        Ok(Self { store, consumer, delivery, position, mark })
    }
}
