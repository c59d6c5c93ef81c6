//! Where a fork leaves its source: after an event, or within one.

use bytes::Bytes;
use retold::{Error, Filter, Pattern, Query, Store};

use super::asked::NewFork;
use super::directory::Live;
use super::offset::{Offset, START};
use super::path::StreamPath;
use super::payloads::{DATA, is_of_messages};
use super::record::ForkedFrom;
use crate::input::invalid;
use crate::problem::Problem;

/// Messages that a sub-offset goes past at the most.
const MOST_MESSAGES: u64 = 100_000;

/// The place of a fork in its source.
#[derive(Debug)]
pub(super) struct Cut {
    /// The offset that was asked for.
    pub(super) asked: u64,
    /// The last sequence that is inherited.
    pub(super) after: u64,
    /// The beginning of what follows, which the fork has as its own.
    pub(super) rest: Option<Bytes>,
}

impl NewFork {
    /// The path of the source, which is a stream of its own.
    pub(super) fn path(&self) -> Result<&str, Problem> {
        match &self.from {
            StreamPath::Own(path) => Ok(path),
            StreamPath::Branch(_) => {
                let what = "is a session: fork it with /v1/sessions/…/branches, not as a stream";
                Err(invalid("Stream-Forked-From", what))
            }
        }
    }

    /// Whether this is what a fork was made from. Without an offset, it is whatever the end was.
    pub(super) fn is_of(&self, row: &ForkedFrom) -> bool {
        let is_from = matches!(&self.from, StreamPath::Own(path) if *path == row.path);
        let is_at = match self.at {
            None => true,
            Some(Offset::Start) => row.at == START,
            Some(Offset::Now) => true,
            Some(Offset::After(at)) => row.at == at.max(START),
        };
        is_from && is_at && self.sub == row.sub
    }
}

/// Where the fork leaves.
pub(super) fn cut(store: &Store, source: &Live, fork: &NewFork) -> Result<Cut, Problem> {
    let name = "Stream-Fork-Offset";
    let asked = fork.at.unwrap_or(Offset::Now).resolved(name, START, source.end())?;
    if fork.sub == 0 {
        return Ok(Cut { asked, after: asked, rest: None });
    }
    let data = |limit| -> Result<_, Error> {
        let query = Query::branch(source.entry.row.address()?)?.from(asked + 1).to(source.end()).raw();
        store.events(query.filter(Filter::new().pattern(Pattern::new(DATA)?)).limit(limit))
    };
    if is_of_messages(&source.entry.row.content_type) {
        if fork.sub > MOST_MESSAGES {
            return Err(beyond());
        }
        let count = usize::try_from(fork.sub).unwrap_or(usize::MAX);
        let mut last = None;
        let mut found = 0;
        for event in data(count)? {
            (last, found) = (Some(event?.sequence().get()), found + 1);
        }
        return match last {
            Some(after) if found == count => Ok(Cut { asked, after, rest: None }),
            _ => Err(beyond()),
        };
    }
    let next = data(1)?.next().transpose()?.ok_or_else(beyond)?;
    let (sequence, bytes) = (next.sequence().get(), next.payload_bytes());
    let sub = usize::try_from(fork.sub).unwrap_or(usize::MAX);
    match sub.cmp(&bytes.len()) {
        std::cmp::Ordering::Less => {
            Ok(Cut { asked, after: sequence.saturating_sub(1), rest: Some(bytes.slice(..sub)) })
        }
        std::cmp::Ordering::Equal => Ok(Cut { asked, after: sequence, rest: None }),
        std::cmp::Ordering::Greater => Err(beyond()),
    }
}

fn beyond() -> Problem {
    invalid("Stream-Fork-Sub-Offset", "is beyond what was appended after this offset")
}
