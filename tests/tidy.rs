//! Holds the tree to its rules: who imports whom, what is named where, what belongs beside what.
//!
//! Each check is a pure function from the files to its findings, so each is also run on a planted violation
//! (`tests/tidy/planted.rs`). The rules in words are in `docs/architecture.md` and `CONTRIBUTING.md`.

#[path = "tidy/api.rs"]
mod api;
#[path = "tidy/api_page.rs"]
mod api_page;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/layers.rs"]
mod layers;
#[cfg(test)]
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use std::path::Path;

use tree::{Finding, Tree};

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: [Check; 17] = [
    api_page::api,
    layers::layering,
    layers::front_ends,
    layers::testkit,
    layers::crate_root,
    layers::private_files,
    layers::engines,
    layers::port,
    layers::primitives,
    layers::printing,
    circles::circles,
    files::migrations,
    files::listed,
    files::format_page,
    files::length,
    files::unfinished,
    files::widths,
];

#[test]
fn the_tree_keeps_its_rules() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(
        ["src/lib.rs", "cli/src/main.rs", "tests/tidy.rs"].iter().all(|file| tree.has(file)),
        "the tree was not found"
    );
    for line in files::growing(&tree) {
        println!("tidy: {line}: what is its second idea?");
    }
    let found: Vec<String> = CHECKS.iter().flat_map(|check| check(&tree)).map(|f| f.to_string()).collect();
    assert!(found.is_empty(), "{} broken:\n\n{}\n", found.len(), found.join("\n"));
}

#[test]
fn the_page_of_the_public_api_is_written_when_that_is_asked_for() {
    if std::env::var_os("RENEW_API").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let api = api::Api::read(&Tree::read(root).unwrap()).unwrap();
    std::fs::write(root.join(api_page::PAGE), api_page::page(&api)).unwrap();
}

#[test]
fn a_finding_names_file_line_and_rule() {
    let tree = Tree::new([("src/limits.rs".into(), "\nuse crate::bus::Route;".into())]);
    let found: Vec<String> = CHECKS.iter().flat_map(|check| check(&tree)).map(|f| f.to_string()).collect();
    let layer = "src/limits.rs:2: [layer] `limits` (layer 0) imports `bus` (layer 7); only lower layers may be imported";
    assert!(found.iter().any(|f| f == layer), "{found:#?}");
}
