//! The row of a durable consumer: its settings, and how far it is.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::seal::{self, Sort};
use super::wire::{Bounded, put, take_all};
use crate::event::{BranchName, Place, SessionId};
use crate::limits::{MAX_CONSUMER_LANES, MAX_CONSUMER_PATTERNS};

/// The first byte of every row. A later layout takes another number.
const LAYOUT: u8 = 1;
/// The first byte of a row that begins with a time; the rest is a row of the other layout.
const LAYOUT_SINCE: u8 = 2;

/// Everything that is kept of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRow {
    /// Drawn when it was made: one that is made again under the same name has another.
    pub id: [u8; 16],
    /// When it was made, in microseconds since the epoch.
    pub created: i64,
    /// What it was made with.
    pub settings: SettingsRow,
    /// It takes no event that was recorded before this, in microseconds since the epoch.
    pub since: Option<i64>,
    /// Every event up to this position is resolved, except what lanes hold.
    pub scanned: u64,
    /// The number of the next delivery.
    pub next_delivery: u64,
    /// How many events were acknowledged.
    pub acknowledged: u64,
    /// How many became dead letters.
    pub set_aside: u64,
    /// Branches that are not resolved up to there.
    pub lanes: Vec<LaneRow>,
}

/// What a consumer was made with. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsRow {
    /// The only session that it reads.
    pub session: Option<SessionId>,
    /// Globs of types that it takes; none takes all.
    pub types: Vec<String>,
    /// Globs of types that it does not take.
    pub except: Vec<String>,
    /// The least priority that it takes.
    pub priority: u8,
    /// How long a delivery may take.
    pub deadline: u64,
    /// How often an event is delivered at the most.
    pub max_deliveries: u32,
    /// How many events are out at once at the most.
    pub max_in_flight: u32,
    /// How long an event that failed waits the first time …
    pub backoff: u64,
    /// … and at the most.
    pub max_backoff: u64,
    /// How many dead letters are kept at the most.
    pub max_dead_letters: u32,
}

/// A branch that is not resolved up to where the consumer has looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The branch.
    pub place: Place,
    /// Events that wait: after this sequence and its position, up to this sequence.
    pub rest: Option<(u64, u64, u64)>,
    /// The event that was delivered and is not resolved.
    pub head: Option<DeliveredRow>,
}

/// An event that was delivered and is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct DeliveredRow {
    /// Its sequence.
    pub sequence: u64,
    /// Its position.
    pub position: u64,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was delivered first, in microseconds since the epoch.
    pub first: i64,
    /// It is a dead letter that was sent again.
    pub again: bool,
    /// The number of the delivery that is out; none while the event waits to be delivered again.
    pub delivery: Option<u64>,
    /// When it is delivered again, in microseconds since the epoch.
    pub due: i64,
}

#[derive(Encode, BorrowDecode)]
struct Wire<'a> {
    layout: u8,
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
    lanes: Bounded<LaneWire<'a>, { 4 * MAX_CONSUMER_LANES as u32 }>,
}

#[derive(Encode, BorrowDecode)]
struct LaneWire<'a> {
    session: &'a str,
    branch: &'a str,
    rest: Option<(u64, u64, u64)>,
    head: Option<DeliveredRow>,
}

impl<'a> LaneWire<'a> {
    fn of(lane: &'a LaneRow) -> Self {
        let (session, branch) = (lane.place.session.as_str(), lane.place.branch.as_str());
        Self { session, branch, rest: lane.rest, head: lane.head }
    }
}

impl ConsumerRow {
    /// The row's bytes, the body of a sidecar record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let s = &self.settings;
        let wire = Wire {
            layout: LAYOUT,
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
            lanes: Bounded(self.lanes.iter().map(LaneWire::of).collect()),
        };
        let mut out = Vec::with_capacity(128 + 64 * self.lanes.len());
        if let Some(since) = self.since {
            out.push(LAYOUT_SINCE);
            out.extend_from_slice(&since.to_be_bytes());
        }
        put(wire, &mut out);
        out
    }

    /// Reads a row's bytes.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`ConsumerRow::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (since, bytes) = match bytes.split_first_chunk::<9>() {
            Some(([LAYOUT_SINCE, since @ ..], rest)) => (Some(i64::from_be_bytes(*since)), rest),
            _ => (None, bytes),
        };
        let wire: Wire<'_> = take_all(bytes)?;
        if wire.layout != LAYOUT {
            return Err(Malformed::new("its layout is unknown"));
        }
        let named = |_| Malformed::new("it holds a name that is not one");
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let lane = |lane: &LaneWire<'_>| {
            let (session, branch) = (SessionId::new(lane.session), BranchName::new(lane.branch));
            let place = Place::new(session.map_err(named)?, branch.map_err(named)?);
            Ok(LaneRow { place, rest: lane.rest, head: lane.head })
        };
        Ok(Self {
            id: wire.id,
            created: wire.created,
            settings: SettingsRow {
                session: wire.session.map(SessionId::new).transpose().map_err(named)?,
                types: owned(&wire.types.0),
                except: owned(&wire.except.0),
                priority: wire.priority,
                deadline: wire.deadline,
                max_deliveries: wire.max_deliveries,
                max_in_flight: wire.max_in_flight,
                backoff: wire.backoff,
                max_backoff: wire.max_backoff,
                max_dead_letters: wire.max_dead_letters,
            },
            since,
            scanned: wire.scanned,
            next_delivery: wire.next_delivery,
            acknowledged: wire.acknowledged,
            set_aside: wire.set_aside,
            lanes: wire.lanes.0.iter().map(lane).collect::<Result<_, _>>()?,
        })
    }
}

/// What the token of a delivery says, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, BorrowDecode)]
pub struct TokenParts {
    /// The store's id.
    pub store: [u8; 16],
    /// The consumer's id.
    pub consumer: [u8; 16],
    /// The number of the delivery.
    pub delivery: u64,
    /// The event's position.
    pub position: u64,
}

impl TokenParts {
    /// The token's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = seal::open(50);
        put(self, &mut out);
        seal::close(Sort::Token, out)
    }

    /// Reads a token's bytes.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`TokenParts::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal(Sort::Token, bytes)?)
    }
}
