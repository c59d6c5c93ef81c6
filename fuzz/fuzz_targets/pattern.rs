//! No glob and no name make matching panic or run away, and `**` matches whatever there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::Pattern;

fuzz_target!(|input: (&str, &str)| {
    let (glob, name) = input;
    let Ok(pattern) = Pattern::new(glob) else { return };
    assert_eq!(pattern.as_str(), glob);
    let matches = pattern.matches(name);
    if pattern.as_str() == "**" {
        assert!(matches);
    }
    if !glob.contains('*') && !glob.starts_with("fnmatch:") {
        assert_eq!(matches, glob == name);
    }
});
