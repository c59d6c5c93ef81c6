//! Any text is a file of event steps or is refused, and no payload makes steps panic. The payload stands after a line
//! `---`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::schema::Upcasts;

fuzz_target!(|input: &str| {
    let (text, payload) = input.split_once("\n---\n").unwrap_or((input, "{}"));
    let Ok(upcasts) = Upcasts::from_toml("upcast.toml", text) else { return };
    let steps: Vec<(String, u32)> = upcasts.steps().map(|s| (s.kind().to_owned(), s.version())).collect();
    for (kind, version) in steps {
        if let Ok(Some(shaped)) = upcasts.apply(&kind, version, payload.as_bytes(), true) {
            assert!(!upcasts.touches(&shaped.kind, shaped.version));
        }
    }
    assert_eq!(Upcasts::new(upcasts.steps().cloned()).unwrap().fingerprint(), upcasts.fingerprint());
});
