//! Any transcript: whole, grown, damaged.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::testing::{all, branches, events, restored};
use super::super::*;
use crate::store::{Query, Store};

/// Transcripts that vary in what matters: who speaks, in reply to what, on which kind of line.
fn transcript() -> impl Strategy<Value = Vec<String>> {
    let line = (0usize..12, 0usize..8, any::<bool>(), "[ \t]{0,2}", "[ \t\r]{0,2}\n{0,2}");
    prop::collection::vec(line, 0..40).prop_map(|lines| {
        let mut out = Vec::new();
        for (i, (what, back, has_parent, before, after)) in lines.into_iter().enumerate() {
            let parent = if has_parent { format!("\"u{}\"", i.saturating_sub(back)) } else { "null".to_owned() };
            let common = format!("\"sessionId\":\"s{}\",\"parentUuid\":{parent},\"uuid\":\"u{i}\"", what / 11);
            let m = i / 3;
            let text = match what {
                0..=2 => format!(r#"{{{common},"type":"user","message":{{"content":"w{i}"}}}}"#),
                3..=5 => format!(r#"{{{common},"type":"assistant","message":{{"id":"m{m}","content":[{{"type":"text"}}]}}}}"#),
                6 => format!(r#"{{{common},"type":"assistant","message":{{"id":"m{m}","content":[{{"type":"tool_use","id":"t{m}","name":"Task","input":{{"prompt":"w{m}"}}}}]}}}}"#),
                7 => format!(r#"{{{common},"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t{m}"}}]}}}}"#),
                8 => format!(r#"{{{common},"type":"system","subtype":"note"}}"#),
                9 => format!(r#"{{"type":"summary","n":{back}}}"#),
                10 => format!(r#"{{{common},"isSidechain":true,"type":"user","message":{{"content":"w{m}"}}}}"#),
                _ => format!(r#"{{{common},"type":"user","isMeta":true,"message":{{"content":"x"}}}}"#),
            };
            out.push(format!("{before}{text}{after}\n"));
        }
        out
    })
}

fn claude(bytes: &[u8]) -> Plan {
    let options = Options::default().format(Some(Format::ClaudeCode)).session(Some("s".try_into().unwrap()));
    parse("f.jsonl", &Bytes::copy_from_slice(bytes), &options).unwrap()
}

/// The kind of each event, in the order of the file.
fn outline(plan: &Plan) -> Vec<String> {
    events(plan).map(|(p, e)| format!("{} {} {:?} {}", p.session, e.id(), e.causation, e.kind())).collect()
}

/// Every line of history from its first event to its last, whatever its branch is called.
fn histories(store: &Store) -> BTreeSet<Vec<crate::event::EventId>> {
    let all: BTreeSet<_> = branches(store).into_iter().map(|(_, ids)| ids).collect();
    // A prefix comes right before the line that it begins.
    let mut whole: BTreeSet<Vec<_>> = BTreeSet::new();
    for line in all {
        if let Some(last) = whole.last().filter(|last| line.starts_with(last)).cloned() {
            whole.remove(&last);
        }
        whole.insert(line);
    }
    whole
}

/// The events of the current branch of each session.
fn currents(store: &Store) -> Vec<Vec<crate::event::EventId>> {
    let read = |session: crate::store::SessionInfo| {
        let branch = store.current(&session.session).unwrap();
        let address = crate::event::Address::new(session.session, branch);
        store.events(Query::branch(&address).unwrap()).unwrap().map(|e| e.unwrap().id()).collect()
    };
    store.sessions(None, 100).unwrap().into_iter().map(read).collect()
}

proptest! {
    #[test]
    fn any_transcript_comes_back(lines in transcript(), last_newline: bool, bom: bool) {
        let mut file = if bom { "\u{feff}".to_owned() } else { String::new() };
        file.extend(lines);
        if !last_newline { file.truncate(file.trim_end().len()); }
        let plan = claude(file.as_bytes());
        prop_assert!(plan.skipped.is_empty() && plan.notes.is_empty());
        prop_assert_eq!(plan.events() + plan.duplicates, plan.records);
        if plan.records > 0 { prop_assert_eq!(restored(&plan), file); }
    }

    #[test]
    fn a_transcript_that_grew_begins_as_it_did(lines in transcript(), cut in 0usize..40) {
        let part: String = lines.iter().take(cut).map(String::as_str).collect();
        let whole: String = lines.concat();
        let (part, whole) = (outline(&claude(part.as_bytes())), outline(&claude(whole.as_bytes())));
        prop_assert_eq!(&part[..], &whole[..part.len()]);
    }

    #[test]
    fn every_fork_leaves_an_event_that_is_there(lines in transcript()) {
        let plan = claude(lines.concat().as_bytes());
        let mut at_place = std::collections::HashMap::new();
        let mut branches = std::collections::HashSet::new();
        for step in &plan.steps {
            match step {
                PlanStep::Fork { place, parent, at } => {
                    prop_assert!(branches.insert(place.clone()), "{} twice", place);
                    prop_assert!(at.is_none_or(|at| at_place.get(&at) == Some(parent)));
                }
                PlanStep::Append { place, events } => {
                    prop_assert!(place.branch.as_str() == "main" || branches.contains(place));
                    at_place.extend(events.iter().map(|e| (e.id(), place.clone())));
                }
            }
        }
    }

    #[test]
    fn a_damaged_file_loses_only_what_was_damaged(lines in transcript(), at: prop::sample::Index, with: u8) {
        let mut file = lines.concat().into_bytes();
        prop_assume!(!file.is_empty());
        let records = claude(&file).records;
        let i = at.index(file.len());
        prop_assume!(file[i] != b'\n' && with != b'\n');
        file[i] = with;
        let plan = claude(&file);
        prop_assert!(plan.skipped.len() <= 1 && plan.records <= records + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_transcript_imported_as_it_grows_is_the_same_as_at_once(lines in transcript(), cut in 1usize..40) {
        let part: String = lines.iter().take(cut).map(String::as_str).collect();
        let whole: String = lines.concat();
        prop_assume!(!part.trim().is_empty());
        let import = |files: &[&str]| {
            let store = Store::in_memory().unwrap();
            for file in files { load(&store, claude(file.as_bytes()), &mut |_| {}).unwrap(); }
            store
        };
        let (once, grown) = (import(&[&whole]), import(&[&part, &whole, &whole]));
        prop_assert!(grown.maintenance().verify().unwrap().is_clean());
        prop_assert_eq!(histories(&once), histories(&grown));
        prop_assert_eq!(currents(&once), currents(&grown));
        for store in [once, grown] {
            let files = restore(&all(&store));
            prop_assert_eq!(std::str::from_utf8(&files[0].bytes).unwrap(), &whole);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_damaged_file_comes_back_through_a_store_and_its_sum_adds_up(lines in transcript(), at: prop::sample::Index, what in 0u8..4, bytes in prop::collection::vec(any::<u8>(), 0..30)) {
        let mut file = lines.concat().into_bytes();
        prop_assume!(!file.is_empty());
        let i = at.index(file.len());
        match what {
            0 => drop(file.splice(i..i, bytes)),
            1 => drop(file.splice(i..i, vec![0; 200])),
            2 => drop(file.splice(i..i, lines[0].trim().bytes().collect::<Vec<u8>>())),
            _ => file.truncate(i),
        }
        let options = Options::default().format(Some(Format::ClaudeCode));
        let plan = parse("f.jsonl", &Bytes::copy_from_slice(&file), &options).unwrap();
        prop_assert_eq!(plan.records, plan.events() + plan.skipped.len() + plan.duplicates);
        prop_assume!(plan.events() > 0);
        let store = Store::in_memory().unwrap();
        let loaded = load(&store, plan, &mut |_| {}).unwrap();
        prop_assert_eq!(loaded.records, loaded.new + loaded.skipped.len() + loaded.duplicates);
        let (files, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
        prop_assert_eq!(files.len(), 1);
        prop_assert!(files[0].bytes == file);
    }
}
