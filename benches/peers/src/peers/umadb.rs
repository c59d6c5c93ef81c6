//! umadb-core 0.7 at its default settings, with the writer's thread of its own that groups what waits. A session is
//! a tag; source and time are metadata.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::db::UmaDb;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem, DcbSequencedEvent};

use super::{ALONE, Deliver, Peer, Take};
use crate::event::{Draft, Envelope, KIND, SOURCE, new_id, now_micros};

const QUEUE: usize = 10_000;
const GROUP_EVENTS: usize = 10_000;
const PAGE: u32 = 10_000;

pub struct Uma {
    store: UmaDb,
    sender: mpsc::Sender<WriterThreadRequest>,
    committed: watch::Receiver<Option<u64>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn tag(session: u64) -> String {
    format!("s{session}")
}

fn event(session: &str, draft: Draft) -> DcbEvent {
    DcbEvent {
        event_type: KIND.into(),
        tags: vec![session.into()],
        data: draft.data.into_bytes(),
        uuid: Some(uuid::Uuid::from_bytes(new_id())),
        metadata: vec![("source".into(), SOURCE.into()), ("time".into(), now_micros().to_string())],
    }
}

fn show(event: &DcbEvent, take: Take<'_>) {
    let meta = |key| event.metadata.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).unwrap();
    take(Envelope {
        id: event.uuid.unwrap().into_bytes(),
        kind: &event.event_type,
        source: meta("source"),
        occurred: meta("time").parse().unwrap(),
        data: &event.data,
    });
}

impl Uma {
    pub fn open(dir: &Path) -> Self {
        let mvcc =
            Arc::new(Mvcc::new(false, StorageOptions::default().db_path(dir.join("peer.uma"))).unwrap());
        let (sender, requests) = mpsc::channel(QUEUE);
        let store = UmaDb::from_arc(mvcc.clone());
        let (committing, committed) = watch::channel(store.head().unwrap());
        let thread =
            std::thread::spawn(move || writer_thread_blocking(mvcc, requests, committing, GROUP_EVENTS));
        Self { store, sender, committed, thread: Some(thread) }
    }

    fn write(&self, events: Vec<DcbEvent>) {
        let (response_tx, answer) = oneshot::channel();
        let request = WriterThreadRequest::Append {
            events,
            condition: None,
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        assert!(self.sender.blocking_send(request).is_ok(), "the writer ended");
        answer.blocking_recv().unwrap().unwrap();
    }

    fn page(&self, session: Option<u64>, from: u64, backwards: bool, limit: u32) -> Vec<DcbSequencedEvent> {
        let query = session.map(|s| DcbQuery::new().item(DcbQueryItem::new().tags([tag(s)])));
        let start = (!backwards).then_some(from);
        self.store.read_with_head(query, start, backwards, Some(limit)).unwrap().0
    }

    /// Page by page, each event with its number in the session; the index of tags is left out where all is one
    /// session.
    fn session(&self, session: u64, take: &mut dyn FnMut(u64, &DcbEvent)) {
        let filter = (session != ALONE).then_some(session);
        let (mut from, mut sequence) = (1, 0);
        loop {
            let page = self.page(filter, from, false, PAGE);
            for e in &page {
                sequence += 1;
                take(sequence, &e.event);
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => from = last.position + 1,
                _ => return,
            }
        }
    }
}

impl Peer for Uma {
    fn append(&self, session: u64, draft: Draft) {
        self.write(vec![event(&tag(session), draft)]);
    }

    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let tag = tag(session);
        self.write(drafts.into_iter().map(|draft| event(&tag, draft)).collect());
    }

    /// The store has global positions only: the events of a session are counted.
    fn head(&self, session: u64) -> u64 {
        if session == ALONE {
            return self.store.head().unwrap().unwrap_or(0);
        }
        let mut count = 0;
        self.session(session, &mut |sequence, _| count = sequence);
        count
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        self.session(session, &mut |_, event| show(event, take));
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        self.page(Some(session), 0, true, count as u32).iter().for_each(|e| show(&e.event, take));
    }

    fn after(&self, session: u64, after: u64, take: Take<'_>) {
        self.session(session, &mut |sequence, event| {
            if sequence > after {
                show(event, take);
            }
        });
    }

    /// The store tells of commits by a watch; its followers read from the position that they have seen.
    fn follow(self: Arc<Self>, session: u64, mut deliver: Deliver) -> bool {
        let mut committed = self.committed.clone();
        let mut seen = self.store.head().unwrap().unwrap_or(0);
        let mut sequence = 0;
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            while runtime.block_on(committed.changed()).is_ok() {
                for e in self.page(Some(session), seen + 1, false, PAGE) {
                    (seen, sequence) = (e.position, sequence + 1);
                    deliver(sequence);
                }
            }
        });
        true
    }
}

impl Drop for Uma {
    fn drop(&mut self) {
        let _ = self.sender.blocking_send(WriterThreadRequest::Shutdown);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
