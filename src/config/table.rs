//! Every key, once: what it means, which values it takes, and its default. `docs/configuration.md` has the same table, and
//! a test compares the two.

use std::fmt;

use crate::event;
use crate::limits::{
    DEFAULT_BUS_WORKERS, DEFAULT_CACHE_BYTES, DEFAULT_HANDLER_LETTERS, DEFAULT_HISTORY,
    DEFAULT_PAYLOAD_BYTES, FLUSH_BYTES, FLUSH_EVENTS, IDLE_FLUSH_MS, MAX_BUS_WORKERS, MAX_CACHE_BYTES,
    MAX_FLUSH_BYTES, MAX_FLUSH_EVENTS, MAX_HANDLER_LETTERS, MAX_HISTORY, MAX_INTERVAL_MS, MAX_PAYLOAD_BYTES,
    MAX_SPILL_BYTES, PROJECT_FLUSH_MS, SPILL_BYTES,
};

/// One key of the settings.
#[derive(Debug)]
#[non_exhaustive]
pub struct Key {
    /// Its name in `retold.toml`.
    pub name: &'static str,
    /// What it means, in one line.
    pub about: &'static str,
    pub(super) takes: Takes,
}

/// The values of a key, and its default.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    Number {
        least: u64,
        most: u64,
        default: u64,
    },
    /// The first word is the default.
    Word(&'static [&'static str]),
    Flag(bool),
    Path(Option<&'static str>),
}

impl Key {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }

    /// What it takes, in words: `a number from 1 to 4096`.
    #[must_use]
    pub fn range(&self) -> String {
        match self.takes {
            Takes::Number { least, most, .. } => format!("a number from {least} to {most}"),
            Takes::Word(words) => match words.split_last() {
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => String::new(),
            },
            Takes::Flag(_) => "true or false".to_owned(),
            Takes::Path(_) => "a path".to_owned(),
        }
    }

    /// Its default, as it would be written in the file.
    #[must_use]
    pub fn default(&self) -> String {
        match self.takes {
            Takes::Number { default, .. } => default.to_string(),
            Takes::Word(words) => words.first().copied().unwrap_or_default().to_owned(),
            Takes::Flag(on) => on.to_string(),
            Takes::Path(path) => path.unwrap_or("none").to_owned(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The prefix of every variable.
pub(super) const PREFIX: &str = "RETOLD_";

const fn number(name: &'static str, (least, most, default): (u64, u64, u64), about: &'static str) -> Key {
    assert!(least <= default && default <= most, "a default that is refused");
    Key { name, about, takes: Takes::Number { least, most, default } }
}

const fn flag(name: &'static str, on: bool, about: &'static str) -> Key {
    Key { name, about, takes: Takes::Flag(on) }
}

const fn path(name: &'static str, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, about, takes: Takes::Path(default) }
}

const fn word(name: &'static str, words: &'static [&'static str], about: &'static str) -> Key {
    Key { name, about, takes: Takes::Word(words) }
}

/// All keys, in the order in which they are listed.
pub static KEYS: [Key; 20] = [
    path("store", Some("./retold.redb"), "Path of the store's file, or the URL of its server"),
    path("types", None, "A file that defines types of your own"),
    path(
        "migrations",
        None,
        "A folder of upcasters, which bring old events to their newest shape as they are read",
    ),
    flag("strict_types", false, "Refuse events of an unknown type"),
    word(
        "validate",
        &["off", "warn", "enforce"],
        "Validate payloads against the schema of their type when they are appended",
    ),
    word("durability", &["durable", "relaxed"], "Durability of appends that do not choose one"),
    flag("sync", true, "Sync the file; false is for tests: a system crash can then damage the store"),
    flag("two_phase", false, "Commit flushes with two syncs"),
    flag("fast_recovery", true, "Write what is needed to open without a repair with each flush"),
    number("cache_bytes", (0, MAX_CACHE_BYTES as u64, DEFAULT_CACHE_BYTES as u64), "Bytes of the page cache"),
    number(
        "flush_events",
        (1, MAX_FLUSH_EVENTS as u64, FLUSH_EVENTS as u64),
        "Unflushed events that trigger a flush",
    ),
    number(
        "flush_bytes",
        (1, MAX_FLUSH_BYTES as u64, FLUSH_BYTES as u64),
        "Unflushed bytes that trigger a flush",
    ),
    number(
        "flush_idle_ms",
        (1, MAX_INTERVAL_MS, IDLE_FLUSH_MS),
        "Milliseconds without an append that trigger a flush",
    ),
    number(
        "max_payload_bytes",
        (1, MAX_PAYLOAD_BYTES as u64, DEFAULT_PAYLOAD_BYTES as u64),
        "Largest payload, in bytes",
    ),
    number(
        "project_flush_ms",
        (1, MAX_INTERVAL_MS, PROJECT_FLUSH_MS),
        "Milliseconds between snapshots of projections",
    ),
    number(
        "workers",
        (1, MAX_BUS_WORKERS as u64, DEFAULT_BUS_WORKERS as u64),
        "Handler calls that run concurrently on a bus",
    ),
    number(
        "history_limit",
        (0, MAX_HISTORY as u64, DEFAULT_HISTORY as u64),
        "Events that a bus keeps in its history",
    ),
    number(
        "dead_letter_max",
        (1, MAX_HANDLER_LETTERS as u64, DEFAULT_HANDLER_LETTERS as u64),
        "Dead letters kept for a handler or a new consumer; the oldest are dropped first",
    ),
    number("spill_bytes", (0, MAX_SPILL_BYTES, SPILL_BYTES), "Largest spill file, in bytes"),
    flag("timers", true, "Whether a bus fires timers"),
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Keys that had another name in earlier releases: the old name, and the new one.
const RENAMED: [(&str, &str); 3] =
    [("settle_events", "flush_events"), ("settle_bytes", "flush_bytes"), ("settle_idle_ms", "flush_idle_ms")];

/// The key that had this name in an earlier release.
pub(super) fn renamed(name: &str) -> Option<&'static Key> {
    RENAMED.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).and_then(|(_, new)| find(new))
}

/// What to use instead of a key that does not exist; empty when no key is close.
pub(super) fn suggestion(name: &str) -> String {
    if let Some(key) = renamed(name) {
        return format!("; it is now called `{key}`");
    }
    nearest(name).map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// The key that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let near = event::nearest(&name.to_lowercase(), KEYS.iter().map(|key| key.name), 1);
    find(near.first()?)
}
