//! lago-journal 0.3: its redb journal, driven through its async interface. It has no group commit of its own.

use std::path::Path;
use std::sync::Arc;

use lago_core::{BranchId, EventEnvelope, EventId, EventPayload, EventQuery, Journal, SessionId};
use lago_journal::RedbJournal;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use super::{Deliver, Peer, Take, counted, runtime};
use crate::event::{Draft, Envelope, KIND, SOURCE, new_id, now_micros};

const PAGE: usize = 10_000;

pub struct Lago {
    journal: RedbJournal,
    runtime: Runtime,
}

fn session_id(session: u64) -> SessionId {
    // Of one length, and no longer than the 26 bytes that the journal keeps of a name.
    SessionId::from_string(format!("s{session:010}"))
}

fn main_branch() -> BranchId {
    BranchId::from_string("main")
}

fn envelope(session: &SessionId, draft: &Draft) -> EventEnvelope {
    EventEnvelope {
        event_id: EventId::from_string(uuid::Uuid::from_bytes(new_id()).simple().to_string()),
        session_id: session.clone(),
        branch_id: main_branch(),
        run_id: None,
        seq: 0,
        timestamp: now_micros().cast_unsigned(),
        parent_id: None,
        payload: EventPayload::Custom {
            event_type: KIND.into(),
            data: serde_json::from_str(&draft.data).unwrap(),
        },
        metadata: [("source".to_owned(), SOURCE.to_owned())].into(),
        schema_version: 1,
    }
}

/// The payload is a tree of JSON values here: its text stands for it.
fn show(event: &EventEnvelope, take: Take<'_>) {
    let EventPayload::Custom { event_type, data } = &event.payload else { panic!("another payload") };
    take(Envelope {
        id: uuid::Uuid::try_parse(event.event_id.as_str()).unwrap().into_bytes(),
        kind: event_type,
        source: event.metadata.get("source").map(String::as_str).unwrap(),
        occurred: event.timestamp.cast_signed(),
        data: data["text"].as_str().unwrap().as_bytes(),
    });
}

impl Lago {
    pub fn open(dir: &Path) -> Self {
        let runtime = runtime(2);
        Self { journal: RedbJournal::open(dir.join("peer.lago")).unwrap(), runtime }
    }

    fn page(&self, session: u64, after: u64) -> Vec<EventEnvelope> {
        let query = EventQuery::new().session(session_id(session)).branch(main_branch()).after(after);
        self.runtime.block_on(self.journal.read(query.limit(PAGE))).unwrap()
    }
}

impl Peer for Lago {
    fn append(&self, session: u64, draft: Draft) {
        let event = envelope(&session_id(session), &draft);
        self.runtime.block_on(self.journal.append(event)).unwrap();
    }

    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let session = session_id(session);
        let events = drafts.iter().map(|draft| envelope(&session, draft)).collect();
        self.runtime.block_on(self.journal.append_batch(events)).unwrap();
    }

    fn head(&self, session: u64) -> u64 {
        self.runtime.block_on(self.journal.head_seq(&session_id(session), &main_branch())).unwrap()
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        self.after(session, 0, take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        let head = self.head(session);
        self.page(session, head.saturating_sub(count)).iter().for_each(|event| show(event, take));
    }

    fn after(&self, session: u64, mut sequence: u64, take: Take<'_>) {
        loop {
            let page = self.page(session, sequence);
            page.iter().for_each(|event| show(event, take));
            match page.last() {
                Some(last) => sequence = last.seq,
                None => return,
            }
        }
    }

    fn follow(self: Arc<Self>, session: u64, mut deliver: Deliver) -> bool {
        let after = self.head(session);
        let stream = self.journal.stream(session_id(session), main_branch(), after);
        let mut stream = self.runtime.block_on(stream).unwrap();
        self.runtime.spawn(counted(async move {
            while let Some(event) = stream.next().await {
                deliver(event.unwrap().seq);
            }
        }));
        true
    }
}
