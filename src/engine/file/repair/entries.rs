//! What a damaged journal still holds: entries behind a hole, and flushed ones that nothing has overwritten yet.

use std::collections::HashMap;

use bytes::Bytes;
use redb::StorageBackend;

use crate::codec::{ENTRY_HEADER, EntryHead, Frame, JournalMark, decode_entry, entry_size, unproven_entry};
use crate::engine::file::disk::journal::JournalFile;
use crate::engine::file::disk::last_commit::LastCommitPages;
use crate::engine::file::tables::pages::read_in_parts;
use crate::engine::problem::Problem;
use crate::limits::JOURNAL_ALIGN;

/// The readable commits of a journal.
#[derive(Default)]
pub(super) struct Entries {
    /// In order, each with its number. A number that is left out is a hole.
    pub(super) frames: Vec<(u64, Bytes)>,
    /// First and last number of what was acknowledged and cannot be read. Without a mark, that is every hole: whether what
    /// was in it is in the tables, the journal does not say.
    pub(super) missing: Vec<(u64, u64)>,
    pub(super) damage: Vec<Problem>,
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
        let (bytes, damage) = region(&*source.file, source.region.start, source.region.len, len);
        let found = match (is_proven, mark) {
            (true, mark) => Self::proven(source, &bytes, mark),
            (false, Some(mark)) => Self::unproven(&bytes, mark),
            (false, None) => Self { missing: looks_like(&bytes, 0).into_iter().collect(), ..Self::default() },
        };
        Self { damage, ..found }
    }

    fn proven(source: &JournalFile, bytes: &Bytes, mark: Option<JournalMark>) -> Self {
        let last = LastCommitPages::read(&source.file, source.last_commit, &source.secret);
        let last = last.number().unwrap_or_default();
        let chain = Chain { index: index(&source.secret, bytes) };
        let (found, missing) = match mark.or_else(|| chain.oldest()) {
            Some(mark) => chain.around(mark, last),
            None => (Vec::new(), (last > 0).then_some((last, last)).into_iter().collect()),
        };
        let frame = |found: Found| {
            let begin = found.at + ENTRY_HEADER;
            (found.head.number, bytes.slice(begin..begin + found.head.len))
        };
        let frames = found.into_iter().map(frame).collect();
        Self { frames, missing, damage: Vec::new() }
    }

    fn unproven(bytes: &Bytes, mark: JournalMark) -> Self {
        let (mut at, mut next, mut chain) = (mark.at, mark.next, mark.chain);
        let mut frames = Vec::new();
        loop {
            let found = [at, 0].into_iter().find_map(|at| {
                let at = usize::try_from(at).ok()?;
                let (head, frame) = readable(bytes, at)?;
                let fits = head.number == next && head.previous == chain;
                fits.then_some((at, head, frame))
            });
            let Some((begin, head, frame)) = found else { break };
            frames.push((head.number, frame));
            (at, next, chain) = ((begin + entry_size(head.len)) as u64, next + 1, head.sum);
        }
        // What lies behind a hole is not taken: anybody could have written it. But it shows that there was more.
        let missing = looks_like(bytes, next).into_iter().collect();
        Self { frames, missing, damage: Vec::new() }
    }
}

/// The first and the last number, from this one on, of what looks like entries.
fn looks_like(bytes: &Bytes, next: u64) -> Option<(u64, u64)> {
    let most = match next {
        0 => u64::MAX,
        _ => next.saturating_add((bytes.len() / ENTRY_HEADER) as u64),
    };
    // Headers can be made up to be looked at for long.
    let mut looked_at = 0;
    let numbers = (0..bytes.len()).step_by(JOURNAL_ALIGN).filter_map(|at| {
        let head = unproven_entry(bytes.get(at..)?).filter(|head| (next..most).contains(&head.number))?;
        looked_at += head.len;
        (looked_at <= 2 * bytes.len()).then(|| readable(bytes, at)).flatten().map(|(head, _)| head.number)
    });
    let found = numbers.fold(None, |found: Option<(u64, u64)>, number| {
        let (first, last) = found.unwrap_or((number, number));
        Some((first.min(number), last.max(number)))
    });
    found.map(|(first, last)| (if next > 0 { next } else { first }, last))
}

/// What looks like an entry, with a frame that can be read.
fn readable(bytes: &Bytes, at: usize) -> Option<(EntryHead, Bytes)> {
    let head = unproven_entry(bytes.get(at..)?)?;
    let begin = at + ENTRY_HEADER;
    let frame = bytes.slice(begin..begin + head.len);
    Frame::decode(&frame).is_ok().then_some((head, frame))
}

/// What the file has of the journal; zeros where it ends early or cannot be read.
fn region(file: &dyn StorageBackend, start: u64, size: u64, len: u64) -> (Bytes, Vec<Problem>) {
    let there = len.saturating_sub(start).min(size);
    let (mut bytes, damage) = read_in_parts(file, start, there).unwrap_or_default();
    bytes.resize(usize::try_from(size).unwrap_or_default(), 0);
    (Bytes::from(bytes), damage)
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

    /// The mark from which on there is anything.
    fn oldest(&self) -> Option<JournalMark> {
        let number = *self.index.keys().min()?;
        let first = self.all(number).first()?;
        Some(JournalMark { at: 0, next: number, chain: first.head.previous })
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
