//! The bytes of a file that is being read: in memory, or on disk and read where needed.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use bytes::Bytes;

use crate::limits::{IMPORT_BLOCKS, IMPORT_WINDOW_BYTES};

use super::scratch::scratch;

/// Called with the number of bytes read so far. An error stops the reading.
pub(super) type Watch = Box<dyn FnMut(u64) -> io::Result<()>>;

/// A file's bytes, in memory or read where they are needed.
///
/// A read error is kept until somebody asks for it; nothing more is read until then.
pub struct Content {
    place: Backing,
    len: usize,
    fault: RefCell<Option<io::Error>>,
    /// The most recently read blocks, by number, so that going back a little does not read again.
    blocks: RefCell<VecDeque<(usize, Bytes)>>,
    /// Where long values end, and how deeply they are nested, so that looking into the objects around the records
    /// does not read the records again.
    ends: RefCell<HashMap<usize, (usize, usize)>>,
    read: Cell<u64>,
    pub(super) watch: RefCell<Option<Watch>>,
}

enum Backing {
    Memory(Bytes),
    Disk(File),
}

impl Content {
    /// Bytes in memory.
    #[must_use]
    pub fn memory(bytes: Bytes) -> Self {
        Self::new(bytes.len(), Backing::Memory(bytes))
    }

    /// A file with its current length. What is appended to it later is not seen.
    ///
    /// # Errors
    /// Those of asking the system for the file's length.
    pub fn disk(file: File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Ok(Self::new(len, Backing::Disk(file)))
    }

    /// Copies everything from a reader into a temporary file that nobody else sees: a pipe can be read only once, and
    /// an import reads more than once. `check` is called between reads; its error stops the reading.
    ///
    /// # Errors
    /// Those of reading, of the temporary file, and of `check`.
    pub fn spooled(from: &mut dyn Read, check: &dyn Fn() -> io::Result<()>) -> io::Result<Self> {
        let mut file = scratch()?;
        let mut chunk = vec![0; IMPORT_WINDOW_BYTES];
        loop {
            check()?;
            let n = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            file.write_all(chunk.get(..n).unwrap_or_default())?;
        }
        check()?;
        Self::disk(file)
    }

    fn new(len: usize, place: Backing) -> Self {
        let (fault, blocks, ends) = (RefCell::new(None), RefCell::default(), RefCell::default());
        Self { place, len, fault, blocks, ends, read: Cell::new(0), watch: RefCell::new(None) }
    }

    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self.place, Backing::Disk(_))
    }

    /// Notes that processing the bytes failed; [`Content::fault`] returns the error.
    pub(crate) fn fail(&self, e: io::Error) {
        *self.fault.borrow_mut() = Some(e);
    }

    /// The size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The error that was met, once.
    pub(crate) fn fault(&self) -> io::Result<()> {
        self.fault.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// These bytes, or as many of them as exist.
    pub(crate) fn bytes(&self, range: Range<usize>) -> Bytes {
        let end = range.end.min(self.len);
        let range = range.start.min(end)..end;
        match &self.place {
            Backing::Memory(bytes) => bytes.slice(range),
            Backing::Disk(_) if self.fault.borrow().is_some() => Bytes::new(),
            Backing::Disk(file) => self.load(file, range).unwrap_or_else(|e| {
                self.fail(e);
                Bytes::new()
            }),
        }
    }

    /// Some of the bytes from here on, up to `end`; none only at the end of the file.
    fn ahead(&self, at: usize, end: usize) -> Bytes {
        let block_end = (at / IMPORT_WINDOW_BYTES + 1) * IMPORT_WINDOW_BYTES;
        self.bytes(at..end.min(block_end))
    }

    fn load(&self, file: &File, range: Range<usize>) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let number = at / IMPORT_WINDOW_BYTES;
            let from = number * IMPORT_WINDOW_BYTES;
            let block = self.block(file, number)?;
            let end = range.end.min(from + IMPORT_WINDOW_BYTES);
            let part = block.slice(at - from..end - from);
            if part.len() == range.len() {
                return Ok(part);
            }
            bytes.reserve_exact(range.end - at);
            bytes.extend_from_slice(&part);
            at = end;
        }
        Ok(bytes.into())
    }

    fn block(&self, mut file: &File, number: usize) -> io::Result<Bytes> {
        let mut blocks = self.blocks.borrow_mut();
        if let Some((_, block)) = blocks.iter().find(|(n, _)| *n == number) {
            return Ok(block.clone());
        }
        let from = number * IMPORT_WINDOW_BYTES;
        let mut block = vec![0; (self.len - from).min(IMPORT_WINDOW_BYTES)];
        self.read.set(self.read.get() + block.len() as u64);
        if let Some(watch) = &mut *self.watch.borrow_mut() {
            watch(self.read.get())?;
        }
        file.seek(SeekFrom::Start(from as u64))?;
        file.read_exact(&mut block).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("became shorter while it was read"),
            _ => e,
        })?;
        let block = Bytes::from(block);
        blocks.truncate(IMPORT_BLOCKS - 1);
        blocks.push_front((number, block.clone()));
        Ok(block)
    }

    /// A scanner over these bytes.
    pub(crate) fn cursor(&self, range: Range<usize>) -> ByteScanner<'_> {
        let window = match &self.place {
            Backing::Memory(bytes) => bytes.clone(),
            Backing::Disk(_) => Bytes::new(),
        };
        ByteScanner { content: self, at: range.start, end: range.end.min(self.len), window, from: 0 }
    }
}

