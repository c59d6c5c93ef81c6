//! What a damaged journal still holds: entries behind a hole, and flushed ones that nothing has overwritten yet.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use redb::StorageBackend;

use crate::codec::{ENTRY_HEADER, EntryHead, Frame, JournalMark, decode_entry, entry_size, unproven_entry};
use crate::engine::file::disk::journal::JournalFile;
use crate::engine::file::disk::last_commit::LastCommitPages;
use crate::limits::JOURNAL_ALIGN;

/// The readable commits of a journal.
#[derive(Default)]
pub(super) struct Entries {
    /// In order, each with its number.
    pub(super) frames: Vec<(u64, Bytes)>,
    /// First and last number of what was acknowledged and cannot be read.
    pub(super) missing: Vec<(u64, u64)>,
}

/// An entry and where its frame lies in the region.
#[derive(Clone, Copy)]
struct Found {
    at: usize,
    head: EntryHead,
}

impl Entries {
    /// Reads the region. `mark` is where the unflushed part begins, if that is known; without the secret nothing is proven, and
    /// only what follows it in one chain is taken.
    pub(super) fn read(source: &JournalFile, len: u64, is_proven: bool, mark: Option<JournalMark>) -> Self {
        let bytes = region(&source.file, source.region.start, source.region.len, len);
        if !is_proven {
            return mark.map_or_else(Self::default, |mark| Self::unproven(&bytes, mark));
        }
        let last = LastCommitPages::read(&source.file, source.last_commit, &source.secret);
        let last = last.number().unwrap_or_default();
        let index = index(&source.secret, &bytes);
        let chain = Chain { index };
        let found = match mark {
            Some(mark) => chain.around(mark, last),
            None => chain.newest(),
        };
        let frame = |found: Found| {
            let begin = found.at + ENTRY_HEADER;
            (found.head.number, bytes.slice(begin..begin + found.head.len))
        };
        Self { frames: found.0.into_iter().map(frame).collect(), missing: found.1 }
    }

    fn unproven(bytes: &Bytes, mark: JournalMark) -> Self {
        let (mut at, mut next, mut chain) = (mark.at, mark.next, mark.chain);
        let mut frames = Vec::new();
        loop {
            let found = [at, 0].into_iter().find_map(|at| {
                let at = usize::try_from(at).ok()?;
                let head = unproven_entry(bytes.get(at..)?)?;
                let begin = at + ENTRY_HEADER;
                let frame = bytes.slice(begin..begin + head.len);
                let fits = head.number == next && head.previous == chain && Frame::decode(&frame).is_ok();
                fits.then_some((at, head, frame))
            });
            let Some((begin, head, frame)) = found else { return Self { frames, missing: Vec::new() } };
            frames.push((head.number, frame));
            (at, next, chain) = ((begin + entry_size(head.len)) as u64, next + 1, head.sum);
        }
    }
}

/// What the file has of the journal; zeros where it ends early.
fn region(file: &Arc<dyn StorageBackend>, start: u64, size: u64, len: u64) -> Bytes {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    let there = usize::try_from(len.saturating_sub(start).min(size)).unwrap_or_default();
    let read = bytes.get_mut(..there).map(|part| file.read(start, part));
    if !matches!(read, Some(Ok(()))) {
        bytes.fill(0);
    }
    Bytes::from(bytes)
}

/// Every entry of this file, by its number.
fn index(secret: &[u8; 16], bytes: &Bytes) -> HashMap<u64, Vec<Found>> {
    let mut index: HashMap<u64, Vec<Found>> = HashMap::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match decode_entry(secret, rest) {
            Some(head) => {
                index.entry(head.number).or_default().push(Found { at, head });
                at += entry_size(head.len);
            }
            None => at += JOURNAL_ALIGN,
        }
    }
    index
}

struct Chain {
    index: HashMap<u64, Vec<Found>>,
}

impl Chain {
    fn all(&self, number: u64) -> &[Found] {
        self.index.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    fn with_sum(&self, number: u64, sum: u64) -> Option<Found> {
        self.all(number).iter().find(|found| found.head.sum == sum).copied()
    }

    fn after(&self, number: u64, sum: u64) -> Option<Found> {
        self.all(number).iter().find(|found| found.head.previous == sum).copied()
    }

    /// The entries before this one, each by the checksum in the one after it; oldest first.
    fn before(&self, mut number: u64, mut sum: u64) -> Vec<Found> {
        let mut found = Vec::new();
        while let Some(entry) = number.checked_sub(1).and_then(|before| self.with_sum(before, sum)) {
            (number, sum) = (entry.head.number, entry.head.previous);
            found.push(entry);
        }
        found.reverse();
        found
    }

    fn extend(&self, found: &mut Vec<Found>) {
        while let Some(last) = found.last() {
            let Some(next) = self.after(last.head.number + 1, last.head.sum) else { return };
            found.push(next);
        }
    }

    /// All that leads to the newest entry.
    fn newest(&self) -> (Vec<Found>, Vec<(u64, u64)>) {
        let Some(last) = self.index.keys().max().and_then(|last| self.all(*last).first().copied()) else {
            return (Vec::new(), Vec::new());
        };
        let mut found = self.before(last.head.number, last.head.previous);
        found.push(last);
        (found, Vec::new())
    }

    /// What was flushed before the mark, what follows it, and what was acknowledged behind a hole. `last` is the commit that is
    /// known to have been acknowledged.
    fn around(&self, mark: JournalMark, last: u64) -> (Vec<Found>, Vec<(u64, u64)>) {
        let mut found = self.before(mark.next, mark.chain);
        let mut next = mark.next;
        if let Some(first) = self.after(mark.next, mark.chain) {
            found.push(first);
            self.extend(&mut found);
            next = found.last().map_or(next, |last| last.head.number + 1);
        }
        // An entry that was written after a sync proves that those before it were acknowledged.
        let later = self.index.iter().filter(|(number, _)| **number > next);
        let proof = later.filter(|(_, found)| found.iter().any(|found| found.head.synced));
        let proven = proof.map(|(number, _)| *number).max().unwrap_or_default().max(last);
        let mut behind: Vec<Found> = Vec::new();
        let mut missing: Vec<(u64, u64)> = Vec::new();
        let mut sum = None;
        for number in (next..=proven).rev().take(self.index.len() + usize::from(u16::MAX)) {
            let entry = match sum {
                Some(sum) => self.with_sum(number, sum),
                None => self.all(number).first().copied(),
            };
            sum = entry.map(|entry| entry.head.previous);
            match (entry, missing.last_mut()) {
                (Some(entry), _) => behind.push(entry),
                (None, Some((first, _))) if *first == number + 1 => *first = number,
                (None, _) => missing.push((number, number)),
            }
        }
        behind.reverse();
        missing.reverse();
        self.extend(&mut behind);
        found.extend(behind);
        (found, missing)
    }
}
