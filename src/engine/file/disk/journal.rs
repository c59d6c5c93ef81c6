//! The journal's bytes: entries one after another in a region at the front of the file, used as a ring. One commit is
//! one write and one sync; flushed entries are overwritten.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use redb::StorageBackend;
use tracing::warn;

use crate::codec::{
    ENTRY_HEADER, EntryHead, JournalMark, LastCommit, decode_entry, encode_entry, entry_claims, entry_size,
};
use crate::engine::file::disk::last_commit::LastCommitPages;
use crate::engine::file::redb_errors::corrupt;
use crate::error::{Error, Result};
use crate::limits::{JOURNAL_ALIGN, JOURNAL_ZEROS};

/// How many places after the last entry that look like entries are checked closely.
const MAX_LOOKALIKES: usize = 256;

/// Where the journal lies in a storage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// Where the journal is read from.
#[derive(Clone, Debug)]
pub(crate) struct JournalFile {
    pub(crate) file: Arc<dyn StorageBackend>,
    pub(crate) region: Region,
    pub(crate) secret: [u8; 16],
    /// Where the last commit is kept, in a file that has a place for it.
    pub(crate) last_commit: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Ring {
    file: Arc<dyn StorageBackend>,
    region: Region,
    secret: [u8; 16],
    /// Where the next entry goes, unless it starts a new lap.
    at: u64,
    next: u64,
    /// Checksum of the last entry.
    chain: u64,
    /// Where the oldest unflushed entry begins; `None` when all are flushed.
    oldest: Option<u64>,
    /// Where the first entry after the mark begins.
    after_mark: Option<u64>,
    marked: bool,
    /// This process has written the region up to here.
    high: u64,
    synced: bool,
    last_commit: LastCommitPages,
}

/// The region as it was read, and the valid entries in it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) ring: Ring,
    pub(crate) frames: Vec<(u64, Bytes)>,
    /// What was acknowledged after the frames and cannot be read.
    pub(crate) hole: Option<Hole>,
}

/// Commits that were acknowledged and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) first: u64,
    /// The last one that is known.
    pub(crate) last: u64,
    /// Only the record of the last commit knows that they were acknowledged.
    pub(crate) at_the_end: bool,
}

impl Hole {
    pub(crate) fn error(self) -> Error {
        let Self { first, last, at_the_end } = self;
        if at_the_end {
            let missing = match last - first {
                0 => format!("commit {first} is missing"),
                n => format!("{} commits are missing, {first} to {last}", n + 1),
            };
            return corrupt("the end of the journal", format!("{missing}; they were acknowledged"));
        }
        let reason = match last - first {
            0 | 1 => format!("it cannot be read, although the later commit {last} is there"),
            n => format!("it cannot be read, although {n} later commits are there, up to {last}"),
        };
        corrupt(format!("commit {first} of the journal"), reason)
    }
}

impl Ring {
    /// Reads what was not flushed at the mark. With `thorough`, damage is told apart from the end of the journal: the
    /// entries before it are read, and the hole is reported.
    pub(crate) fn recover(source: &JournalFile, mark: JournalMark, thorough: bool) -> Result<Recovered> {
        let region = source.region;
        if mark.at > region.len || mark.next == u64::MAX {
            return Err(corrupt("the meta row", "its start of the journal is outside the journal"));
        }
        let mut ring = Self {
            file: source.file.clone(),
            region,
            secret: source.secret,
            at: mark.at,
            next: mark.next,
            chain: mark.chain,
            oldest: None,
            after_mark: None,
            marked: false,
            high: 0,
            // redb syncs the file when it opens it for writing, including what a killed process left in the page
            // cache.
            synced: true,
            last_commit: LastCommitPages::read(&source.file, source.last_commit, &source.secret),
        };
        if !thorough && !ring.any_at(mark)? {
            let hole = ring.lost_at_the_end();
            return Ok(Recovered { ring, frames: Vec::new(), hole });
        }
        let mut bytes = vec![0; usize::try_from(region.len).map_err(|_| too_large())?];
        ring.file.read(region.start, &mut bytes).map_err(|e| unreadable(&e))?;
        let bytes = Bytes::from(bytes);
        let mut frames = Vec::new();
        while let Some((at, head)) = ring.follow(&bytes) {
            let begin = at as usize + ENTRY_HEADER;
            frames.push((head.number, bytes.slice(begin..begin + head.len)));
            ring.oldest.get_or_insert(at);
            ring.at = at + entry_size(head.len) as u64;
            ring.next += 1;
            ring.chain = head.sum;
        }
        let hole = ring.hole(&bytes).or_else(|| ring.lost_at_the_end());
        ring.high = ring.at;
        Ok(Recovered { ring, frames, hole })
    }

