//! The events of a plan while they wait: whole, or, when the file they are read from is not in memory either, in a file
//! of our own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use bytes::Bytes;

use crate::codec::{decode_record, encode_record};
use crate::event::{EventId, NewEvent};
use crate::limits::{MAX_PAYLOAD_BYTES, SPOOL_BUFFER_BYTES};

use super::content::Content;
use super::scratch::scratch;

/// An event of a plan.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    Whole(Box<NewEvent>),
    Spooled(Spooled),
}

/// Where an event is in the spool, and its payload in the file.
#[derive(Clone, Debug)]
pub(crate) struct Spooled {
    id: EventId,
    at: u64,
    len: u32,
    payload: Option<Range<usize>>,
}

impl Planned {
    pub(crate) fn id(&self) -> EventId {
        match self {
            Self::Whole(event) => event.id,
            Self::Spooled(spooled) => spooled.id,
        }
    }

    /// Where in the file its payload is, if it is there and not here.
    pub(crate) fn payload(&self) -> Option<Range<usize>> {
        match self {
            Self::Whole(_) => None,
            Self::Spooled(spooled) => spooled.payload.clone(),
        }
    }
}

/// Events behind one another in a file that nobody else sees.
pub(crate) struct Spool {
    file: File,
    /// Bytes in the file; those that follow are in the buffer.
    written: u64,
    buffer: Vec<u8>,
    /// The file, once it is complete.
    sealed: Option<Content>,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: scratch()?, written: 0, buffer: Vec::new(), sealed: None })
    }

    /// Takes an event. Its payload is left out when it lies in the file as it is.
    pub(crate) fn put(&mut self, event: &NewEvent, payload: Option<Range<usize>>) -> io::Result<Planned> {
        let record = match &payload {
            Some(_) => encode_record(&event.clone().data(serde_json::Value::Null), MAX_PAYLOAD_BYTES),
            None => encode_record(event, MAX_PAYLOAD_BYTES),
        };
        let record = record.map_err(io::Error::other)?;
        let at = self.written + self.buffer.len() as u64;
        self.buffer.extend_from_slice(record.encoded());
        let len = u32::try_from(record.encoded().len()).map_err(io::Error::other)?;
        if self.buffer.len() >= SPOOL_BUFFER_BYTES {
            self.flush()?;
        }
        Ok(Planned::Spooled(Spooled { id: event.id, at, len, payload }))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Nothing more comes: from now on it is read from front to back.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.flush()?;
        self.sealed = Some(Content::disk(self.file.try_clone()?)?);
        Ok(())
    }

    /// The event; `read` reads the file that it is from.
    pub(crate) fn event(
        &self,
        spooled: &Spooled,
        read: &dyn Fn(Range<usize>) -> Bytes,
    ) -> io::Result<NewEvent> {
        let record =
            decode_record(self.bytes(spooled.at, spooled.len as usize)?).map_err(io::Error::other)?;
        let event = NewEvent::from(&record);
        Ok(match &spooled.payload {
            Some(range) => event.json_text(read(range.clone())),
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
        (&self.file).seek(SeekFrom::Start(at))?;
        (&self.file).read_exact(&mut bytes)?;
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
        let mut spool = Spool::new().unwrap();
        let mut all = Vec::new();
        for n in 0..3_000 {
            let event = NewEvent::new("a.b").meta("n", n.to_string()).source("s");
            let (event, payload) = match n % 2 {
                0 => (event.json_text("{\"a\":1}"), Some(4..11)),
                _ => (event.bytes("text/plain", vec![b'x'; n]), None),
            };
            all.push((spool.put(&event, payload).unwrap(), event));
        }
        for sealed in [false, true] {
            if sealed {
                spool.seal().unwrap();
            }
            for (planned, event) in &all {
                let Planned::Spooled(spooled) = planned else { panic!("it is not spooled") };
                let back = spool.event(spooled, &read).unwrap();
                assert_eq!((planned.id(), back.id, &back.metadata), (event.id, event.id, &event.metadata));
                assert_eq!((&back.payload, &back.content_type), (&event.payload, &event.content_type));
            }
        }
    }
}
