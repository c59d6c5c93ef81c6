//! A file that is written once, in pages with a checksum each. What is damaged, torn or of another file is never read as something else.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::unusable::Unusable;
use crate::files;
use crate::limits::SEARCH_PAGE_BYTES;
use crate::sync::{Mutex, lock};

const SUM: usize = size_of::<u64>();
/// Bytes of a page before its checksum.
const BODY: usize = SEARCH_PAGE_BYTES - SUM;

/// A page is one of its file, and of its place in it.
fn sum(name: &str, page: u64, body: &[u8]) -> u64 {
    xxh3_64_with_seed(body, xxh3_64(name.as_bytes()).wrapping_add(page))
}

#[derive(Debug)]
pub(super) struct PageWriter {
    file: File,
    path: PathBuf,
    name: String,
    is_finished: bool,
    page: Vec<u8>,
    written: u64,
}

impl PageWriter {
    pub(super) fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let file = files::new_file(&path)?;
        let page = Vec::with_capacity(SEARCH_PAGE_BYTES);
        Ok(Self { file, path, name: name.to_owned(), is_finished: false, page, written: 0 })
    }

    /// Where the next byte will be.
    pub(super) fn at(&self) -> u64 {
        self.written * BODY as u64 + self.page.len() as u64
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BODY - self.page.len()));
            self.page.extend_from_slice(now);
            bytes = later;
            if self.page.len() == BODY {
                self.end_page()?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self) -> io::Result<()> {
        let sum = sum(&self.name, self.written, &self.page);
        self.page.extend_from_slice(&sum.to_le_bytes());
        self.file.write_all(&self.page)?;
        self.page.clear();
        self.written += 1;
        Ok(())
    }

    /// Bytes that can be read back.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let len = self.at();
        if !self.page.is_empty() {
            self.end_page()?;
        }
        self.is_finished = true;
        Ok(len)
    }
}

/// What was not finished, as on a full disk, takes no more space.
impl Drop for PageWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = files::remove(&self.path);
        }
    }
}

#[derive(Debug)]
pub(super) struct PageReader {
    open: Mutex<Open>,
    name: String,
    len: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The page that was read last: what is short is often read beside other things.
    page: Option<(u64, Vec<u8>)>,
}

impl PageReader {
    pub(super) fn open(folder: &Path, name: &str, len: u64) -> Result<Self, Unusable> {
        let path = folder.join(name);
        if !fs::metadata(&path)?.is_file() {
            return Err(Unusable::new(format!("{name} is no file")));
        }
        let file = File::open(path)?;
        let pages = file.metadata()?.len().div_ceil(SEARCH_PAGE_BYTES as u64);
        let reader = Self { open: Mutex::new(Open { file, page: None }), name: name.to_owned(), len };
        // Nothing is allocated for what it does not have.
        if len.div_ceil(BODY as u64) > pages { Err(reader.damaged("it ends early")) } else { Ok(reader) }
    }

    pub(super) fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, Unusable> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.damaged("something in it leads beyond its end"));
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        let (first, last) = (at / BODY as u64, (at + len - 1) / BODY as u64);
        let (begin, len) = ((at - first * BODY as u64) as usize, len as usize);
        let mut open = lock(&self.open);
        if first != last {
            let mut found = self.pages(&mut open.file, first, last)?;
            found.drain(..begin);
            found.truncate(len);
            return Ok(found);
        }
        let page = match open.page.take().filter(|(number, _)| *number == first) {
            Some((_, page)) => page,
            None => self.pages(&mut open.file, first, first)?,
        };
        let found = page.get(begin..begin + len).map(<[u8]>::to_vec);
        open.page = Some((first, page));
        found.ok_or_else(|| self.damaged("it ends early"))
    }

    /// What some pages hold, one after another.
    fn pages(&self, file: &mut File, first: u64, last: u64) -> Result<Vec<u8>, Unusable> {
        // The last page of the file is as long as what is in it.
        let end = (self.len - last * BODY as u64).min(BODY as u64) + SUM as u64;
        let bytes = (last - first) * SEARCH_PAGE_BYTES as u64 + end;
        let mut pages = vec![0; usize::try_from(bytes).map_err(|_| self.damaged("it is too large"))?];
        file.seek(SeekFrom::Start(first * SEARCH_PAGE_BYTES as u64))?;
        file.read_exact(&mut pages)?;
        let mut found = Vec::with_capacity(pages.len());
        for (number, page) in (first..).zip(pages.chunks(SEARCH_PAGE_BYTES)) {
            let body = page
                .split_last_chunk::<SUM>()
                .filter(|(body, stored)| u64::from_le_bytes(**stored) == sum(&self.name, number, body));
            match body {
                Some((body, _)) => found.extend_from_slice(body),
                None => return Err(self.damaged("a checksum in it is wrong")),
            }
        }
        Ok(found)
    }

    fn damaged(&self, reason: &str) -> Unusable {
        Unusable::new(format!("{}: {reason}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_from_any_place_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0, 1, BODY - 1, BODY, BODY + 1, 3 * BODY, 3 * BODY + 7] {
            let data: Vec<u8> = (0..len).map(|n| (n * 7 % 251) as u8).collect();
            let name = format!("n{len}");
            let mut writer = PageWriter::create(dir.path(), &name).unwrap();
            for piece in data.chunks(1_000) {
                writer.write(piece).unwrap();
            }
            assert_eq!(writer.at(), len as u64);
            assert_eq!(writer.finish().unwrap(), len as u64);
            let reader = PageReader::open(dir.path(), &name, len as u64).unwrap();
            for (at, count) in [(0, len), (len / 2, len / 3), (len, 0), (len.saturating_sub(1), len.min(1))] {
                assert_eq!(reader.read(at as u64, count as u64).unwrap(), &data[at..at + count]);
            }
            assert!(reader.read(len as u64, 1).is_err() && reader.read(u64::MAX, 2).is_err());
        }
        let name = format!("n{}", 3 * BODY + 7);
        let (path, len) = (dir.path().join(&name), 3 * BODY as u64 + 7);
        let sound = std::fs::read(&path).unwrap();
        let is_read = || PageReader::open(dir.path(), &name, len).unwrap().read(0, len).is_ok();
        assert!(is_read());
        for at in [0, BODY, SEARCH_PAGE_BYTES + 5, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(!is_read(), "{at}");
        }
        std::fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        assert!(!is_read());
        // Two of its pages changed places.
        let mut swapped = sound.clone();
        let (one, other) = swapped.split_at_mut(SEARCH_PAGE_BYTES);
        one.swap_with_slice(&mut other[..SEARCH_PAGE_BYTES]);
        std::fs::write(&path, &swapped).unwrap();
        assert!(!is_read());
        // One that was not finished leaves nothing.
        drop(PageWriter::create(dir.path(), "begun").unwrap());
        assert!(!dir.path().join("begun").exists());
        // Another file under its name.
        std::fs::copy(dir.path().join(format!("n{}", 3 * BODY)), &path).unwrap();
        assert!(PageReader::open(dir.path(), &name, 3 * BODY as u64).unwrap().read(0, 1).is_err());
    }
}
