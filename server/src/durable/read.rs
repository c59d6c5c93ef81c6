//! Reading a stream: a part of it, from an offset on.

use bytes::Bytes;
use retold::agents::interop::json;
use retold::event::Address;
use retold::{BranchInfo, Error, Event, Query, Store};

use super::directory::{Directory, Found, Live};
use super::offset::{Offset, START};
use super::path::StreamPath;
use super::payloads::{data, is_of_messages};
use super::refusals::{deleted, missing};
use crate::problem::Problem;

/// Bytes after which a part ends.
const PART_BYTES: usize = 1024 * 1024;
/// Events that are looked at for a part.
const PART_EVENTS: usize = 16_384;

/// A stream to read: one of its own, or a branch of a session.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) address: Address,
    pub(super) content_type: String,
    pub(super) incarnation: String,
    pub(super) ttl: Option<u64>,
    /// In microseconds since the epoch.
    pub(super) expires: Option<i64>,
    pub(super) is_closed: bool,
    /// The offset before everything, and the one after it.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Whether its events themselves are what is read.
    is_branch: bool,
}

impl Source {
    /// The stream at a path. Blocks.
    pub(super) fn find(store: &Store, path: &StreamPath) -> Result<Self, Problem> {
        match path {
            StreamPath::Own(path) => match Directory::of(store)?.find(path)? {
                Found::Live(live) => Ok(Self::of_stream(&live)?),
                Found::Gone => Err(deleted()),
                Found::Nothing(_) => Err(missing()),
            },
            StreamPath::Branch(address) => Ok(Self::of_branch(store.branch(address)?)),
        }
    }

    fn of_stream(live: &Live) -> Result<Self, Error> {
        let row = &live.entry.row;
        Ok(Self {
            address: row.address()?,
            content_type: row.content_type.clone(),
            incarnation: row.incarnation.clone(),
            ttl: row.ttl,
            expires: row.expires,
            is_closed: live.is_closed(),
            start: START.max(live.branch.first.get().saturating_sub(1)),
            end: live.end(),
            is_branch: false,
        })
    }

    fn of_branch(branch: BranchInfo) -> Self {
        Self {
            content_type: retold::event::JSON.to_owned(),
            // Another branch of this name began at another time.
            incarnation: format!("{:x}", branch.created.micros()),
            ttl: None,
            expires: None,
            is_closed: branch.closed.is_some(),
            start: branch.first.get().saturating_sub(1),
            end: branch.head.get(),
            is_branch: true,
            address: branch.place.into(),
        }
    }

    /// Whether it has messages in place of bytes.
    pub(super) fn is_of_messages(&self) -> bool {
        is_of_messages(&self.content_type)
    }

    /// What is read of an event; nothing of one that is not the stream's.
    pub(super) fn data(&self, event: &Event) -> Option<Bytes> {
        if !self.is_branch {
            return data(event);
        }
        let mut text = Vec::new();
        json::write(event, json::Style::Exact, &mut text);
        Some(text.into())
    }
}

/// A part of a stream.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The offsets before and after it.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) data: Vec<Bytes>,
    /// Nothing comes after it so far.
    pub(super) is_last: bool,
    /// Nothing comes after it at all.
    pub(super) is_end: bool,
}

/// Reads a part. Blocks.
pub(super) fn part(store: &Store, source: &Source, offset: Offset) -> Result<Part, Problem> {
    let from = match offset {
        Offset::After(after) if after < source.start => {
            return Err(Error::Truncated {
                place: source.address.place().clone(),
                first: (source.start + 1).into(),
            }
            .into());
        }
        offset => offset.resolved("offset", source.start, source.end)?,
    };
    let mut part = Part { from, to: from, data: Vec::new(), is_last: false, is_end: false };
    let mut bytes = 0;
    if from < source.end {
        let query = Query::branch(&source.address)?.from(from + 1).to(source.end).limit(PART_EVENTS).raw();
        for event in store.events(query)? {
            let event = event?;
            part.to = event.sequence().get();
            if let Some(data) = source.data(&event) {
                bytes += data.len();
                part.data.push(data);
            }
            if bytes >= PART_BYTES {
                break;
            }
        }
    } else if source.ttl.is_some() {
        touch(store, &source.address, source.end)?;
    }
    part.is_last = part.to >= source.end;
    part.is_end = part.is_last && source.is_closed;
    Ok(part)
}

/// Reads the last event, which counts as a use of its branch. Nothing is written for it now.
pub(super) fn touch(store: &Store, address: &Address, end: u64) -> Result<(), Error> {
    let query = Query::branch(address)?.from(end).to(end).limit(1).raw();
    store.events(query)?.next().transpose().map(drop)
}