    /// Whether an entry that continues the mark may be there. Only headers are read.
    fn any_at(&self, mark: JournalMark) -> Result<bool> {
        for at in [mark.at, 0] {
            let mut head = [0; ENTRY_HEADER];
            if at + (ENTRY_HEADER as u64) > self.region.len {
                continue;
            }
            self.file.read(self.region.start + at, &mut head).map_err(|e| unreadable(&e))?;
            if entry_claims(&head).is_some_and(|(number, _)| number == mark.next) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next entry: where the last one ends, or at the start of a new lap.
    fn follow(&self, bytes: &Bytes) -> Option<(u64, EntryHead)> {
        [self.at, 0].into_iter().find_map(|at| {
            let head = decode_entry(&self.secret, bytes.get(usize::try_from(at).ok()?..)?)?;
            (head.number == self.next && head.previous == self.chain).then_some((at, head))
        })
    }

    /// After the last readable entry, a later one that was written after a sync proves that those between were
    /// acknowledged.
    fn hole(&self, bytes: &Bytes) -> Option<Hole> {
        let synced = self.later(bytes, true)?;
        let last = self.later(bytes, false).unwrap_or(synced).max(synced);
        let last = last.max(self.last_commit.number().unwrap_or_default());
        Some(Hole { first: self.next, last, at_the_end: false })
    }

    /// Commits that were acknowledged, and of which nothing is left in the journal.
    fn lost_at_the_end(&self) -> Option<Hole> {
        let last = self.last_commit.number().filter(|last| *last >= self.next)?;
        Some(Hole { first: self.next, last, at_the_end: true })
    }

    /// The largest number of an entry beyond the next one, or of those that were written after a sync.
    fn later(&self, bytes: &Bytes, synced: bool) -> Option<u64> {
        let plausible = self.next + 1..self.next.saturating_add(self.region.len);
        let places = (0..bytes.len()).step_by(JOURNAL_ALIGN).filter_map(|at| bytes.get(at..));
        let claims = |rest: &&[u8]| {
            entry_claims(rest).is_some_and(|(number, after)| after >= synced && plausible.contains(&number))
        };
        // Bounds the time spent on payloads that merely look like entries.
        let mut lookalikes = 0;
        let entries = places.filter(claims).filter_map(|rest| {
            if lookalikes >= MAX_LOOKALIKES {
                return None;
            }
            let found = decode_entry(&self.secret, rest);
            lookalikes += usize::from(found.is_none());
            found.map(|head| head.number)
        });
        entries.max()
    }

    /// The number of the next commit.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether more than half of it waits for a flush.
    pub(crate) fn is_tight(&self) -> bool {
        let used = match self.oldest {
            None => 0,
            Some(oldest) if self.at > oldest => self.at - oldest,
            Some(oldest) => self.region.len - oldest + self.at,
        };
        used > self.region.len / 2
    }

    /// Where an entry of this size goes, if there is room.
    fn room(&self, size: u64) -> Option<u64> {
        match self.oldest {
            None => (size <= self.region.len).then_some(0),
            Some(_) if self.is_straight() && self.at + size <= self.region.len => Some(self.at),
            // Never quite up to the oldest: full and empty would look the same.
            Some(oldest) if self.is_straight() => (size < oldest).then_some(0),
            Some(oldest) => (self.at + size < oldest).then_some(self.at),
        }
    }

    /// Whether everything unflushed lies before the next entry: the lap is not over.
    fn is_straight(&self) -> bool {
        self.oldest.is_none_or(|oldest| self.at > oldest)
    }

    /// Whether a frame of this size has room now.
    pub(crate) fn has_room(&self, frame: usize) -> bool {
        self.room(entry_size(frame) as u64).is_some()
    }

    /// Whether a frame is small enough to be written here at all.
    pub(crate) fn takes(&self, frame: usize) -> bool {
        entry_size(frame) as u64 <= self.region.len / 4
    }

    /// Writes a commit. After an error it may or may not be there.
    pub(crate) fn write(&mut self, frame: &[u8]) -> Result<()> {
        let (mut entry, sum) = encode_entry(&self.secret, self.next, self.chain, self.synced, frame);
        let size = entry.len() as u64;
        let at = self.room(size).ok_or_else(|| Error::storage("the journal is full"))?;
        let end = at + size;
        let limit = match self.oldest {
            Some(oldest) if at < oldest => oldest,
            _ => self.region.len,
        };
        if end > self.high {
            // Syncing blocks that were written before is cheaper than syncing blocks that are newly allocated.
            let zeros = JOURNAL_ZEROS.min(self.region.len / 16).min(limit - end);
            entry.resize(entry.len() + zeros as usize, 0);
            self.high = end + zeros;
        }
        self.file.write(self.region.start + at, &entry).map_err(|e| unwritable(&e))?;
        self.oldest.get_or_insert(at);
        if self.marked {
            self.after_mark.get_or_insert(at);
        }
        (self.at, self.chain, self.synced) = (end, sum, false);
        self.next += 1;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|e| unwritable(&e))?;
        self.synced = true;
        Ok(())
    }

    /// Whether the last commit is durable, and not known to be outside the journal.
    pub(crate) fn is_unnoted(&self) -> bool {
        self.synced && self.last_commit.lacks(self.next - 1)
    }

    /// Keeps outside the journal that the last commit was acknowledged, if it is durable.
    pub(crate) fn note_last_commit(&mut self) -> Result<()> {
        if !self.is_unnoted() {
            return Ok(());
        }
        let last = LastCommit { number: self.next - 1, chain: self.chain };
        if let Err(error) = self.last_commit.write(&self.file, &self.secret, last) {
            // Every commit is where it should be; only damage to the last ones would go unnoticed.
            warn!(%error, "the last commit could not be noted outside the journal");
            return Ok(());
        }
        self.file.sync_data().map_err(|e| unwritable(&e))
    }

    /// Marks everything so far as about to be flushed. Recovery then starts here.
    pub(crate) fn mark(&mut self) -> JournalMark {
        (self.marked, self.after_mark) = (true, None);
        JournalMark { at: self.at, next: self.next, chain: self.chain }
    }

    /// Frees what lies before the mark, which is flushed now.
    pub(crate) fn release(&mut self) {
        self.oldest = self.after_mark.take();
        self.marked = false;
    }
}

fn too_large() -> Error {
    corrupt("the journal", "it is larger than this machine can address")
}

fn unreadable(e: &io::Error) -> Error {
    Error::storage(format!("the journal cannot be read: {e}"))
}

fn unwritable(e: &io::Error) -> Error {
    Error::storage(format!("the journal cannot be written: {e}"))
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const REGION: Region = Region { start: 4_096, len: 8_192 };

    fn source() -> JournalFile {
        let file = InMemoryBackend::new();
        file.set_len(REGION.start + REGION.len).unwrap();
        JournalFile { file: Arc::new(file), region: REGION, secret: [5; 16], last_commit: None }
    }

    const START: JournalMark = JournalMark { at: 0, next: 1, chain: 0 };

    fn recovered(source: &JournalFile, mark: JournalMark) -> Result<(Ring, Vec<u64>)> {
        let found = Ring::recover(source, mark, true)?;
        if let Some(hole) = found.hole {
            return Err(hole.error());
        }
        let frames = found.frames.iter().map(|(number, frame)| {
            assert_eq!(frame, &frame_of(*number));
            *number
        });
        let numbers = frames.collect();
        Ok((found.ring, numbers))
    }

    /// A frame whose length depends on its number.
    fn frame_of(number: u64) -> Vec<u8> {
        vec![number as u8; 100 + (number * 37 % 400) as usize]
    }

    fn write(ring: &mut Ring) -> bool {
        let frame = frame_of(ring.next());
        let room = ring.has_room(frame.len());
        if room {
            ring.write(&frame).unwrap();
            ring.sync().unwrap();
        } else {
            assert!(ring.write(&frame).is_err());
        }
        room
    }

    #[test]
    fn round_after_round_it_is_found_again_from_its_last_mark() {
        let source = source();
        let (mut ring, _) = recovered(&source, START).unwrap();
        let (mut mark, mut released) = (START, 1);
        for step in 0..2_000u64 {
            // The mark advances at irregular moments, as with a slow flush.
            let full = !write(&mut ring);
            if full || step % 11 == 0 {
                let next = ring.mark();
                let ahead = step % 5;
                for _ in 0..ahead {
                    write(&mut ring);
                }
                ring.release();
                (mark, released) = (next, next.next);
            }
            let (found, numbers) = recovered(&source, mark).unwrap();
            assert_eq!(numbers, (released..ring.next()).collect::<Vec<_>>(), "step {step}");
            assert_eq!((found.at, found.chain, found.oldest), (ring.at, ring.chain, ring.oldest));
        }
    }

    #[test]
    fn an_entry_that_was_acknowledged_and_is_damaged_is_not_taken_for_the_end() {
        let source = source();
        let (mut ring, _) = recovered(&source, START).unwrap();
        (0..3).for_each(|_| assert!(write(&mut ring)));
        let second = entry_size(frame_of(1).len()) as u64;
        for (at, lost) in [(second, 2), (second + 60, 2), (60, 1)] {
            let place = REGION.start + at;
            let mut byte = [0];
            source.file.read(place, &mut byte).unwrap();
            source.file.write(place, &[!byte[0]]).unwrap();
            let message = recovered(&source, START).unwrap_err().to_string();
            assert!(message.contains(&format!("commit {lost} of the journal")), "{message}");
            source.file.write(place, &byte).unwrap();
        }
        // The last one cannot be told from one that was being written.
        let last = second + entry_size(frame_of(2).len()) as u64;
        source.file.write(REGION.start + last + 45, &[99]).unwrap();
        assert_eq!(recovered(&source, START).unwrap().1, [1, 2]);
    }

    #[test]
    fn commits_that_are_lost_at_the_end_are_said_once_the_last_was_noted() {
        let source =
            JournalFile { region: Region { start: 12_288, ..REGION }, last_commit: Some(4_096), ..source() };
        source.file.set_len(12_288 + REGION.len).unwrap();
        let (mut ring, _) = recovered(&source, START).unwrap();
        assert!(!ring.is_unnoted());
        let mut ends = vec![0];
        for _ in 0..4 {
            assert!(write(&mut ring) && ring.is_unnoted());
            ends.push(ring.at);
        }
        let wipe = |from: u64| source.file.write(source.region.start + from, &[0; 600]).unwrap();
        // Nobody knows of the last one yet.
        wipe(ends[3]);
        assert_eq!(recovered(&source, START).unwrap().1, [1, 2, 3]);
        let (mut ring, _) = recovered(&source, START).unwrap();
        ring.note_last_commit().unwrap();
        assert!(!ring.is_unnoted());
        assert_eq!(recovered(&source, START).unwrap().1, [1, 2, 3]);
        for (from, said) in [(2, "commit 3 is missing"), (1, "2 commits are missing, 2 to 3")] {
            wipe(ends[from]);
            let message = recovered(&source, START).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        // The newer of two records counts, and a torn one does not.
        ring.write(&frame_of(4)).unwrap();
        ring.sync().unwrap();
        ring.note_last_commit().unwrap();
        let found = Ring::recover(&source, START, true).unwrap();
        assert_eq!(found.hole.map(|hole| (hole.first, hole.last)), Some((2, 4)));
        for page in [4_096, 8_192] {
            let mut bytes = [0; 32];
            source.file.read(page, &mut bytes).unwrap();
            source.file.write(page, &bytes[..20]).unwrap();
            source.file.write(page + 20, &[0; 12]).unwrap();
        }
        assert_eq!(Ring::recover(&source, START, true).unwrap().ring.last_commit.number(), None);
    }

    #[test]
    fn what_looks_like_entries_neither_hides_a_damaged_one_nor_passes_for_one() {
        let region = Region { start: 4_096, len: 1 << 20 };
        let file = InMemoryBackend::new();
        file.set_len(region.start + region.len).unwrap();
        let source = JournalFile { file: Arc::new(file), region, secret: [5; 16], last_commit: None };
        let mut ring = Ring::recover(&source, START, true).unwrap().ring;
        // Payloads crafted to look like later entries, without knowing the secret.
        let (forged, _) = encode_entry(&[6; 16], 1_000, 0, true, b"");
        for shift in 0..16 {
            ring.write(&[vec![0; shift], forged.repeat(20)].concat()).unwrap();
            ring.sync().unwrap();
        }
        assert_eq!(Ring::recover(&source, START, true).unwrap().frames.len(), 16);
        // Commits that no sync followed prove nothing, however many; one after a sync does.
        let damaged = ring.at;
        ring.write(b"acknowledged").unwrap();
        ring.sync().unwrap();
        (0..400).for_each(|_| ring.write(b"relaxed").unwrap());
        ring.sync().unwrap();
        ring.write(b"the one that tells").unwrap();
        source.file.write(region.start + damaged + 41, b"x").unwrap();
        let message = Ring::recover(&source, START, true).unwrap().hole.unwrap().error().to_string();
        assert!(
            message.contains("commit 17 of the journal") && message.contains("401 later commits"),
            "{message}"
        );
    }

    #[test]
    fn what_a_lost_commit_left_behind_is_not_taken_for_its_successor() {
        let source = source();
        let (mut ring, _) = recovered(&source, START).unwrap();
        // Two commits that no sync followed. The power fails, and only the second one was written.
        ring.write(&[1; 100]).unwrap();
        let second = ring.at;
        ring.write(&[2; 100]).unwrap();
        source.file.write(REGION.start + 50, &[9]).unwrap();
        let found = Ring::recover(&source, START, true).unwrap();
        assert_eq!((found.frames.len(), found.ring.next()), (0, 1));
        // Another commit takes exactly the place of the first one.
        let mut ring = found.ring;
        ring.write(&[3; 100]).unwrap();
        assert_eq!(ring.at, second);
        let found = Ring::recover(&source, START, true).unwrap();
        assert_eq!(found.frames.iter().map(|(n, f)| (*n, f[0])).collect::<Vec<_>>(), [(1, 3)]);
    }

    #[test]
    fn a_store_that_was_closed_does_not_read_the_region() {
        let source = source();
        let (mut ring, _) = recovered(&source, START).unwrap();
        assert!(write(&mut ring));
        let mark = ring.mark();
        ring.release();
        let found = Ring::recover(&source, mark, false).unwrap();
        assert_eq!((found.frames.len(), found.ring.next()), (0, 2));
        // What was not flushed is found whether or not the tables were closed properly.
        assert!(write(&mut ring));
        let found = Ring::recover(&source, mark, false).unwrap();
        assert_eq!(found.frames.len(), 1);
    }
}
