//! aios-events 0.3: a file of JSON lines for each session. It does not sync: what it acknowledges, a power cut takes.
//! The caller gives the sequence, so this adapter keeps the heads.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aios_events::{EventJournal, EventStreamHub, FileEventStore};
use aios_protocol::{BranchId, EventId, EventKind, EventRecord, SessionId};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::error::RecvError;

use super::{Deliver, Peer, Take, counted, runtime};
use crate::event::{Draft, Envelope, KIND, new_id};

const BUFFER: usize = 4_096;

pub struct Aios {
    journal: EventJournal,
    runtime: Runtime,
    heads: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<Option<u64>>>>>,
}

fn session_id(session: u64) -> SessionId {
    SessionId::from_string(format!("s{session}"))
}

fn record(session: u64, sequence: u64, draft: &Draft) -> EventRecord {
    let kind =
        EventKind::Custom { event_type: KIND.into(), data: serde_json::from_str(&draft.data).unwrap() };
    let mut record = EventRecord::new(session_id(session), BranchId::from_string("main"), sequence, kind);
    record.event_id = EventId::from_string(uuid::Uuid::from_bytes(new_id()).simple().to_string());
    record
}

/// The payload is a tree of JSON values here: its text stands for it. There is no source; the agent stands for it.
fn show(event: &EventRecord, take: Take<'_>) {
    let EventKind::Custom { event_type, data } = &event.kind else { panic!("another payload") };
    take(Envelope {
        id: uuid::Uuid::try_parse(event.event_id.as_str()).unwrap().into_bytes(),
        kind: event_type,
        source: event.agent_id.as_str(),
        occurred: event.timestamp.timestamp_micros(),
        data: data["text"].as_str().unwrap().as_bytes(),
    });
}

impl Aios {
    pub fn open(dir: &Path) -> Self {
        let store = Arc::new(FileEventStore::new(dir.join("peer.aios")));
        let journal = EventJournal::new(store, EventStreamHub::new(BUFFER));
        Self { journal, runtime: runtime(2), heads: Mutex::default() }
    }

    async fn latest(&self, session: u64) -> u64 {
        let branch = Some(BranchId::from_string("main"));
        self.journal.latest_sequence(session_id(session), branch).await.unwrap()
    }

    fn read(&self, session: u64, from: u64, take: Take<'_>) {
        let events = self.journal.read_from(session_id(session), None, from, usize::MAX);
        self.runtime.block_on(events).unwrap().iter().for_each(|event| show(event, take));
    }
}

impl Peer for Aios {
    fn append(&self, session: u64, draft: Draft) {
        self.append_many(session, vec![draft]);
    }

    /// It has no batches: one after the other.
    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let head = self.heads.lock().unwrap().entry(session).or_default().clone();
        self.runtime.block_on(async {
            let mut head = head.lock().await;
            let mut last = match *head {
                Some(last) => last,
                None => self.latest(session).await,
            };
            for draft in &drafts {
                last += 1;
                self.journal.append_and_publish(record(session, last, draft)).await.unwrap();
            }
            *head = Some(last);
        });
    }

    fn head(&self, session: u64) -> u64 {
        self.runtime.block_on(self.latest(session))
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        self.read(session, 1, take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        let head = self.head(session);
        self.read(session, head.saturating_sub(count) + 1, take);
    }

    fn after(&self, session: u64, sequence: u64, take: Take<'_>) {
        self.read(session, sequence + 1, take);
    }

    fn follow(self: Arc<Self>, session: u64, mut deliver: Deliver) -> bool {
        let mut receiver = self.journal.subscribe();
        let session = session_id(session);
        self.runtime.spawn(counted(async move {
            loop {
                match receiver.recv().await {
                    Ok(event) if event.session_id == session => deliver(event.sequence),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }));
        true
    }
}
