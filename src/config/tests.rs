use std::fs;

use super::*;
use crate::error::Error;

const NONE: [(&str, &str); 0] = [];

fn refusal(loader: Loader) -> (&'static str, String) {
    match loader.load().unwrap_err() {
        Error::Invalid(e) => (e.field, e.reason),
        e => panic!("{e}"),
    }
}

fn file(dir: &tempfile::TempDir, text: &str) -> Loader {
    fs::write(dir.path().join("retold.toml"), text).unwrap();
    Settings::loader().from_folder(dir.path()).environment(NONE)
}

#[test]
fn the_later_source_wins_and_every_value_knows_where_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let text = "# mine\nworkers = 3\nflush_bytes = 1_000\n\nhistory_limit = 7\ntwo_phase = true\n";
    let loader = file(&dir, text)
        .environment([("RETOLD_WORKERS", "4"), ("RETOLD_HISTORY_LIMIT", "8"), ("RETOLD_SPILL_BYTES", "")])
        .set("workers", 5);
    let settings = loader.load().unwrap();
    let path = settings.file().unwrap().to_owned();
    assert_eq!(path, dir.path().join("retold.toml"));
    let of = |key: &str| (settings.get(key).unwrap().to_string(), settings.get(key).unwrap().origin.clone());
    assert_eq!(of("workers"), ("5".into(), Origin::Given));
    assert_eq!(of("history_limit"), ("8".into(), Origin::Environment("RETOLD_HISTORY_LIMIT".into())));
    assert_eq!(of("flush_bytes"), ("1000".into(), Origin::File(path.clone(), 3)));
    assert_eq!(of("two_phase"), ("true".into(), Origin::File(path, 6)));
    assert_eq!(of("spill_bytes").1, Origin::Default);
    assert_eq!((settings.workers(), settings.history_limit()), (5, 8));
    let json = serde_json::to_value(settings.get("workers").unwrap()).unwrap();
    assert_eq!((&json["value"], &json["from"]), (&5.into(), &"given".into()));
}

#[test]
fn without_a_source_everything_is_as_a_store_has_it() {
    let settings = Settings::loader().no_file().environment(NONE).load().unwrap();
    assert!(settings.all().all(|s| s.origin == Origin::Default && s.to_string() == s.key.default()));
    assert_eq!(settings.all().count(), KEYS.len());
    let of = |builder: &Builder| format!("{builder:?}");
    assert_eq!(of(&settings.builder().unwrap()), of(&Builder::new()));
    assert_eq!(settings.store(), Path::new("./retold.redb"));
    assert!(settings.timers() && settings.dead_letter_max() > 0 && settings.spill_bytes() > 0);
}

#[test]
fn a_consumer_keeps_as_many_dead_letters_as_configured() {
    let dead_letters = |number: u64| {
        let settings =
            Settings::loader().no_file().environment(NONE).set("dead_letter_max", number).load().unwrap();
        settings.consumer().settings().into_iter().find(|(name, _)| *name == "max_dead_letters").unwrap().1
    };
    assert_eq!((dead_letters(4), dead_letters(1_000_000)), ("4".into(), "100000".into()));
}

#[test]
fn every_setting_of_the_store_reaches_its_builder() {
    let other = [
        ("cache_bytes", "4096"),
        ("flush_events", "5"),
        ("flush_bytes", "6"),
        ("flush_idle_ms", "7"),
        ("durability", "relaxed"),
        ("max_payload_bytes", "8"),
        ("sync", "false"),
        ("two_phase", "true"),
        ("fast_recovery", "false"),
        ("project_flush_ms", "9"),
        ("strict_types", "true"),
        #[cfg(feature = "schema")]
        ("validate", "enforce"),
    ];
    let of = |key: &str, value: &str| {
        let settings = Settings::loader().no_file().environment(NONE).set(key, value).load().unwrap();
        format!("{:?}", settings.builder().unwrap())
    };
    let plain = format!("{:?}", Builder::new());
    for (key, value) in other {
        assert_ne!(of(key, value), plain, "{key}");
    }
}

#[tokio::test]
async fn every_setting_of_the_bus_reaches_it() {
    let dir = tempfile::tempdir().unwrap();
    let loader =
        || Settings::loader().no_file().environment(NONE).set("spill_bytes", 900).set("history_limit", 2);
    let settings = loader().set("workers", 3).set("dead_letter_max", 4).set("timers", false).load().unwrap();
    assert_eq!((settings.workers(), settings.dead_letter_max(), settings.timers()), (3, 4, false));
    let store = Store::open(dir.path().join("s.redb")).unwrap();
    let bus = settings.bus().open(&store).unwrap();
    store.timers().schedule("s", crate::event::NewEvent::new("a.b"), Duration::ZERO).unwrap();
    for _ in 0..3 {
        bus.publish("s", crate::event::NewEvent::new("step.done")).await.unwrap();
    }
    let mut steps = store.follow(crate::follow::Follow::all()).unwrap();
    for _ in 0..3 {
        assert_eq!(steps.next_event().await.unwrap().unwrap().kind(), "step.done");
    }
    bus.close().await.unwrap();
    assert_eq!(store.timers().list(9).unwrap().len(), 1, "this bus was not to fire timers");
    let bus = loader().load().unwrap().bus().open(&store).unwrap();
    assert_eq!(steps.next_event().await.unwrap().unwrap().kind(), "a.b");
    bus.close().await.unwrap();
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let (field, reason) = refusal(file(&dir, "cache_bytes = 1\nworker = 3\n"));
    assert_eq!(field, "configuration");
    assert!(
        reason.contains("`worker`") && reason.contains("line 2") && reason.contains("`workers`"),
        "{reason}"
    );
    let (_, reason) = refusal(file(&dir, "[bus]\nworkers = 3\n"));
    assert!(reason.contains("`bus`"), "{reason}");
    let (_, reason) = refusal(file(&dir, "elephant = 3\n"));
    assert!(!reason.contains("mean"), "{reason}");
    let loader = || Settings::loader().no_file().environment(NONE);
    assert!(refusal(loader().set("durabilty", 1)).1.contains("durability"));
    let (_, reason) = refusal(loader().environment([("RETOLD_WORKRES", "3")]));
    assert!(reason.contains("RETOLD_WORKRES") && reason.contains("RETOLD_WORKERS"), "{reason}");
    // Nothing that looks like a key is left out without a word, and none is read under two names.
    for slip in ["RETOLD_workers", "RETOLD_RETOLD_WORKERS"] {
        let (_, reason) = refusal(loader().environment([(slip, "3")]));
        assert!(reason.contains(slip) && reason.contains("mean RETOLD_WORKERS?"), "{reason}");
    }
    loader().environment([("RETOLD_OF_SOMEBODY_ELSE", "3"), ("HOME", "/")]).load().unwrap();
}

