//! Long lists of small rows. If the file that they describe is not in memory, neither are they: they are in a file
//! that nobody else sees.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use uuid::Uuid;

use crate::event::EventId;
use crate::limits::ROWS_AT_ONCE;
use crate::sync::{Mutex, lock};

use super::scratch::scratch;

/// The largest number of words in a row.
pub(crate) const MAX_WORDS: usize = 8;
const WORD: usize = size_of::<u64>();

pub(crate) type Words = [u64; MAX_WORDS];

#[cfg(test)]
thread_local! {
    /// Rows that were read on this thread, of all lists: what tests measure work by.
    pub(super) static ROWS_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn count_read() {
    #[cfg(test)]
    ROWS_READ.set(ROWS_READ.get() + 1);
}

/// What such a list can hold.
pub(crate) trait Row: Clone {
    /// The number of words that it uses; the rest of its [`Words`] is ignored.
    const WORDS: usize;

    fn words(&self) -> Words;

    fn of(words: Words) -> Self;
}

/// An id as two words of a row.
pub(crate) fn words_of(id: EventId) -> (u64, u64) {
    id.uuid().as_u64_pair()
}

pub(crate) fn id_of(high: u64, low: u64) -> EventId {
    EventId::from_bytes(Uuid::from_u64_pair(high, low).into_bytes())
}

#[derive(Debug)]
pub(crate) struct Rows<T> {
    may_spill: bool,
    file: Option<Mutex<File>>,
    /// Rows in the file.
    written: usize,
    /// The rows after them.
    tail: Vec<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self::new(false)
    }
}

impl<T> Rows<T> {
    pub(crate) fn may_spill(&self) -> bool {
        self.may_spill
    }

    /// An empty list. `may_spill` says whether it may move to a file when it is long.
    pub(crate) fn new(may_spill: bool) -> Self {
        Self { may_spill, file: None, written: 0, tail: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.written + self.tail.len()
    }
}

impl<T: Row> Rows<T> {
    pub(crate) fn push(&mut self, row: T) -> io::Result<()> {
        if self.may_spill && self.tail.len() >= ROWS_AT_ONCE {
            self.spill()?;
        }
        self.tail.push(row);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let bytes = bytes_of(&self.tail);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Mutex::new(scratch()?)),
        };
        let mut file = lock(file);
        file.seek(SeekFrom::Start((self.written * T::WORDS * WORD) as u64))?;
        file.write_all(&bytes)?;
        self.written += self.tail.len();
        self.tail.clear();
        Ok(())
    }

    pub(crate) fn get(&self, index: usize) -> io::Result<Option<T>> {
        count_read();
        match index.checked_sub(self.written) {
            Some(index) => Ok(self.tail.get(index).cloned()),
            None => Ok(self.read(index, 1)?.pop()),
        }
    }

    pub(crate) fn set(&mut self, index: usize, row: T) -> io::Result<()> {
        match (index.checked_sub(self.written), &self.file) {
            (Some(index), _) => {
                if let Some(slot) = self.tail.get_mut(index) {
                    *slot = row;
                }
            }
            (None, Some(file)) => {
                let mut file = lock(file);
                file.seek(SeekFrom::Start((index * T::WORDS * WORD) as u64))?;
                file.write_all(&bytes_of(&[row]))?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Rows from the file.
    fn read(&self, from: usize, rows: usize) -> io::Result<Vec<T>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let mut bytes = vec![0; rows.min(self.written - from) * T::WORDS * WORD];
        let mut file = lock(file);
        file.seek(SeekFrom::Start((from * T::WORDS * WORD) as u64))?;
        file.read_exact(&mut bytes)?;
        let row = |bytes: &[u8]| {
            let mut words = Words::default();
            let chunks = bytes.as_chunks::<WORD>().0;
            words.iter_mut().zip(chunks).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
            T::of(words)
        };
        Ok(bytes.chunks_exact(T::WORDS * WORD).map(row).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = io::Result<T>> + '_ {
        let (mut next, mut page) = (0, Vec::new().into_iter());
        std::iter::from_fn(move || {
            count_read();
            if let Some(row) = page.next() {
                next += 1;
                return Some(Ok(row));
            }
            if next < self.written {
                match self.read(next, ROWS_AT_ONCE) {
                    Ok(rows) => page = rows.into_iter(),
                    Err(e) => {
                        next = usize::MAX;
                        return Some(Err(e));
                    }
                }
                next += 1;
                return page.next().map(Ok);
            }
            let row = self.tail.get(next.checked_sub(self.written)?).cloned();
            next = next.saturating_add(1);
            row.map(Ok)
        })
    }
}

fn bytes_of<T: Row>(rows: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * T::WORDS * WORD);
    for row in rows {
        row.words().iter().take(T::WORDS).for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Pair(u64, u64);

    impl Row for Pair {
        const WORDS: usize = 2;

        fn words(&self) -> Words {
            [self.0, self.1, 9, 9, 9, 9, 9, 9]
        }

        fn of([a, b, ..]: Words) -> Self {
            Self(a, b)
        }
    }

    #[test]
    fn a_list_in_a_file_is_the_list_that_it_would_be_in_memory() {
        for len in [0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE + 7] {
            let mut want: Vec<Pair> = (0..len as u64).map(|n| Pair(n, n * n)).collect();
            let (mut disk, mut memory) = (Rows::new(true), Rows::new(false));
            for row in &want {
                disk.push(row.clone()).unwrap();
                memory.push(row.clone()).unwrap();
            }
            for index in [0, len / 2, len.saturating_sub(1)] {
                if let Some(row) = want.get_mut(index) {
                    *row = Pair(7, index as u64);
                    disk.set(index, row.clone()).unwrap();
                    memory.set(index, row.clone()).unwrap();
                }
            }
            for rows in [&disk, &memory] {
                let all: Vec<Pair> = rows.iter().map(Result::unwrap).collect();
                assert!(all == want && rows.len() == len, "{len}");
                for index in [0, len / 2, len.saturating_sub(1), len] {
                    assert_eq!(rows.get(index).unwrap(), want.get(index).cloned(), "{index} of {len}");
                }
            }
            assert!(disk.tail.len() <= ROWS_AT_ONCE && memory.file.is_none());
        }
    }
}
