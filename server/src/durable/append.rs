//! Appending to a stream, and closing it: one commit with what a producer has sent and what was sequenced.

use bytes::Bytes;
use retold::store::sidecar::SidecarChanges;
use retold::{Batch, Error, Expect};

use super::directory::{Directory, Found, Live};
use super::payloads::{essence, events, messages};
use super::producer::{Producer, Turn};
use super::read::touch;
use super::record::{ClosedBy, ProducerRow, StreamRow, decoded, encoded, producer_key, seq_key, stream_key};
use super::refusals::{busy, deleted, missing};
use crate::input::invalid;
use crate::problem::Problem;

/// How often it is tried again because others have changed what it relies on.
const TRIES: u32 = 16;

/// What is to be appended.
#[derive(Clone, Debug)]
pub(super) struct Append {
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
    pub(super) closes: bool,
    pub(super) seq: Option<String>,
    pub(super) producer: Option<Producer>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) outcome: Outcome,
    /// The offset after everything that the stream has.
    pub(super) end: u64,
    pub(super) is_closed: bool,
}

/// How an append ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is recorded.
    Done,
    /// It was before, as far as there is something to be recorded. With the last that was taken of the producer.
    Known(Option<ProducerRow>),
    /// The stream is closed.
    Closed,
    /// The stream has data of another type.
    OtherType { has: String },
    /// A later epoch of the producer has begun.
    Stale { epoch: u64 },
    /// An epoch begins with its first request.
    NoBeginning,
    /// A request of the producer is missing before it.
    Gap { due: u64 },
    /// The `Stream-Seq` is not after the last.
    OutOfSequence,
}

impl Append {
    /// Whether it changes records, so that those who do the same take turns.
    pub(super) fn takes_turns(&self) -> bool {
        self.closes || self.seq.is_some() || self.producer.is_some()
    }
}

/// Appends. Blocks.
pub(super) fn append(of: &Directory, path: &str, asked: &Append) -> Result<Appended, Problem> {
    for _ in 0..TRIES {
        let live = match of.find(path)? {
            Found::Live(live) => live,
            Found::Gone => return Err(deleted()),
            Found::Nothing(_) => return Err(missing()),
        };
        match decided(of, &live, asked)? {
            Decision::Over(outcome) => {
                return Ok(Appended { outcome, end: live.end(), is_closed: live.is_closed() });
            }
            Decision::Write(write) => match written(of, &live, asked, write) {
                Ok(end) => return Ok(Appended { outcome: Outcome::Done, end, is_closed: asked.closes }),
                // Somebody was faster, or the stream has gone or was closed in this moment: look again.
                Err(
                    Error::RecordChanged { .. }
                    | Error::Deleted { .. }
                    | Error::NotFound { .. }
                    | Error::BranchClosed { .. },
                ) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
    Err(busy())
}

/// What is to be done.
enum Decision {
    Over(Outcome),
    Write(Write),
}

/// What is to be written.
struct Write {
    messages: Vec<Bytes>,
    /// What is kept of the producer, and of the sequence, as it was read.
    producer: Option<(String, Option<Vec<u8>>)>,
    seq: Option<Option<Vec<u8>>>,
}

fn decided(of: &Directory, live: &Live, asked: &Append) -> Result<Decision, Problem> {
    let row = &live.entry.row;
    let is_empty = asked.body.is_empty();
    if live.is_closed() {
        return Ok(Decision::Over(when_closed(row, asked, is_empty)));
    }
    if is_empty && !asked.closes {
        return Err(invalid("body", "is empty: only what closes a stream may be"));
    }
    let mut data = Vec::new();
    if !is_empty {
        let given = asked.content_type.as_ref().ok_or_else(|| invalid("Content-Type", "is missing"))?;
        if essence(given) != essence(&row.content_type) {
            return Ok(Decision::Over(Outcome::OtherType { has: row.content_type.clone() }));
        }
        data = messages(&row.content_type, &asked.body)?;
        if data.is_empty() {
            return Err(invalid("body", "is an empty array: there is nothing to append"));
        }
    }
    let mut producer = None;
    if let Some(sent) = &asked.producer {
        let key = producer_key(&row.incarnation, &sent.id);
        let stored = of.sidecar().get(key.as_bytes())?;
        let before = stored.as_deref().map(|of| decoded::<ProducerRow>(&key, of)).transpose()?;
        match sent.turn(before) {
            Turn::Next => producer = Some((key, stored)),
            Turn::Taken(last) => return Ok(Decision::Over(Outcome::Known(Some(last)))),
            Turn::Stale { epoch } => return Ok(Decision::Over(Outcome::Stale { epoch })),
            Turn::NoBeginning => return Ok(Decision::Over(Outcome::NoBeginning)),
            Turn::Gap { due } => return Ok(Decision::Over(Outcome::Gap { due })),
        }
    }
    let mut seq = None;
    if let Some(sent) = &asked.seq {
        let stored = of.sidecar().get(seq_key(&row.incarnation).as_bytes())?;
        if stored.as_deref().is_some_and(|last| sent.as_bytes() <= last) {
            return Ok(Decision::Over(Outcome::OutOfSequence));
        }
        seq = Some(stored);
    }
    Ok(Decision::Write(Write { messages: data, producer, seq }))
}

/// Closing again what is closed goes well, and so does the request that closed it.
fn when_closed(row: &StreamRow, asked: &Append, is_empty: bool) -> Outcome {
    let closed_by = row.closed.as_ref().and_then(|closed| closed.producer.as_ref());
    match &asked.producer {
        Some(sent) if closed_by == Some(&sent.tuple()) => Outcome::Known(Some(sent.row())),
        None if is_empty && asked.closes => Outcome::Known(None),
        _ => Outcome::Closed,
    }
}

/// Writes it, and answers with the offset after it.
fn written(of: &Directory, live: &Live, asked: &Append, write: Write) -> Result<u64, Error> {
    let row = &live.entry.row;
    let key = stream_key(&live.entry.path);
    let mut changes: SidecarChanges = of.sidecar().changes().expect(&key, Some(live.entry.stored.clone()));
    if let (Some((key, stored)), Some(sent)) = (write.producer, &asked.producer) {
        changes = changes.expect(&key, stored).put(&key, encoded(&sent.row()));
    }
    if let (Some(stored), Some(sent)) = (write.seq, &asked.seq) {
        let key = seq_key(&row.incarnation);
        changes = changes.expect(&key, stored).put(&key, sent.as_bytes());
    }
    if asked.closes {
        let producer = asked.producer.as_ref().map(Producer::tuple);
        let mut closed = row.clone();
        closed.closed = Some(ClosedBy { producer });
        changes = changes.put(&key, encoded(&closed));
    }
    let address = row.address()?;
    let end = if write.messages.is_empty() {
        of.sidecar().write(changes)?;
        // Nothing comes after that; what came before it is counted.
        let end = of.store().head(&address)?.get();
        touch(of.store(), &address, end)?;
        end
    } else {
        let all: Vec<_> = events(&row.content_type, write.messages).collect();
        let batch = Batch::new().add(&address, Expect::Any, all)?.only(&live.branch);
        of.store().append_batch(batch.sidecar(changes)?)?.last().get()
    };
    if asked.closes
        && let Err(error) = of.close(row)
    {
        // It is closed all the same; those who follow it elsewhere find out later.
        tracing::warn!(%error, "the branch of a closed stream can't be closed");
    }
    Ok(end)
}
