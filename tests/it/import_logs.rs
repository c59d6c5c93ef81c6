//! Event logs of random records, imported, against a walk of the same records that knows nothing of the importers:
//! ids that repeat, are missing or name nothing, records that are glued together, branches that begin anywhere.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use retold::agents::interop::{self, ExportScope, Format, Options};
use retold::{Address, Event, EventId, Query, SessionId, Store};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    Own,
    /// That of a record before it, with other content.
    Taken(usize),
    /// The whole record before it once more.
    Copy(usize),
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    None,
    /// So many records before; 0 is the record itself.
    Back(usize),
    Next,
    NeverWritten,
}

#[derive(Clone, Debug)]
struct Rec {
    id: Id,
    cause: Cause,
    session: usize,
    branch: usize,
    /// Whether the file says that this branch begins here, before its first record; at which of the records before.
    fork: Option<(usize, usize)>,
    gap: &'static str,
}

fn records() -> impl Strategy<Value = Vec<Rec>> {
    let id = prop_oneof![
        8 => Just(Id::Own),
        1 => (1usize..9).prop_map(Id::Taken),
        1 => (1usize..9).prop_map(Id::Copy),
        1 => Just(Id::Missing),
    ];
    let cause = prop_oneof![
        3 => Just(Cause::None),
        5 => (0usize..6).prop_map(Cause::Back),
        1 => Just(Cause::Next),
        1 => Just(Cause::NeverWritten),
    ];
    let session = prop_oneof![4 => Just(0usize), 1 => Just(1usize)];
    let branch = prop_oneof![4 => Just(0usize), 1 => Just(1usize), 1 => Just(2usize)];
    let fork = prop::option::of((1usize..3, 0usize..12));
    let gap = prop_oneof![6 => Just("\n"), 1 => Just(""), 1 => Just(" \r\n\n")];
    let record = (id, cause, session, branch, fork, gap)
        .prop_map(|(id, cause, session, branch, fork, gap)| Rec { id, cause, session, branch, fork, gap });
    prop::collection::vec(record, 1..25)
}

/// What a log can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    OpenHands,
    CloudEvents,
    Aios,
    Retold,
}

impl Log {
    fn format(self) -> Format {
        match self {
            Self::OpenHands => Format::OpenHands,
            Self::CloudEvents => Format::CloudEvents,
            Self::Aios => Format::Aios,
            Self::Retold => Format::Retold,
        }
    }

    /// The id of record `i` as the log writes it.
    fn id(self, i: usize) -> String {
        match self {
            Self::OpenHands => i.to_string(),
            Self::CloudEvents if i % 3 == 2 => format!("r-{i}"),
            Self::CloudEvents | Self::Retold => format!("00000000-0000-4000-8000-{i:012}"),
            Self::Aios => format!("e{i}"),
        }
    }

    fn needs_id(self) -> bool {
        matches!(self, Self::CloudEvents | Self::Aios)
    }

    fn branches(self) -> bool {
        self != Self::OpenHands
    }

    fn forks(self) -> bool {
        self == Self::Retold
    }

    /// Whether ids of two sessions are apart.
    fn ids_are_of_a_session(self) -> bool {
        self == Self::Aios
    }

    /// Causes are ids of events here, not of the producer.
    fn can_name_as_cause(self, id: usize) -> bool {
        self != Self::CloudEvents || id % 3 != 2
    }

