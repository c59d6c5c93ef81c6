//! The events of a plan while they wait: in memory, or in a temporary file, if the file that they are read from is
//! not in memory either.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use bytes::Bytes;

use crate::codec::{decode_record, encode_record};
use crate::event::{EventId, NewEvent};
use crate::limits::{MAX_PAYLOAD_BYTES, SPOOL_BUFFER_BYTES};

use super::content::Content;
use super::scratch::scratch;

/// An event of a plan, and where it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    id: EventId,
    at: u64,
}

impl Planned {
    pub(crate) fn new(id: EventId, at: u64) -> Self {
        Self { id, at }
    }

    pub(crate) fn id(&self) -> EventId {
        self.id
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }
}

/// Where events wait.
pub(crate) enum Spool {
    Memory(Vec<NewEvent>),
    Disk(Box<OnDisk>),
}

impl Spool {
    pub(crate) fn new(may_spill: bool) -> Self {
        match may_spill {
            true => Self::Disk(Box::default()),
            false => Self::Memory(Vec::new()),
        }
    }

    /// Stores an event. A payload that the imported file contains as it is, is left out and read from there.
    pub(crate) fn put(&mut self, event: NewEvent, payload: Option<Range<usize>>) -> io::Result<Planned> {
        let id = event.id;
        let at = match self {
            Self::Memory(events) => {
                events.push(event);
                events.len() as u64 - 1
            }
            Self::Disk(disk) => disk.put(event, payload)?,
        };
        Ok(Planned { id, at })
    }

    /// Ends the writing. From now on it is read from front to back.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Disk(disk) => disk.seal(),
        }
    }

    /// The event. `read` reads the imported file.
    pub(crate) fn event(
        &self,
        planned: &Planned,
        read: &dyn Fn(Range<usize>) -> Bytes,
    ) -> io::Result<NewEvent> {
        match self {
            Self::Memory(events) => {
                let at = usize::try_from(planned.at).map_err(io::Error::other)?;
                events.get(at).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            Self::Disk(disk) => disk.event(planned.at, read),
        }
    }

    /// Where the imported file has the payload of an event, if it is not stored here.
    pub(crate) fn payload(&self, planned: &Planned) -> io::Result<Option<Range<usize>>> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::Disk(disk) => Ok(Head::of(&disk.bytes(planned.at, HEAD)?).payload),
        }
    }
}

/// The header of each event in the file.
struct Head {
    len: usize,
    payload: Option<Range<usize>>,
}

/// Bytes of a [`Head`].
const HEAD: usize = 3 * size_of::<u64>();

impl Head {
    fn write(&self, out: &mut Vec<u8>) {
        // An empty range stands for none.
        let payload = self.payload.clone().unwrap_or_default();
        for n in [self.len, payload.start, payload.end] {
            out.extend_from_slice(&(n as u64).to_le_bytes());
        }
    }

    fn of(bytes: &[u8]) -> Self {
        let number =
            |n: usize| bytes.as_chunks().0.get(n).map_or(0, |bytes| u64::from_le_bytes(*bytes)) as usize;
        let payload = number(1)..number(2);
        Self { len: number(0), payload: Some(payload).filter(|p| !p.is_empty()) }
    }
}

/// Events one after another in a file that nobody else sees.
#[derive(Default)]
pub(crate) struct OnDisk {
    file: Option<File>,
    /// The number of bytes in the file; later ones are in the buffer.
    written: u64,
    buffer: Vec<u8>,
    /// The file, once it is complete.
    sealed: Option<Content>,
}

impl OnDisk {
    fn put(&mut self, event: NewEvent, payload: Option<Range<usize>>) -> io::Result<u64> {
        let event = match &payload {
            Some(_) => event.data(serde_json::Value::Null),
            None => event,
        };
        let record = encode_record(&event, MAX_PAYLOAD_BYTES).map_err(io::Error::other)?;
        let at = self.written + self.buffer.len() as u64;
        Head { len: record.encoded().len(), payload }.write(&mut self.buffer);
        self.buffer.extend_from_slice(record.encoded());
        if self.buffer.len() >= SPOOL_BUFFER_BYTES {
            self.flush()?;
        }
        Ok(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(scratch()?),
        };
        file.seek(SeekFrom::Start(self.written))?;
        file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        self.flush()?;
        self.buffer = Vec::new();
        self.sealed = self.file.as_ref().map(|file| Content::disk(file.try_clone()?)).transpose()?;
        Ok(())
    }

    fn event(&self, at: u64, read: &dyn Fn(Range<usize>) -> Bytes) -> io::Result<NewEvent> {
        let head = Head::of(&self.bytes(at, HEAD)?);
        let record = self.bytes(at + HEAD as u64, head.len)?;
        let event = NewEvent::from(&decode_record(record).map_err(io::Error::other)?);
        Ok(match head.payload {
            Some(range) => event.json_text(read(range)),
            None => event,
        })
    }

    fn bytes(&self, at: u64, len: usize) -> io::Result<Bytes> {
        if let Some(content) = &self.sealed {
            let start = usize::try_from(at).map_err(io::Error::other)?;
            let bytes = content.bytes(start..start + len);
            content.fault()?;
            return Ok(bytes);
        }
        if let Some(start) = at.checked_sub(self.written) {
            let start = usize::try_from(start).map_err(io::Error::other)?;
            let bytes = self.buffer.get(start..start + len).unwrap_or_default();
            return Ok(Bytes::copy_from_slice(bytes));
        }
        let mut bytes = vec![0; len];
        if let Some(mut file) = self.file.as_ref() {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut bytes)?;
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spooled_comes_back_before_and_after_the_end() {
        let file = Bytes::from_static(b"....{\"a\":1}....");
        let read = |range: Range<usize>| file.slice(range);
        for may_spill in [false, true] {
            let mut spool = Spool::new(may_spill);
            let mut all = Vec::new();
            for n in 0..3_000 {
                let event = NewEvent::new("a.b").meta("n", n.to_string()).source("s");
                let (event, payload) = match n % 2 {
                    0 => (event.json_text("{\"a\":1}"), Some(4..11)),
                    _ => (event.bytes("text/plain", vec![b'x'; n]), None),
                };
                let planned = spool.put(event.clone(), payload.clone()).unwrap();
                all.push((planned, event, payload.filter(|_| may_spill)));
            }
            for sealed in [false, true] {
                if sealed {
                    spool.seal().unwrap();
                }
                for (planned, event, payload) in &all {
                    assert_eq!(spool.payload(planned).unwrap(), *payload);
                    let back = spool.event(planned, &read).unwrap();
                    assert_eq!(
                        (planned.id(), back.id, &back.metadata),
                        (event.id, event.id, &event.metadata)
                    );
                    assert!((&back.payload, &back.content_type) == (&event.payload, &event.content_type));
                }
            }
        }
    }
}
