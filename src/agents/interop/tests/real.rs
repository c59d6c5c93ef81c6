//! Files that other programs really wrote, if they are available.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::testing::{events, restored_files};
use super::super::*;

fn real(folder: &str) -> Vec<(PathBuf, Bytes)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real").join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        println!("skipped: {} is not there", root.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files.into_iter().map(|p| (p.clone(), std::fs::read(p).unwrap().into())).collect()
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
