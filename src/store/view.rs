//! The settled part as it was at some moment, with the tables that reading a branch needs already open. It is shared
//! by all readers until the next settle: a short read costs its search, not the preparations.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use redb::{ReadOnlyTable, ReadTransaction};

use super::read::Reader;
use super::shared::Shared;
use super::sync::lock;
use super::tables::{EVENTS, HEADS};
use super::trouble::{Trouble, corrupt, malformed};
use crate::codec::{Chunk, HeadRow};
use crate::error::Result;
use crate::limits::{CHUNK_BODY_BYTES, RECENT_CHUNKS};

pub(super) struct View {
    pub(super) events: ReadOnlyTable<(u64, u64), &'static [u8]>,
    heads: ReadOnlyTable<u64, &'static [u8]>,
    /// The chunks that were read last, the newest at the end: whoever reads on beside it, or the same for another
    /// purpose, does not unpack it again.
    recent: Mutex<VecDeque<Arc<Chunk>>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl View {
    fn new(txn: &ReadTransaction) -> Result<Self> {
        let (events, heads) = (txn.open_table(EVENTS).told()?, txn.open_table(HEADS).told()?);
        Ok(Self { events, heads, recent: Mutex::default() })
    }

    /// The chunk that holds this event, if it was read a moment ago.
    pub(super) fn recent(&self, branch: u64, sequence: u64) -> Option<Arc<Chunk>> {
        let holds = |c: &&Arc<Chunk>| c.branch() == branch && (c.first()..=c.last()).contains(&sequence);
        lock(&self.recent).iter().rev().find(holds).cloned()
    }

    /// Keeps a chunk for the next reader. Large ones are not held.
    pub(super) fn keep(&self, chunk: &Arc<Chunk>) {
        if chunk.bytes() > CHUNK_BODY_BYTES {
            return;
        }
        let mut recent = lock(&self.recent);
        let gone = if recent.len() >= RECENT_CHUNKS { recent.pop_front() } else { None };
        recent.push_back(chunk.clone());
        drop(recent);
        drop(gone);
    }

    /// Where the settled part of a branch ends; `None` when nothing of its own is settled.
    pub(super) fn head(&self, branch: u64) -> Result<Option<HeadRow>> {
        let place = || format!("the head of branch number {branch}");
        if let Some(row) = self.heads.get(branch).told()? {
            return HeadRow::decode(branch, row.value()).map(Some).map_err(malformed(place()));
        }
        // A lost row would make the branch look empty, and be written over.
        match self.events.range((branch, 0)..=(branch, u64::MAX)).told()?.next() {
            None => Ok(None),
            Some(_) => Err(corrupt(place(), "it is missing although the branch has events")),
        }
    }
}

/// Where a settled part of a branch ends, in a transaction of the caller's.
pub(super) fn settled_head(txn: &ReadTransaction, branch: u64) -> Result<Option<HeadRow>> {
    View::new(txn)?.head(branch)
}

/// A view that is taken when it is first needed: a reader of recent events never takes one.
pub(super) struct LazyView<'a> {
    reader: &'a Reader,
    settles: u64,
    view: OnceCell<Arc<View>>,
}

impl<'a> LazyView<'a> {
    /// For a reader that saw the tail after so many settles: the view has what had left it by then.
    pub(super) fn new(reader: &'a Reader, settles: u64) -> Self {
        Self { reader, settles, view: OnceCell::new() }
    }

    pub(super) fn get(&self) -> Result<&View> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = self.reader.view(self.settles)?;
        Ok(self.view.get_or_init(|| view))
    }
}

impl Reader {
    fn view(&self, settles: u64) -> Result<Arc<View>> {
        self.shared.process.check()?;
        if let Some((of, view)) = &*lock(&self.shared.view)
            && *of == settles
        {
            return Ok(view.clone());
        }
        let view = Arc::new(View::new(&self.db.begin_read()?)?);
        let mut kept = lock(&self.shared.view);
        if kept.as_ref().is_none_or(|(of, _)| *of < settles) {
            *kept = Some((settles, view.clone()));
        }
        Ok(view)
    }
}

impl Shared {
    /// Lets go of the view: while it is there, redb keeps the pages that it shows.
    pub(super) fn forget_view(&self) {
        let view = lock(&self.view).take();
        drop(view);
    }
}
