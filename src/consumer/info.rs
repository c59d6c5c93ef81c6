//! What is kept of consumers, as a listing shows it.

use super::config::ConsumerConfig;
use super::kept::Kept;
use super::token::Token;
use crate::codec::{ConsumerRow, TokenParts};
use crate::delivery::{DeadLetterQueue, Owner, floor};
use crate::error::{Error, Result};
use crate::event::{Address, Position, Timestamp};
use crate::store::Store;

/// A durable consumer, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it was made with; the beginning is not kept.
    pub config: ConsumerConfig,
    /// Every event up to here is resolved: acknowledged, set aside, or not wanted.
    pub ack_floor: Position,
    /// How many positions that is behind what is committed.
    pub lag: u64,
    /// How many events were acknowledged.
    pub acknowledged: u64,
    /// How many times an event was set aside as a dead letter.
    pub set_aside: u64,
    /// How many dead letters there are.
    pub dead_letters: usize,
    /// Events that were delivered and are not resolved, in the order of their branches.
    pub outstanding: Vec<Outstanding>,
}

/// An event that was delivered and is not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outstanding {
    /// Where it is.
    pub at: Address,
    /// Its position.
    pub position: Position,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was delivered first.
    pub first: Timestamp,
    /// When it is delivered again, unless it is resolved before.
    pub due: Timestamp,
    /// Names the delivery that is out; none while the event waits after a failure.
    pub token: Option<Token>,
}

/// The settings that are recorded.
pub(super) fn config_of(name: &str, row: &ConsumerRow) -> Result<ConsumerConfig> {
    let broken = |e: crate::event::Invalid| Error::corrupt(format!("consumer {name}"), e.to_string());
    ConsumerConfig::of_row(&row.settings).map_err(broken)
}

impl ConsumerInfo {
    fn new(store: &Store, kept: &Kept) -> Result<Self> {
        let committed = store.committed();
        let (name, row, lanes) = (kept.name(), &kept.row, kept.lanes());
        let resolved = lanes.iter().map(floor).fold(row.scanned, u64::min);
        let of = *store.id().bytes();
        let reader = store.reader()?;
        let token = |delivery, position| {
            let mark = reader.mark_at(Position::new(position)).ok().flatten();
            Token(TokenParts { store: of, consumer: row.id, delivery, position, mark })
        };
        let outstanding = lanes.iter().filter_map(|lane| {
            let head = lane.head?;
            Some(Outstanding {
                at: Address::from(lane.place.clone()).at(head.sequence),
                position: Position::new(head.position),
                deliveries: head.deliveries,
                first: Timestamp::from_micros(head.first),
                due: Timestamp::from_micros(head.due.max(head.first)),
                token: head.delivery.map(|delivery| token(delivery, head.position)),
            })
        });
        let config = config_of(name, row)?;
        Ok(Self {
            name: name.to_owned(),
            created: Timestamp::from_micros(row.created),
            ack_floor: Position::new(resolved),
            lag: committed.get().saturating_sub(resolved),
            acknowledged: row.acknowledged,
            set_aside: row.set_aside,
            dead_letters: DeadLetterQueue::stored(&store.handle(), Owner::consumer(name)?)?,
            outstanding: outstanding.collect(),
            config,
        })
    }
}

pub(super) fn list(store: &Store) -> Result<Vec<ConsumerInfo>> {
    let all = Kept::read_all(&store.reader()?.records())?;
    all.iter().map(|kept| ConsumerInfo::new(store, kept)).collect()
}

pub(super) fn info(store: &Store, name: &str) -> Result<ConsumerInfo> {
    let kept = Kept::read(&store.reader()?.records(), name)?;
    ConsumerInfo::new(store, &kept.ok_or_else(|| Error::not_found("consumer", name))?)
}
