//! Transcripts of random trees, imported, against a walk of the same records that knows nothing of the importer.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use proptest::prelude::*;
use retold::agents::interop::{self, Format, Options};
use retold::{Address, BranchName, Query, SessionId, Store};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Prompt,
    Answer,
    Notice,
    /// A notice whose id is that of the one before of its kind.
    Hook,
    /// A record without an id.
    Title,
}

#[derive(Clone, Debug)]
enum Parent {
    Null,
    /// So many records before; 0 is the record itself, beyond the first one is a record that was never written.
    Back(usize),
    /// The record after it.
    Next,
    NeverWritten,
}

#[derive(Clone, Debug)]
struct Rec {
    what: What,
    session: usize,
    parent: Parent,
}

impl Rec {
    fn uuid(&self, i: usize) -> Option<String> {
        match self.what {
            What::Title => None,
            What::Hook => Some("hook".to_owned()),
            _ => Some(format!("u{i}")),
        }
    }

    fn parent(&self, i: usize, all: &[Rec]) -> Option<String> {
        match self.parent {
            Parent::Null => None,
            Parent::NeverWritten => Some("never".to_owned()),
            Parent::Next => Some(format!("u{}", i + 1)),
            Parent::Back(n) => match i.checked_sub(n) {
                Some(j) => Some(all[j].uuid(j).unwrap_or_else(|| format!("u{j}"))),
                None => Some("before the file".to_owned()),
            },
        }
    }

