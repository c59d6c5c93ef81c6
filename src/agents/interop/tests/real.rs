//! Files that other programs really wrote, if they are available: in the folder that the variable `IMPORT_TEST_FILES` names,
//! else in `../shared`.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::testing::{events, restored_files};
use super::super::*;
use crate::store::Store;

/// What no format takes: logs of other programs, and a trajectory of SWE-agent.
const FOREIGN: [&str; 3] = ["analytics.ndjson", "esdb.ndjson", "ctf_katy.traj"];

fn real(folder: &str) -> Vec<(PathBuf, Bytes)> {
    shared(&format!("real/{folder}"))
}

/// The files of a folder and of those in it. Those that were asked for have to be there.
fn shared(folder: &str) -> Vec<(PathBuf, Bytes)> {
    let named = std::env::var_os("IMPORT_TEST_FILES").map(PathBuf::from);
    let root = match &named {
        Some(named) => named.join(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder),
    };
    assert!(named.is_none() || root.is_dir(), "IMPORT_TEST_FILES has no folder {folder}");
    let (mut folders, mut files) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("skipped: {} is not there", folder.display());
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files.into_iter().map(|p| (p.clone(), std::fs::read(p).unwrap().into())).collect()
}

#[test]
fn every_file_goes_into_a_store_once_and_comes_back_byte_for_byte() {
    let is_prose = |path: &Path| path.extension().is_some_and(|e| e == "md");
    let files = ["real", "cases"].into_iter().flat_map(shared).filter(|(path, _)| !is_prose(path));
    for (path, bytes) in files {
        let name = path.to_string_lossy().into_owned();
        let is_foreign = FOREIGN.iter().any(|foreign| path.ends_with(foreign));
        let Ok(plan) = parse(&name, &bytes, &Options::default()) else {
            assert!(is_foreign, "{name} is refused");
            continue;
        };
        assert!(!is_foreign, "{name} is taken for {}", plan.format);
        let store = Store::in_memory().unwrap();
        let first = load(&store, plan.clone(), &mut |_| {}).unwrap();
        assert_eq!(first.records, first.new + first.duplicates + first.skipped.len(), "{name}");
        let again = load(&store, plan, &mut |_| {}).unwrap();
        assert_eq!((again.new, again.import, again.changed), (0, None, None), "{name}");
        let (back, left) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
        assert_eq!((back.len(), left), (1, 0), "{name}");
        assert!(back[0].bytes == bytes, "{name} did not come back");
        assert!(store.maintenance().verify().unwrap().is_clean(), "{name}");
    }
}

#[test]
fn a_file_that_has_changed_comes_back_as_it_is_now() {
    let all = shared("cases/reimport");
    for pair in all.chunks_exact(2) {
        let store = Store::in_memory().unwrap();
        for (path, bytes) in pair.iter().chain(&pair[..1]) {
            let plan = parse("log.jsonl", bytes, &Options::default()).unwrap();
            load(&store, plan, &mut |_| {}).unwrap();
            let (back, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
            assert!(back.len() == 1 && back[0].bytes == *bytes, "{}", path.display());
        }
    }
}

#[test]
fn real_files_come_back_byte_for_byte() {
    for (folder, format) in [
        ("claude-code", Format::ClaudeCode),
        ("openhands", Format::OpenHands),
        ("temporal", Format::Temporal),
        ("ag-ui", Format::AgUi),
    ] {
        // One of them is prose with streams between.
        for (path, bytes) in
            real(folder).into_iter().filter(|(path, _)| path.extension() != Some("txt".as_ref()))
        {
            let name = path.to_string_lossy().into_owned();
            let plan = parse(&name, &bytes, &Options::default()).unwrap();
            assert_eq!(plan.format, format, "{name}");
            assert!(
                plan.skipped.is_empty() && plan.notes.is_empty(),
                "{name}: {:?} {:?}",
                plan.skipped,
                plan.notes
            );
            assert_eq!(plan.events(), plan.records, "{name}");
            let files = restored_files(&plan);
            assert_eq!(files.len(), 1);
            assert!(files[0].bytes == bytes, "{name} did not come back");
            let mut seen = std::collections::HashMap::new();
            for (place, e) in events(&plan) {
                println!("{} {place} {} {:?}", e.id(), e.kind(), e.causation);
                assert!(seen.insert(e.id(), e.kind().to_owned()).is_none());
            }
        }
    }
}

#[test]
fn the_real_side_branch_gives_two_branches() {
    for (path, bytes) in real("claude-code").into_iter().filter(|(p, _)| p.ends_with("side-branch.jsonl")) {
        let plan = parse(&path.to_string_lossy(), &bytes, &Options::default()).unwrap();
        let places: Vec<String> = plan.places().into_iter().map(|p| p.branch.to_string()).collect();
        assert_eq!(places, ["main", "side-95100eaf"]);
        let forked = events(&plan).nth(1).unwrap().1.id;
        let forks: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|s| if let PlanStep::Fork { at, .. } = s { *at } else { None })
            .collect();
        assert_eq!(forks, [forked]);
        assert_eq!(events(&plan).filter(|(p, _)| p.branch.as_str() == "main").count(), 115);
    }
}