    fn line(self, i: usize, rec: &Rec, id: Option<usize>, cause: Option<usize>) -> String {
        let text = |name: &str, value: Option<String>| {
            value.map_or_else(String::new, |v| format!(r#""{name}":{v:?},"#))
        };
        let id = id.map(|j| self.id(j));
        let cause = cause.map(|j| self.id(j));
        let (session, branch) = (name(rec.session), branch_name(rec.branch));
        match self {
            Self::OpenHands => {
                let number = |name: &str, value: Option<String>| {
                    value.map_or_else(String::new, |v| format!(r#""{name}":{v},"#))
                };
                let (id, cause) = (number("id", id), number("cause", cause));
                format!(
                    r#"{{{id}{cause}"timestamp":"2026-01-01T00:00:00","source":"agent","action":"run","args":{{}},"n":{i}}}"#
                )
            }
            Self::CloudEvents => {
                let (id, cause) = (text("id", id), text("causation", cause));
                format!(
                    r#"{{"specversion":"1.0",{id}{cause}"source":"/a","type":"run.step","session":"{session}","branch":"{branch}","data":{{"n":{i}}}}}"#
                )
            }
            Self::Aios => {
                let (id, cause) = (text("event_id", id), text("causation_id", cause));
                format!(
                    r#"{{{id}{cause}"session_id":"{session}","branch_id":"{branch}","timestamp":"2026-01-01T00:00:00Z","kind":{{"type":"RunStarted"}},"n":{i}}}"#
                )
            }
            Self::Retold => {
                let (id, cause) = (text("id", id), text("causation", cause));
                format!(
                    r#"{{{id}{cause}"session":"{session}","branch":"{branch}","type":"run.step","time":"2026-01-01T00:00:00Z","data":{{"n":{i}}}}}"#
                )
            }
        }
    }
}

fn name(session: usize) -> String {
    format!("s{session}")
}

fn branch_name(branch: usize) -> String {
    if branch == 0 { "main".to_owned() } else { format!("b{branch}") }
}

/// A file, and what a reader of it would tell.
#[derive(Default)]
struct Walk {
    file: String,
    records: usize,
    /// The histories, each whole from its first record on.
    lines: BTreeMap<(usize, usize), Vec<usize>>,
    /// What led to a record: the first one with the id that it names.
    causes: BTreeMap<usize, Option<usize>>,
    skipped: usize,
    copies: usize,
}

impl Walk {
    fn of(log: Log, records: &[Rec]) -> Self {
        let mut walk = Self::default();
        // Of each record: its text, the number in its id, its session.
        let mut written: Vec<(String, Option<usize>, usize, usize)> = Vec::new();
        let mut named: Vec<(Option<usize>, Option<usize>)> = Vec::new();
        for (i, rec) in records.iter().enumerate() {
            let mut rec = rec.clone();
            if !log.branches() {
                (rec.session, rec.branch) = (0, 0);
            }
            let place = (rec.session, rec.branch);
            if let Some((parent, back)) = rec.fork.filter(|_| log.forks() && rec.branch != 0) {
                walk.fork(log, place, parent % 3, back, &written);
            }
            let before = |back: usize| i.checked_sub(back);
            if let Id::Copy(back) = rec.id
                && let Some(j) = before(back)
                && let (line, id @ Some(_), session, branch) = written[j].clone()
            {
                walk.copies += 1;
                walk.write(&line, rec.gap);
                written.push((line, id, session, branch));
                named.push((None, None));
                continue;
            }
            let id = match rec.id {
                Id::Missing => None,
                Id::Taken(back) => Some(before(back).and_then(|j| written[j].1).unwrap_or(i)),
                Id::Own | Id::Copy(_) => Some(i),
            };
            let cause = match rec.cause {
                Cause::None => None,
                Cause::Back(back) => before(back),
                Cause::Next => Some(i + 1),
                Cause::NeverWritten => Some(999),
            };
            let line = log.line(i, &rec, id, cause);
            walk.write(&line, rec.gap);
            written.push((line, id, rec.session, rec.branch));
            if id.is_none() && log.needs_id() {
                walk.skipped += 1;
                named.push((None, None));
                continue;
            }
            named.push((id, cause));
            walk.lines.entry(place).or_default().push(i);
            if place.1 != 0 {
                walk.lines.entry((place.0, 0)).or_default();
            }
        }
        for (i, (_, cause)) in named.iter().enumerate() {
            let cause = cause.filter(|id| log.can_name_as_cause(*id));
            let first = cause.and_then(|id| {
                let is_it = |j: &usize| {
                    named[*j].0 == Some(id) && (!log.ids_are_of_a_session() || written[*j].2 == written[i].2)
                };
                (0..named.len()).find(is_it)
            });
            walk.causes.insert(i, first);
        }
        walk
    }

    fn write(&mut self, line: &str, gap: &str) {
        self.records += 1;
        self.file.push_str(line);
        self.file.push_str(gap);
    }

    /// A line that says where a branch begins, if that is a place where a reader can find it.
    fn fork(
        &mut self,
        log: Log,
        place: (usize, usize),
        parent: usize,
        back: usize,
        written: &[(String, Option<usize>, usize, usize)],
    ) {
        if self.lines.contains_key(&place) || parent == place.1 {
            return;
        }
        let Some(history) = self.lines.get(&(place.0, parent)) else { return };
        let with_id = |i: &&usize| written[**i].1 == Some(**i);
        // One that is nowhere: the branch has its own records only.
        let at = history.iter().rev().filter(with_id).nth(back).copied().unwrap_or(999);
        let length = history.iter().position(|i| *i == at).map_or(0, |at| at + 1);
        let shared = history[..length].to_vec();
        let (session, branch, from) = (name(place.0), branch_name(place.1), branch_name(parent));
        let event = log.id(at);
        self.file.push_str(&format!(
            r#"{{"session":"{session}","branch":"{branch}","forked":{{"from":"{from}","at":{length},"event":"{event}"}}}}"#
        ));
        self.file.push('\n');
        self.lines.insert(place, shared);
    }
}

fn number(event: &Event) -> usize {
    let payload: serde_json::Value = serde_json::from_slice(event.payload()).unwrap();
    payload["n"].as_u64().unwrap() as usize
}

fn check(log: Log, records: &[Rec]) -> Result<(), TestCaseError> {
    let walk = Walk::of(log, records);
    let options = Options::default().format(Some(log.format())).session(if log.branches() {
        None
    } else {
        Some(SessionId::new("s0").unwrap())
    });
    let import = |store: &Store| {
        let plan = interop::parse("log.jsonl", &Bytes::from(walk.file.clone()), &options).unwrap();
        interop::load(store, plan, &mut |_| {}).unwrap()
    };
    let store = Store::in_memory().unwrap();
    let loaded = import(&store);
    let all: usize = walk.causes.len() - walk.copies - walk.skipped;
    prop_assert_eq!(
        (loaded.records, loaded.new, loaded.duplicates, loaded.skipped.len()),
        (walk.records, all, walk.copies, walk.skipped),
        "{:?} {}",
        loaded,
        walk.file
    );
    let mut branches = BTreeSet::new();
    for ((session, branch), history) in &walk.lines {
        let address: Address = format!("{}/{}", name(*session), branch_name(*branch)).parse().unwrap();
        branches.insert(address.to_string());
        let events: Vec<Event> =
            store.events(Query::branch(&address).unwrap()).unwrap().map(Result::unwrap).collect();
        let told: Vec<usize> = events.iter().map(number).collect();
        prop_assert_eq!(&told, history, "{} of {}", address, walk.file);
        for event in &events {
            let cause: Option<EventId> = event.causation();
            let found = cause.and_then(|id| store.get(id).ok()).map(|e| number(&e));
            prop_assert_eq!(found, walk.causes[&number(event)], "{} in {}", number(event), walk.file);
        }
    }
    let mut stored = BTreeSet::new();
    for session in store.sessions(None, 10).unwrap() {
        for branch in store.branches(&session.session).unwrap() {
            stored.insert(Address::from(branch.place).to_string());
        }
    }
    prop_assert_eq!(stored, branches, "{}", walk.file);
    let again = import(&store);
    prop_assert_eq!((again.new, again.duplicates), (0, all + walk.copies));
    if log != Log::Retold && loaded.import.is_some() {
        let (files, _) = interop::export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
        prop_assert!(files.len() == 1 && files[0].bytes == walk.file.as_bytes(), "{}", walk.file);
    }
    prop_assert!(store.maintenance().verify().unwrap().is_clean());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_trajectory_of_openhands_is_the_history_that_its_records_tell(records in records()) {
        check(Log::OpenHands, &records)?;
    }

    #[test]
    fn a_log_of_cloudevents_is_the_histories_that_its_records_tell(records in records()) {
        check(Log::CloudEvents, &records)?;
    }

    #[test]
    fn a_log_of_aios_events_is_the_histories_that_its_records_tell(records in records()) {
        check(Log::Aios, &records)?;
    }

    #[test]
    fn a_log_of_ours_is_the_histories_that_its_records_tell(records in records()) {
        check(Log::Retold, &records)?;
    }
}
