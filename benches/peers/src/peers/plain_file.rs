//! The limit: frames at the end of one file, a group with one write and one fdatasync; an index in memory, rebuilt by
//! scanning the file when it is opened. No checksums, nothing is ever reclaimed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use super::{Peer, Take};
use crate::event::{Draft, Envelope};
use crate::group::{Entry, Group, Sink};

/// Length and session before every row.
const HEADER: usize = 12;
const READ_BYTES: usize = 1 << 20;

/// Where the frames of each session begin, and how long their rows are.
type Index = HashMap<u64, Vec<(u64, u32)>>;

struct Shared {
    file: File,
    index: RwLock<Index>,
}

/// Steps over the frames of a file: session, offset, row.
fn scan(mut file: &File, mut take: impl FnMut(u64, u64, &[u8])) -> u64 {
    let mut buffer = vec![0; READ_BYTES];
    let (mut start, mut end, mut offset) = (0, 0, 0);
    loop {
        while let Some(header) = buffer[start..end].get(..HEADER) {
            let length = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
            let session = u64::from_le_bytes(header[4..].try_into().unwrap());
            let Some(row) = buffer[start..end].get(HEADER..HEADER + length) else { break };
            take(session, offset, row);
            start += HEADER + length;
            offset += (HEADER + length) as u64;
        }
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        if end == buffer.len() {
            buffer.resize(2 * end, 0);
        }
        match file.read(&mut buffer[end..]).unwrap() {
            0 => return offset,
            read => end += read,
        }
    }
}

impl Shared {
    /// Rows of one session by their number, those that lie side by side with one read.
    fn rows(&self, session: u64, from: usize, take: Take<'_>) {
        let spans: Vec<(u64, u32)> = match self.index.read().unwrap().get(&session) {
            Some(all) => all.get(from..).unwrap_or_default().to_vec(),
            None => return,
        };
        let mut buffer = Vec::new();
        let mut rest = spans.as_slice();
        while let Some((first, _)) = rest.first() {
            let (mut end, mut count) = (*first, 0);
            for (offset, length) in rest.iter().take(1_024) {
                if *offset != end {
                    break;
                }
                (end, count) = (end + (HEADER as u64) + u64::from(*length), count + 1);
            }
            buffer.resize((end - first) as usize, 0);
            self.file.read_exact_at(&mut buffer, *first).unwrap();
            let mut at = 0;
            for (_, length) in &rest[..count] {
                at += HEADER;
                take(Envelope::decode(&buffer[at..at + *length as usize]));
                at += *length as usize;
            }
            rest = &rest[count..];
        }
    }

    fn head(&self, session: u64) -> u64 {
        self.index.read().unwrap().get(&session).map_or(0, |spans| spans.len() as u64)
    }
}

struct Writer {
    shared: Arc<Shared>,
    end: u64,
    buffer: Vec<u8>,
}

impl Sink<Vec<u8>> for Writer {
    fn head(&mut self, session: u64) -> u64 {
        self.shared.head(session)
    }

    fn write(&mut self, rows: &mut Vec<Entry<Vec<u8>>>) {
        self.buffer.clear();
        for entry in rows.iter() {
            self.buffer.extend_from_slice(&(entry.row.len() as u32).to_le_bytes());
            self.buffer.extend_from_slice(&entry.session.to_le_bytes());
            self.buffer.extend_from_slice(&entry.row);
        }
        self.shared.file.write_all_at(&self.buffer, self.end).unwrap();
        self.shared.file.sync_data().unwrap();
        let mut index = self.shared.index.write().unwrap();
        for entry in rows.iter() {
            index.entry(entry.session).or_default().push((self.end, entry.row.len() as u32));
            self.end += (HEADER + entry.row.len()) as u64;
        }
    }
}

pub struct Grouped {
    group: Group<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Grouped {
    pub fn open(dir: &Path) -> Self {
        let path = dir.join("peer.log");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).unwrap();
        let mut index = Index::new();
        let end = scan(&file, |session, offset, row| {
            index.entry(session).or_default().push((offset, row.len() as u32));
        });
        let shared = Arc::new(Shared { file, index: RwLock::new(index) });
        Self { group: Group::new(Writer { shared: shared.clone(), end, buffer: Vec::new() }), shared }
    }
}

impl Peer for Grouped {
    fn append(&self, session: u64, draft: Draft) {
        self.group.append(session, [Envelope::stamp(&draft).encode()]);
    }

    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let rows: Vec<_> = drafts.iter().map(|draft| Envelope::stamp(draft).encode()).collect();
        self.group.append(session, rows);
    }

    fn head(&self, session: u64) -> u64 {
        self.shared.head(session)
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        self.shared.rows(session, 0, take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        let from = self.shared.head(session).saturating_sub(count);
        self.shared.rows(session, from as usize, take);
    }

    fn after(&self, session: u64, sequence: u64, take: Take<'_>) {
        self.shared.rows(session, sequence as usize, take);
    }
}
