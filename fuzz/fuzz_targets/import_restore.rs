//! Whatever is imported comes back byte for byte, and what is reported adds up.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::Store;
use retold::agents::interop::{ExportScope, Format, Options, export_sources, load, parse};

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::ClaudeCode, Format::OpenHands, Format::CloudEvents, Format::Temporal] {
        let options = Options::default().format(Some(format));
        let plan = parse("fuzzed.jsonl", &Bytes::copy_from_slice(bytes), &options).unwrap();
        assert_eq!(plan.records, plan.events() + plan.duplicates + plan.skipped.len());
        let store = Store::in_memory().unwrap();
        let loaded = load(&store, plan, &mut |_| {}).unwrap();
        assert_eq!(loaded.records, loaded.new + loaded.duplicates + loaded.skipped.len());
        if loaded.import.is_some() {
            let (files, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
            assert!(files.len() == 1 && files[0].bytes == bytes);
        }
    }
});
