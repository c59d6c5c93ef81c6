//! What the fuzz targets of the formats begin with.

use std::path::Path;

use super::super::testing::restored;
use super::super::*;

#[test]
fn every_format_has_seeds_that_are_its_own_and_come_back() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    if !seeds.is_dir() {
        println!("skipped: {} is not there", seeds.display());
        return;
    }
    for format in Format::ALL {
        let folder = seeds.join(format!("import_{}", format.name().replace('-', "_")));
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{format}");
        for path in files {
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.len() < 4_096, "{} is long for a seed", path.display());
            let detected = Format::detect("x", &bytes);
            assert_eq!(detected.unwrap_or(Format::Ndjson), format, "{}", path.display());
            let plan =
                parse("x.jsonl", &bytes.clone().into(), &Options::default().format(Some(format))).unwrap();
            assert!(plan.events() > 2 && plan.skipped.is_empty(), "{} {:?}", path.display(), plan.skipped);
            // Lines in our own format are the events themselves.
            if format != Format::Retold {
                assert_eq!(restored(&plan).as_bytes(), bytes, "{}", path.display());
            }
        }
    }
}
