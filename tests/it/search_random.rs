//! Random stores and queries: what is found is what a plain look finds, however the index came about.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use retold::agents::search::SearchRequest;
use retold::event::NamePattern;
use retold::event::roles::Speaker;
use retold::{Event, Filter, NewEvent, Pattern, Query, SessionId, Store};

use crate::search::{addresses, folder, opened, said};
use crate::support::quick_dir;

const WORDS: [&str; 8] = ["login", "logout", "time", "timeout", "page", "a", "test", "user"];

/// Some words, of which the last may be a beginning.
#[derive(Clone, Debug)]
struct Wanted {
    words: Vec<String>,
    is_prefix: bool,
}

#[derive(Clone, Debug)]
struct Asked {
    groups: Vec<Vec<Wanted>>,
    unwanted: Vec<Wanted>,
    session: Option<usize>,
    sessions: Option<&'static str>,
    speaker: Option<Speaker>,
    kind: Option<&'static str>,
    /// Hits of a page.
    page: usize,
}

#[derive(Clone, Debug)]
enum Deed {
    Append {
        session: usize,
        texts: Vec<(bool, Vec<usize>)>,
    },
    Fork {
        session: usize,
    },
    Delete {
        session: usize,
    },
    Truncate {
        session: usize,
        before: u64,
    },
    Purge,
    Update,
    Sweep,
    Reopen,
    /// The index is lost.
    Lose,
    Search(Asked),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let word = prop::sample::select(WORDS.to_vec());
    (prop::collection::vec(word, 1..4), any::<bool>(), 1_usize..4).prop_map(|(words, is_prefix, cut)| {
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if is_prefix {
            words.last_mut().unwrap().truncate(cut);
        }
        Wanted { words, is_prefix }
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let groups = prop::collection::vec(prop::collection::vec(wanted(), 1..3), 1..3);
    let unwanted = prop::collection::vec(wanted(), 0..2);
    let session = prop::option::weighted(0.3, 0_usize..4);
    let sessions = prop::option::weighted(0.3, prop::sample::select(vec!["s1", "s*", "?2", "*3", "x*"]));
    let speaker = prop::option::weighted(0.3, prop::sample::select(vec![Speaker::User, Speaker::Assistant]));
    let kind = prop::option::weighted(0.3, prop::sample::select(vec!["message.user", "message.*", "tool.*"]));
    (groups, unwanted, session, sessions, speaker, kind, 1_usize..5).prop_map(
        |(groups, unwanted, session, sessions, speaker, kind, page)| Asked {
            groups,
            unwanted,
            session,
            sessions,
            speaker,
            kind,
            page,
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    let text = (any::<bool>(), prop::collection::vec(0..WORDS.len(), 0..7));
    let session = 0_usize..4;
    prop_oneof![
        6 => (session.clone(), prop::collection::vec(text, 1..6))
            .prop_map(|(session, texts)| Deed::Append { session, texts }),
        1 => session.clone().prop_map(|session| Deed::Fork { session }),
        1 => session.clone().prop_map(|session| Deed::Delete { session }),
        1 => (session, 1_u64..6).prop_map(|(session, before)| Deed::Truncate { session, before }),
        1 => Just(Deed::Purge),
        3 => Just(Deed::Update),
        1 => Just(Deed::Sweep),
        1 => Just(Deed::Reopen),
        1 => Just(Deed::Lose),
        6 => asked().prop_map(Deed::Search),
    ]
}

impl Wanted {
    fn text(&self) -> String {
        format!("\"{}\"{}", self.words.join(" "), if self.is_prefix { "*" } else { "" })
    }

    /// A plain look.
    fn is_in(&self, text: &[&str]) -> bool {
        let last = self.words.len() - 1;
        text.windows(self.words.len()).any(|window| {
            window.iter().zip(&self.words).enumerate().all(|(n, (word, wanted))| {
                match self.is_prefix && n == last {
                    true => word.starts_with(wanted.as_str()),
                    false => word == wanted,
                }
            })
        })
    }
}

impl Asked {
    fn text(&self) -> String {
        let group = |group: &Vec<Wanted>| group.iter().map(Wanted::text).collect::<Vec<_>>().join(" OR ");
        let mut all: Vec<String> = self.groups.iter().map(group).collect();
        all.extend(self.unwanted.iter().map(|unwanted| format!("-{}", unwanted.text())));
        all.join(" ")
    }

    fn request(&self) -> SearchRequest {
        let mut request = SearchRequest::new(self.text());
        if let Some(n) = self.session {
            request = request.session(SessionId::new(format!("s{n}")).unwrap());
        }
        if let Some(sessions) = self.sessions {
            request = request.sessions(NamePattern::new(sessions).unwrap());
        }
        if let Some(kind) = self.kind {
            request = request.filter(Filter::new().pattern(Pattern::new(kind).unwrap()));
        }
        request.speakers(self.speaker)
    }

    fn takes(&self, event: &Event) -> bool {
        let speaker = if event.kind() == "message.user" { Speaker::User } else { Speaker::Assistant };
        self.session.is_none_or(|n| event.session().as_str() == format!("s{n}"))
            && self.sessions.is_none_or(|of| NamePattern::new(of).unwrap().matches(event.session().as_str()))
            && self.speaker.is_none_or(|wanted| wanted == speaker)
            && self.kind.is_none_or(|kind| Pattern::new(kind).unwrap().matches(event.kind()))
    }

    fn is_met(&self, text: &[&str]) -> bool {
        self.groups.iter().all(|group| group.iter().any(|wanted| wanted.is_in(text)))
            && !self.unwanted.iter().any(|unwanted| unwanted.is_in(text))
    }
}

fn check(store: &Store, asked: &Asked) {
    let mut plain = BTreeSet::new();
    for event in store.events(Query::all()).unwrap() {
        let event = event.unwrap();
        let data: serde_json::Value = event.json().unwrap();
        let text: Vec<&str> = data["text"].as_str().unwrap().split_whitespace().collect();
        if asked.takes(&event) && asked.is_met(&text) {
            plain.insert(event.address().to_string());
        }
    }
    let found = store.search().find(&asked.request().limit(1_000)).unwrap();
    let hits = addresses(&found);
    assert_eq!(hits.iter().cloned().collect::<BTreeSet<_>>(), plain, "{}", asked.text());
    assert_eq!(hits.len(), plain.len(), "each once");
    assert!(!found.more && found.unread == 0);
    assert!(found.hits.is_sorted_by(|one, next| one.score >= next.score));
    for hit in &found.hits {
        assert!(!hit.snippet.marks.is_empty(), "{hit:?}");
    }
    let mut pages = Vec::new();
    loop {
        let page = store.search().find(&asked.request().limit(asked.page).offset(pages.len())).unwrap();
        assert!(page.hits.len() <= asked.page);
        pages.extend(addresses(&page));
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, hits, "page by page");
}

fn perform(store: Store, deed: &Deed, dir: &std::path::Path, forks: &mut usize) -> Store {
    let session = |n: &usize| format!("s{n}");
    match deed {
        Deed::Append { session: n, texts } => {
            let text = |words: &Vec<usize>| words.iter().map(|n| WORDS[*n]).collect::<Vec<_>>().join(" ");
            let event = |(is_answer, words): &(bool, Vec<usize>)| match is_answer {
                true => NewEvent::new("message.assistant").data(serde_json::json!({ "text": text(words) })),
                false => said(&text(words)),
            };
            let events: Vec<_> = texts.iter().map(event).collect();
            store.append(session(n).as_str(), events).unwrap();
        }
        Deed::Fork { session: n } => {
            *forks += 1;
            let branch = format!("b{forks}");
            if store.fork(session(n).as_str(), &branch).is_ok() {
                let address = format!("{}/{branch}", session(n));
                store.append(address.as_str(), said("login time page")).unwrap();
            }
        }
        // Where there is nothing, nothing is removed.
        Deed::Delete { session: n } => drop(store.lifecycle().delete(session(n).as_str())),
        Deed::Truncate { session: n, before } => {
            drop(store.lifecycle().truncate(session(n).as_str(), *before));
        }
        Deed::Purge => drop(store.lifecycle().purge().unwrap()),
        Deed::Update => store.search().update().unwrap(),
        Deed::Sweep => drop(store.search().sweep().unwrap()),
        Deed::Reopen => {
            store.close().unwrap();
            drop(store);
            return opened(dir);
        }
        Deed::Lose => drop(fs::remove_dir_all(folder(dir))),
        Deed::Search(asked) => check(&store, asked),
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_a_plain_look_finds(
        deeds in prop::collection::vec(deed(), 1..40),
        last in asked(),
    ) {
        let dir = quick_dir();
        let (mut store, mut forks) = (opened(dir.path()), 0);
        for deed in &deeds {
            store = perform(store, deed, dir.path(), &mut forks);
        }
        check(&store, &last);
        store.search().update().unwrap();
        check(&store, &last);
    }
}
