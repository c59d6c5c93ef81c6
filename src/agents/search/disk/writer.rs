//! Changing an index. What is changed is there for everybody once a manifest says so.

use std::collections::HashSet;
use std::sync::Arc;

use super::builder::Builder;
use super::folder::{Folder, Lock};
use super::manifest::Manifest;
use super::merge::merge;
use super::row::Row;
use super::segment::Segment;
use super::snapshot::Snapshot;
use super::unusable::Unusable;
use crate::limits::{SEARCH_GONE_KEPT, SEARCH_MERGE_FACTOR, SEARCH_MERGED_TEXTS};

#[derive(Debug)]
pub(crate) struct Writer<'a> {
    folder: &'a Folder,
    lock: Lock,
    pub(crate) manifest: Manifest,
    segments: Vec<Arc<Segment>>,
}

impl<'a> Writer<'a> {
    /// Goes on from what is there.
    pub(crate) fn new(folder: &'a Folder, lock: Lock, snapshot: &Snapshot) -> Self {
        let (manifest, segments) = (snapshot.manifest.clone(), snapshot.segments.clone());
        folder.keep_only(&manifest, &lock);
        Self { folder, lock, manifest, segments }
    }

    /// Begins with nothing, and removes what there was.
    pub(crate) fn anew(folder: &'a Folder, lock: Lock, empty: Manifest) -> Result<Self, Unusable> {
        folder.clear(&lock)?;
        Ok(Self { folder, lock, manifest: empty, segments: Vec::new() })
    }

    /// Writes what was built, if anything, and says that everything up to here is in the index.
    pub(crate) fn add(&mut self, builder: &mut Builder, reached: u64) -> Result<(), Unusable> {
        if !builder.is_empty() {
            let meta = builder.write(self.folder.path())?;
            self.segments.push(Arc::new(Segment::open(self.folder.path(), meta)?));
        }
        self.manifest.reached = reached;
        Ok(())
    }

    /// Notes that nothing is at this position any more.
    pub(crate) fn note_gone(&mut self, position: u64) {
        let gone = &mut self.manifest.gone;
        gone.push(position);
        if gone.len() > SEARCH_GONE_KEPT {
            gone.remove(0);
        }
    }

    /// Puts the last segments together, as long as each is not much larger than those after it.
    pub(crate) fn merge_small(&mut self) -> Result<(), Unusable> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        let (mut total, end) = (u64::from(last.meta.texts), last.meta.last);
        let mut from = self.segments.len() - 1;
        while let Some(before) = from.checked_sub(1).and_then(|at| self.segments.get(at)) {
            let texts = u64::from(before.meta.texts);
            let spans = end.saturating_sub(before.meta.first) > u64::from(u32::MAX);
            if texts > total * SEARCH_MERGE_FACTOR || texts + total > SEARCH_MERGED_TEXTS || spans {
                break;
            }
            total += texts;
            from -= 1;
        }
        if self.segments.len() - from < 2 {
            return Ok(());
        }
        let parts = self.segments.split_off(from);
        if let Some(meta) = merge(self.folder.path(), &parts, &|_| true)? {
            self.segments.push(Arc::new(Segment::open(self.folder.path(), meta)?));
        }
        Ok(())
    }

    /// Positions that have a text in the index, in order, segment by segment.
    pub(crate) fn positions(&self) -> impl Iterator<Item = Result<Vec<u64>, Unusable>> + use<> {
        let segments = self.segments.clone();
        segments.into_iter().map(|segment| {
            let mut positions: Vec<u64> = segment.rows()?.into_iter().map(|row| row.position).collect();
            positions.dedup();
            Ok(positions)
        })
    }

    /// Removes the texts at these positions, with their words.
    pub(crate) fn remove(&mut self, gone: &HashSet<u64>) -> Result<(), Unusable> {
        let stays = |row: &Row| !gone.contains(&row.position);
        let mut kept = Vec::new();
        for segment in std::mem::take(&mut self.segments) {
            if segment.rows()?.iter().all(stays) {
                kept.push(segment);
            } else if let Some(meta) = merge(self.folder.path(), &[segment], &stays)? {
                kept.push(Arc::new(Segment::open(self.folder.path(), meta)?));
            }
        }
        self.segments = kept;
        Ok(())
    }

    /// Everybody sees it as it is now.
    pub(crate) fn commit(&mut self) -> Result<Arc<Snapshot>, Unusable> {
        self.manifest.segments = self.segments.iter().map(|segment| segment.meta.clone()).collect();
        let bytes = self.folder.put(&self.manifest, &self.lock)?;
        Ok(Snapshot::written(self.manifest.clone(), self.segments.clone(), bytes))
    }

    /// From here on the store is looked through for what is gone.
    pub(crate) fn begin_sweep(&self) -> Result<(), Unusable> {
        Ok(self.folder.begin_sweep(&self.lock)?)
    }

    /// Says that the words of what was purged by then are gone. It is committed.
    pub(crate) fn has_swept(&self) -> Result<(), Unusable> {
        Ok(self.folder.has_swept(&self.lock)?)
    }
}