/// A place in a file, for reading forwards.
pub(crate) struct ByteScanner<'c> {
    content: &'c Content,
    pub(crate) at: usize,
    end: usize,
    window: Bytes,
    from: usize,
}

impl ByteScanner<'_> {
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Some of the bytes from here on; none only at the end.
    pub(crate) fn rest(&mut self) -> &[u8] {
        if self.at < self.end && self.window.get(self.at.wrapping_sub(self.from)).is_none() {
            self.window = self.content.ahead(self.at, self.end);
            self.from = self.at;
        }
        let (from, to) = (self.at.wrapping_sub(self.from), self.end.wrapping_sub(self.from));
        self.window.get(from..to.min(self.window.len())).unwrap_or_default()
    }

    /// Where the long value that begins here ends, and its levels of containers, if it was scanned before.
    pub(super) fn known_end(&self) -> Option<(usize, usize)> {
        self.content.ends.borrow().get(&self.at).copied().filter(|(end, _)| *end <= self.end)
    }

    /// Remembers where a long value ends.
    pub(super) fn ends(&self, start: usize, levels: usize) {
        if self.at - start > IMPORT_WINDOW_BYTES {
            self.content.ends.borrow_mut().insert(start, (self.at, levels));
        }
    }

    /// Advances to the first byte that does not match, and returns it.
    pub(crate) fn skip_while(&mut self, is_so: impl Fn(u8) -> bool) -> Option<u8> {
        loop {
            let rest = self.rest();
            match rest.iter().position(|b| !is_so(*b)) {
                Some(n) => {
                    let found = rest.get(n).copied();
                    self.at += n;
                    return found;
                }
                None if rest.is_empty() => return None,
                None => self.at += rest.len(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn on_disk(bytes: &[u8]) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Content::disk(file).unwrap()
    }

    #[test]
    fn a_file_on_disk_reads_like_one_in_memory() {
        let bytes: Vec<u8> = (0..3 * IMPORT_WINDOW_BYTES).map(|n| (n % 251) as u8).collect();
        for content in [on_disk(&bytes), Content::memory(bytes.clone().into())] {
            assert_eq!(content.bytes(70_000..70_003), bytes[70_000..70_003]);
            assert_eq!(content.bytes(bytes.len() - 1..bytes.len() + 9), bytes[bytes.len() - 1..]);
            let mut cursor = content.cursor(1..bytes.len());
            let mut read = Vec::new();
            while let Some(b) = cursor.peek() {
                read.push(b);
                cursor.at += 1;
            }
            assert!(read == bytes[1..]);
            let mut cursor = content.cursor(0..bytes.len());
            assert_eq!((cursor.skip_while(|b| b < 250), cursor.at), (Some(250), 250));
            let mut cursor = content.cursor(10..20);
            assert_eq!((cursor.skip_while(|_| true), cursor.at), (None, 20));
            content.fault().unwrap();
        }
    }

    #[test]
    fn many_cursors_over_small_parts_read_the_file_once() {
        let content = on_disk(&vec![b'x'; 4 * IMPORT_WINDOW_BYTES]);
        for at in (0..content.len()).step_by(100) {
            let mut cursor = content.cursor(at..content.len());
            assert_eq!(cursor.peek(), Some(b'x'));
            assert!(!content.bytes(at..at + 50).is_empty());
        }
        assert!(content.read.get() < 5 * IMPORT_WINDOW_BYTES as u64, "{}", content.read.get());
    }

    #[test]
    fn the_work_is_about_what_is_read_whatever_the_shape_of_the_file() {
        let oh = |n: usize| {
            let text = "y".repeat(900);
            format!(
                r#"{{"id":{n},"timestamp":"2026-01-01T00:00:00","source":"agent","action":"run","args":{{}},"t":"{text}"}}"#
            )
        };
        let ce = |n: usize| {
            let text = "y".repeat(900);
            format!(r#"{{"specversion":"1.0","id":"{n}","source":"/a","type":"a.b","data":"{text}"}}"#)
        };
        let te = |n: usize| {
            let text = "y".repeat(900);
            format!(r#"{{"eventId":"{n}","eventType":"TimerFired","details":{{"t":"{text}"}}}}"#)
        };
        let many = |record: &dyn Fn(usize) -> String, between: &str| {
            (1..3_000).map(record).collect::<Vec<_>>().join(between)
        };
        for (shape, file) in [
            ("lines", many(&oh, "\n")),
            ("cloudevents lines", many(&ce, "\n")),
            ("array", format!("[{}]", many(&oh, ","))),
            ("cloudevents array", format!("[{}]", many(&ce, ","))),
            ("wrapper", format!(r#"{{"instance_id":"x","history":[{}],"r":1}}"#, many(&oh, ","))),
            ("temporal", format!(r#"{{"events":[{}]}}"#, many(&te, ","))),
            ("temporal deeper", format!(r#"{{"history":{{"events":[{}]}}}}"#, many(&te, ","))),
        ] {
            let content = on_disk(file.as_bytes());
            let work = content.work();
            crate::agents::interop::formats::sketch_of(
                "f.json",
                &content,
                &crate::agents::interop::Options::default(),
            )
            .unwrap();
            let read = content.read.get();
            let ratio = read as f64 / work as f64;
            assert!((0.8..1.2).contains(&ratio), "{shape}: {read} of {work}");
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_not_an_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'x'; 100]).unwrap();
        let content = Content::disk(file.try_clone().unwrap()).unwrap();
        file.set_len(10).unwrap();
        assert!(content.bytes(50..60).is_empty());
        assert!(content.fault().unwrap_err().to_string().contains("shorter"));
        content.fault().unwrap();
    }
}
