//! What every handle of one open store shares.

use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard};

use super::attached::Attached;
use super::behind::Behind;
use super::branches::Branches;
use super::db::Db;
use super::hook::CommitHook;
use super::options::Options;
use super::problem::Problem;
use super::process::Process;
use super::recent::Recent;
use super::ring::JournalFile;
use super::settle::ToFlush;
use super::settler::Settler;
use super::sync::read;
use super::tail::Tail;
use super::upgraded::Upgraded;
use super::view::SharedView;
use super::writer::Writer;
use crate::codec::{Counts, FORMAT, JournalMark, Meta};
use crate::error::{Error, Result};
use crate::event::{Position, StoreId, Timestamp};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) process: Process,
    pub(super) id: StoreId,
    pub(super) created: Timestamp,
    /// The format of the file: an earlier one in a store that is only read.
    pub(super) format: u32,
    pub(super) upgraded: Option<Upgraded>,
    /// What could not be read as the store was opened, and was gone without.
    pub(super) damage: Vec<Problem>,
    pub(super) name: String,
    pub(super) options: Options,
    /// `None` once the store is closed.
    pub(super) db: RwLock<Option<Arc<Db>>>,
    pub(super) tail: RwLock<Tail>,
    pub(super) branches: Branches,
    pub(super) view: SharedView,
    pub(super) recent: Recent,
    pub(super) writer: Writer,
    pub(super) settler: Settler,
    pub(super) journal: JournalFile,
    pub(super) hook: OnceLock<Arc<dyn CommitHook>>,
    pub(super) behind: OnceLock<Arc<dyn Behind>>,
    pub(super) attached: Attached,
}

impl Shared {
    pub(super) fn db(&self) -> Result<Arc<Db>> {
        self.process.check()?;
        read(&self.db).clone().ok_or(Error::Closed { after: None })
    }

    /// The recent events.
    pub(super) fn tail(&self) -> Result<RwLockReadGuard<'_, Tail>> {
        self.process.check()?;
        Ok(read(&self.tail))
    }

    /// The last position that is committed; zero in another process, where the tail may be locked for ever.
    pub(super) fn committed(&self) -> Position {
        self.tail().map_or(Position::ZERO, |tail| Position::new(tail.committed()))
    }

    pub(super) fn read_only(&self) -> bool {
        self.options.read_only
    }

    /// The meta row once these items are settled.
    pub(super) fn meta(
        &self,
        items: &[ToFlush<'_>],
        next_branch: u64,
        counts: Counts,
        journal: JournalMark,
    ) -> Meta {
        let settled = match items.last() {
            Some(item) => item.event.position().get(),
            None => read(&self.tail).settled(),
        };
        let (store, created) = (*self.id.bytes(), self.created.micros());
        Meta { format: FORMAT, store, created, settled, next_branch, journal, counts }
    }
}
