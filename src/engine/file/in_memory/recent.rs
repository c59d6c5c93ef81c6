//! Recently decompressed chunks: a reader that continues after one, or reads it again, does not decompress it again.
//! They are copies that pin nothing in the file, so commits that move no events leave them in place.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codec::Chunk;
use crate::limits::{CHUNK_BODY_BYTES, RECENT_CHUNKS};
use crate::sync::Mutex;
use crate::sync::lock;

/// Chunks, newest last. A flush may rewrite one; the old copy is still right as far as it goes.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Arc<Chunk>>>);

impl Recent {
    /// The chunk that holds this event, if it was read recently.
    pub(crate) fn get(&self, branch: u64, sequence: u64) -> Option<Arc<Chunk>> {
        let holds = |c: &&Arc<Chunk>| c.branch() == branch && (c.first()..=c.last()).contains(&sequence);
        lock(&self.0).iter().rev().find(holds).cloned()
    }

    /// Keeps a chunk for the next reader, unless it is large.
    pub(crate) fn keep(&self, chunk: &Arc<Chunk>) {
        if chunk.bytes() > CHUNK_BODY_BYTES {
            return;
        }
        let mut recent = lock(&self.0);
        let gone = if recent.len() >= RECENT_CHUNKS { recent.pop_front() } else { None };
        recent.push_back(chunk.clone());
        drop(recent);
        drop(gone);
    }

    /// Drops all of them.
    pub(crate) fn forget(&self) {
        let recent = std::mem::take(&mut *lock(&self.0));
        drop(recent);
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::file::{Medium, Options, open};
    use crate::event::NewEvent;
    use crate::store::{Query, SidecarTable, SidecarWrites, Store};

    #[test]
    fn chunks_stay_unpacked_when_marks_are_written_and_go_when_events_are_flushed() {
        let backend = Box::new(redb::backends::InMemoryBackend::new());
        let engine = open(Medium::Backend(backend), Options::default()).unwrap();
        let contents = engine.contents.clone();
        let store = Store::builder().on(engine).unwrap();
        store.append("s", (0..100).map(|_| NewEvent::new("a.b")).collect::<Vec<_>>()).unwrap();
        store.maintenance().flush().unwrap();
        let read = || store.read(&Query::branch("s").unwrap().limit(3)).unwrap().events.len();
        let recent = || contents.recent.get(1, 50);
        assert!(recent().is_none());
        assert_eq!(read(), 3);
        let unpacked = recent().unwrap();
        let mut records = SidecarWrites::new();
        records.put(SidecarTable::Timers, b"a".to_vec(), b"1".to_vec());
        store.write_records(records).unwrap();
        assert_eq!(read(), 3);
        assert!(std::sync::Arc::ptr_eq(&unpacked, &recent().unwrap()));
        store.append("s", NewEvent::new("a.b")).unwrap();
        store.maintenance().flush().unwrap();
        assert!(recent().is_none());
    }
}
