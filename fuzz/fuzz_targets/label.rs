//! Any bytes are the label of a backup or are refused, and a label is written and read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::codec::{BackupLabel, Meta};

/// The tag of the label among the additional fields.
const LABEL: u16 = 1;

fuzz_target!(|bytes: &[u8]| {
    let mut meta = Meta::new([1; 16], 2);
    meta.others.set(LABEL, Some(bytes.to_vec()));
    let Ok(Some((label, is_untouched))) = BackupLabel::of(&meta) else { return };
    let mut again = meta.clone();
    label.stick(&mut again);
    assert_eq!(BackupLabel::of(&again), Ok(Some((label, true))));
    assert!(is_untouched || again != meta, "the hash of the rest is in the label");
});