#[test]
fn a_setting_that_was_renamed_is_refused_with_its_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let loader = || Settings::loader().no_file().environment(NONE);
    for (old, new) in [
        ("settle_events", "flush_events"),
        ("settle_bytes", "flush_bytes"),
        ("settle_idle_ms", "flush_idle_ms"),
    ] {
        let (field, reason) = refusal(file(&dir, &format!("\n{old} = 5\n")));
        assert_eq!(field, "configuration");
        assert!(reason.contains("line 2"), "{reason}");
        assert!(reason.contains(old) && reason.ends_with(&format!("now called `{new}`")), "{reason}");
        let variable = format!("RETOLD_{}", old.to_uppercase());
        let (_, reason) = refusal(loader().environment([(variable.as_str(), "5")]));
        let due = format!("has no variable {variable}; it is now called RETOLD_{}", new.to_uppercase());
        assert_eq!(reason, due);
        assert!(refusal(loader().set(old, 5)).1.ends_with(&format!("now called `{new}`")));
        // An empty variable is one that is not set.
        loader().environment([(variable.as_str(), "")]).load().unwrap();
    }
}

#[test]
fn a_bad_value_names_the_key_the_value_the_place_and_the_range() {
    let dir = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("workers = 0", "`0`"),
        ("workers = -1", "`-1`"),
        ("workers = 5000", "`5000`"),
        ("workers = \"many\"", "`many`"),
        ("workers = 1.5", "`1.5`"),
        ("workers = [1]", "a list"),
        ("workers = true", "`true`"),
    ] {
        let (field, reason) = refusal(file(&dir, &format!("\n\n{text}\n")));
        assert_eq!(field, "workers");
        assert!(
            reason.contains(said) && reason.contains("line 3") && reason.contains("from 1 to 4096"),
            "{reason}"
        );
    }
    let (field, reason) = refusal(file(&dir, "").environment([("RETOLD_SYNC", "maybe")]));
    assert_eq!(field, "sync");
    assert!(reason.contains("`maybe` (RETOLD_SYNC)") && reason.contains("true or false"), "{reason}");
    let (field, reason) = refusal(file(&dir, "").set("durability", "Durable"));
    assert_eq!((field, reason.contains("durable or relaxed")), ("durability", true), "{reason}");
    assert_eq!(refusal(file(&dir, "store = 7")).0, "store");
    let (_, reason) = refusal(file(&dir, "workers = 1\nworkers = 2"));
    assert!(reason.contains("line 2 is not TOML"), "{reason}");
    assert!(refusal(file(&dir, "a b")).1.contains("line 1"));
}

#[test]
fn the_file_is_found_upwards_or_named_and_its_paths_are_meant_from_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let _ = file(&dir, "store = \"data/runs.redb\"");
    let found = Settings::loader().from_folder(&inner).environment(NONE).load().unwrap();
    assert_eq!(found.store(), dir.path().join("data/runs.redb"));
    let _ = file(&dir, "store = \"https://store.example:7878\"");
    let url = Settings::loader().from_folder(&inner).environment::<&str, &str>([]).load().unwrap();
    assert_eq!(url.store(), Path::new("https://store.example:7878"));
    fs::write(inner.join("retold.toml"), "store = \"/x.redb\"").unwrap();
    let found = Settings::loader().from_folder(&inner).environment(NONE).load().unwrap();
    assert_eq!(found.store(), Path::new("/x.redb"));
    let other = dir.path().join("other.toml");
    fs::write(&other, "workers = 9").unwrap();
    let named =
        Settings::loader().from_folder(&inner).environment([("RETOLD_CONFIG", &other)]).load().unwrap();
    assert_eq!(named.workers(), 9);
    let flag = Settings::loader().file(inner.join("retold.toml")).environment([("RETOLD_CONFIG", &other)]);
    assert_eq!(flag.load().unwrap().store(), Path::new("/x.redb"));
    let missing = Settings::loader().file(dir.path().join("none.toml")).environment(NONE).load();
    assert!(matches!(missing, Err(Error::NotFound { what: "file", .. })));
    fs::write(&other, b"\xff").unwrap();
    assert!(refusal(Settings::loader().file(&other).environment(NONE)).1.contains("UTF-8"));
}

#[test]
fn the_page_has_the_table_of_the_code() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let due: Vec<String> = KEYS
        .iter()
        .map(|k| {
            format!("| `{}` | `{}` | {} | `{}` | {} |", k.name, k.variable(), k.range(), k.default(), k.about)
        })
        .collect();
    assert_eq!(rows, due, "\n{}", due.join("\n"));
}
