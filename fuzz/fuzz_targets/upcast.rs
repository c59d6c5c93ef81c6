//! Any text is a file of event steps or is refused, and no payload makes steps panic. The payload stands after a line
//! `---`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::schema::Upcasts;

fuzz_target!(|input: &str| {
    let (text, payload) = input.split_once("\n---\n").unwrap_or((input, "{}"));
    let Ok(upcasts) = Upcasts::from_toml("upcast.toml", text) else { return };
    let upcasters: Vec<(String, u32)> =
        upcasts.upcasters().map(|s| (s.kind().to_owned(), s.version())).collect();
    for (kind, version) in upcasters {
        if let Ok(Some(shaped)) = upcasts.apply(&kind, version, payload.as_bytes(), true) {
            assert!(!upcasts.touches(&shaped.kind, shaped.version));
        }
    }
    assert_eq!(Upcasts::new(upcasts.upcasters().cloned()).unwrap().fingerprint(), upcasts.fingerprint());
});