    fn line(&self, i: usize, all: &[Rec]) -> String {
        let parent = self.parent(i, all).map_or("null".to_owned(), |p| format!("{p:?}"));
        let session = self.session;
        let uuid = self.uuid(i).unwrap_or_default();
        let common = format!(r#""sessionId":"s{session}","parentUuid":{parent},"uuid":"{uuid}","n":{i}"#);
        match self.what {
            What::Prompt => format!(r#"{{{common},"type":"user","message":{{"content":"w"}}}}"#),
            What::Answer => {
                format!(r#"{{{common},"type":"assistant","message":{{"id":"m{i}","content":"w"}}}}"#)
            }
            What::Notice => format!(r#"{{{common},"type":"system","subtype":"note"}}"#),
            What::Hook => format!(r#"{{{common},"type":"saved_hook_context"}}"#),
            What::Title => format!(r#"{{"type":"ai-title","sessionId":"s{session}","n":{i}}}"#),
        }
    }
}

fn records() -> impl Strategy<Value = Vec<Rec>> {
    let what = prop_oneof![
        4 => Just(What::Prompt),
        4 => Just(What::Answer),
        2 => Just(What::Notice),
        1 => Just(What::Hook),
        1 => Just(What::Title),
    ];
    let parent = prop_oneof![
        1 => Just(Parent::Null),
        9 => Just(Parent::Back(1)),
        5 => (0usize..8).prop_map(Parent::Back),
        1 => Just(Parent::Next),
        1 => Just(Parent::NeverWritten),
    ];
    let session = prop_oneof![5 => Just(0usize), 1 => Just(1usize)];
    let record = (what, session, parent).prop_map(|(what, session, parent)| Rec { what, session, parent });
    prop::collection::vec(record, 1..30)
}

/// One session as a reader of the file would tell it: every line whole, from its first record on.
#[derive(Default)]
struct Walk {
    lines: Vec<Vec<usize>>,
    turns: Vec<usize>,
    /// Where a reader finds what has an id: on this line, as far as this record. 0 records are nothing.
    found: HashMap<String, (usize, usize)>,
    /// Where the parent of what has this id was found.
    under: HashMap<String, (usize, usize)>,
    written: usize,
    live: usize,
    prompted: bool,
}

impl Walk {
    fn push(&mut self, line: usize, i: usize) -> usize {
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.lines[line].push(i);
        self.written = line;
        self.lines[line].len()
    }

    fn moved_on(&self, line: usize, length: usize) -> bool {
        self.lines[line][length..].iter().any(|i| self.turns.contains(i))
    }

    /// The line that is being written, if it has this record in it; else the record's own.
    fn beside(&self, (line, length): (usize, usize)) -> usize {
        let shares = self.lines[self.written].get(..length) == Some(&self.lines[line][..length]);
        if shares { self.written } else { line }
    }

    fn take(&mut self, i: usize, rec: &Rec, all: &[Rec]) {
        let Some(uuid) = rec.uuid(i) else {
            self.push(self.written, i);
            return;
        };
        let named = rec.parent(i, all);
        let parent = named.as_ref().and_then(|p| self.found.get(p)).copied();
        let is_turn = matches!(rec.what, What::Prompt | What::Answer);
        let line = match parent {
            None if rec.what == What::Prompt && named.is_none() && self.prompted => {
                self.lines.push(Vec::new());
                self.lines.len() - 1
            }
            None => self.written,
            // Under the same parent it is the record before, written again.
            Some(at) if self.under.get(&uuid) == Some(&at) => self.beside(self.found[&uuid]),
            Some(at) if !is_turn => self.beside(at),
            Some((line, length)) if self.moved_on(line, length) => {
                let shared = self.lines[line][..length].to_vec();
                self.lines.push(shared);
                self.lines.len() - 1
            }
            Some((line, _)) => line,
        };
        // What is written beside a record that the line has left behind stands where that record is.
        let left =
            parent.filter(|(from, length)| !is_turn && (*from != line || self.moved_on(*from, *length)));
        let length = self.push(line, i);
        match parent {
            Some(at) => drop(self.under.insert(uuid.clone(), at)),
            None => drop(self.under.remove(&uuid)),
        }
        self.found.insert(uuid, left.unwrap_or((line, length)));
        if is_turn {
            self.turns.push(i);
            self.live = line;
        }
        self.prompted |= rec.what == What::Prompt;
    }

    fn histories(&self) -> BTreeSet<Vec<usize>> {
        let begins = |a: &Vec<usize>| self.lines.iter().any(|b| b.len() > a.len() && b.starts_with(a));
        self.lines.iter().filter(|line| !begins(line)).cloned().collect()
    }
}

fn walk(records: &[Rec]) -> HashMap<usize, Walk> {
    let mut walks: HashMap<usize, Walk> = HashMap::new();
    for (i, rec) in records.iter().enumerate() {
        walks.entry(rec.session).or_default().take(i, rec, records);
    }
    walks
}

fn read(store: &Store, session: &SessionId, branch: &BranchName) -> Vec<usize> {
    let address = Address::new(session.clone(), branch.clone());
    let events = store.events(Query::branch(&address).unwrap()).unwrap();
    let n =
        |e: retold::Event| serde_json::from_slice::<serde_json::Value>(e.payload()).unwrap()["n"].as_u64();
    events.map(|e| n(e.unwrap()).unwrap() as usize).collect()
}

fn histories(store: &Store, session: &SessionId) -> BTreeSet<Vec<usize>> {
    let branches = store.branches(session).unwrap();
    let all: Vec<Vec<usize>> = branches.iter().map(|b| read(store, session, &b.place.branch)).collect();
    let begins = |a: &Vec<usize>| all.iter().any(|b| b.len() > a.len() && b.starts_with(a));
    all.iter().filter(|line| !begins(line)).cloned().collect()
}

fn import(store: &Store, lines: &[String]) -> interop::Loaded {
    let options = Options::default().format(Some(Format::ClaudeCode));
    let plan = interop::parse("run.jsonl", &Bytes::from(lines.concat()), &options).unwrap();
    assert_eq!(plan.records, plan.events() + plan.duplicates + plan.skipped.len());
    interop::load(store, plan, &mut |_| {}).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_transcript_is_the_history_that_its_records_tell(records in records()) {
        let lines: Vec<String> =
            records.iter().enumerate().map(|(i, r)| r.line(i, &records) + "\n").collect();
        let store = Store::in_memory().unwrap();
        let loaded = import(&store, &lines);
        prop_assert_eq!((loaded.new, loaded.skipped.len()), (records.len(), 0));
        for (session, walk) in walk(&records) {
            let session: SessionId = format!("s{session}").as_str().try_into().unwrap();
            prop_assert_eq!(histories(&store, &session), walk.histories());
            // A first import makes the live line main.
            prop_assert_eq!(store.current(&session).unwrap(), BranchName::main());
            prop_assert_eq!(&read(&store, &session, &BranchName::main()), &walk.lines[walk.live]);
        }
        let again = import(&store, &lines);
        prop_assert_eq!((again.new, again.duplicates), (0, records.len()));
        prop_assert!(store.maintenance().verify().unwrap().is_clean());
    }

    #[test]
    fn a_transcript_that_is_imported_as_it_grows_tells_the_same_history(
        records in records(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let lines: Vec<String> =
            records.iter().enumerate().map(|(i, r)| r.line(i, &records) + "\n").collect();
        let store = Store::in_memory().unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| 1 + cut.index(lines.len())).collect();
        cuts.sort_unstable();
        for cut in cuts {
            import(&store, &lines[..cut]);
            for (session, walk) in walk(&records[..cut]) {
                let session: SessionId = format!("s{session}").as_str().try_into().unwrap();
                let current = store.current(&session).unwrap();
                prop_assert_eq!(&read(&store, &session, &current), &walk.lines[walk.live]);
            }
        }
        import(&store, &lines);
        for (session, walk) in walk(&records) {
            let session: SessionId = format!("s{session}").as_str().try_into().unwrap();
            prop_assert_eq!(histories(&store, &session), walk.histories());
        }
        prop_assert_eq!(import(&store, &lines).new, 0);
        prop_assert!(store.maintenance().verify().unwrap().is_clean());
    }
}
