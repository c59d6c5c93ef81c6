//! Ours, at default settings.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use retold::{Address, Event, Follow, NewEvent, Query, Store};
use tokio::runtime::Runtime;

use super::{Deliver, Peer, Take, counted, runtime};
use crate::event::{Draft, Envelope, KIND, SOURCE};

/// Sessions whose addresses are parsed once, as an application would.
const KEPT: usize = 1 << 15;

pub struct Retold {
    store: Store,
    addresses: Vec<OnceLock<Address>>,
    runtime: OnceLock<Runtime>,
}

fn new(draft: Draft) -> NewEvent {
    NewEvent::new(KIND).source(SOURCE).json_text(draft.data)
}

fn show(event: &Event, take: Take<'_>) {
    take(Envelope {
        id: event.id().uuid().into_bytes(),
        kind: event.kind(),
        source: event.source().unwrap_or_default(),
        occurred: event.occurred().micros(),
        data: event.payload(),
    });
}

impl Retold {
    pub fn open(dir: &Path) -> Self {
        let store = Store::open(dir.join("store.redb")).unwrap();
        let addresses = (0..KEPT).map(|_| OnceLock::new()).collect();
        Self { store, addresses, runtime: OnceLock::new() }
    }

    fn address(&self, session: u64) -> Address {
        let parse = || format!("s{session}").parse().unwrap();
        match self.addresses.get(session as usize) {
            Some(kept) => kept.get_or_init(parse).clone(),
            None => parse(),
        }
    }

    fn read(&self, query: Query, take: Take<'_>) {
        self.store.events(query).unwrap().for_each(|event| show(&event.unwrap(), take));
    }
}

impl Peer for Retold {
    fn gives_views(&self) -> bool {
        false
    }

    fn append(&self, session: u64, draft: Draft) {
        self.store.append(self.address(session), new(draft)).unwrap();
    }

    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let events: Vec<NewEvent> = drafts.into_iter().map(new).collect();
        self.store.append(self.address(session), events).unwrap();
    }

    fn head(&self, session: u64) -> u64 {
        match self.store.head(self.address(session)) {
            Ok(head) => head.get(),
            Err(retold::Error::NotFound { .. }) => 0,
            Err(e) => panic!("{e}"),
        }
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        self.read(Query::branch(self.address(session)).unwrap(), take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        let query = Query::branch(self.address(session)).unwrap().reverse().limit(count as usize);
        self.store.read(&query).unwrap().events.iter().for_each(|event| show(event, take));
    }

    fn after(&self, session: u64, sequence: u64, take: Take<'_>) {
        self.read(Query::branch(self.address(session)).unwrap().from(sequence + 1), take);
    }

    fn follow(self: Arc<Self>, session: u64, mut deliver: Deliver) -> bool {
        let mut following = self.store.follow(Follow::branch(self.address(session)).unwrap()).unwrap();
        self.runtime.get_or_init(|| runtime(2)).spawn(counted(async move {
            while let Some(event) = following.next_event().await {
                deliver(event.unwrap().sequence().get());
            }
        }));
        true
    }

    fn follow_in_thread(self: Arc<Self>, session: u64, mut deliver: Deliver) -> bool {
        let following = self.store.follow(Follow::branch(self.address(session)).unwrap()).unwrap();
        std::thread::spawn(move || {
            for item in following.blocking() {
                if let Some(event) = item.unwrap().event() {
                    deliver(event.sequence().get());
                }
            }
        });
        true
    }

    fn fork(&self, session: u64, at: u64, name: u64) -> bool {
        self.store.fork(self.address(session).at(at), &format!("f{name}")).unwrap();
        true
    }

    fn replay_fork(&self, session: u64, name: u64, take: Take<'_>) {
        self.read(Query::branch(format!("s{session}/f{name}").as_str()).unwrap(), take);
    }

    fn close(&self) {
        self.store.close().unwrap();
    }
}
