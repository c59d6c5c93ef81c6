//! Modules: who may import whom, and what may be named where.

use crate::source::{Kind, Path};
use crate::tree::{FRONT_ENDS, Finding, Tree, front_end, module};

/// Every module with its layer. A module imports from lower layers only; what those of layer 0 import is told apart below.
const LAYERS: [(&str, u8); 22] = [
    ("limits", 0),
    ("sync", 0),
    ("cache", 0),
    ("panics", 0),
    ("files", 0),
    ("event", 0),
    ("error", 1),
    ("codec", 2),
    ("schema", 2),
    ("engine", 3),
    ("store", 4),
    ("follow", 5),
    ("project", 6),
    ("delivery", 6),
    ("consumer", 7),
    ("bus", 7),
    ("lifecycle", 8),
    ("agents", 8),
    ("config", 8),
    ("remote", 8),
    ("testkit", 8),
    ("wire", 9),
];

/// The engines: folders of `src/engine`. What lies beside them is their port.
const ENGINES: [&str; 3] = ["file", "memory", "shared"];

/// Files and folders that may choose an engine.
const CHOOSE_ENGINE: [&str; 5] = [
    "src/engine/mod.rs",
    "src/engine/owner/",
    "src/store/handle/builder.rs",
    "src/store/handle/remote.rs",
    "src/store/handle/sharing.rs",
];

/// What the port hands out of an engine, to whoever chooses one.
const OF_AN_ENGINE: [&str; 13] = [
    "Medium",
    "Mode",
    "Options",
    "open",
    "open_in_memory",
    "ClientInfo",
    "Hello",
    "Server",
    "ServerOptions",
    "connect",
    "Reach",
    "carry",
    "open_remote",
];

/// Folders inside a module that are part of what it shows: `crate::event::payload::…` is no reach around its door.
const OPEN: [(&str, &str); 8] = [
    ("codec", "link"),
    ("event", "envelope"),
    ("event", "payload"),
    ("agents/interop", "json"),
    ("agents/interop", "source"),
    ("agents/projections", "alerts"),
    ("store", "recovery"),
    ("testkit", "strategies"),
];

/// Modules inside a module, each with public names of its own.
const INNER: [(&str, &str); 4] =
    [("agents", "interop"), ("agents", "projections"), ("agents", "readable"), ("agents", "search")];

/// What `sync` has instead: nothing else names it, so that an explorer can run everything. Tests and the testkit may.
const PRIMITIVES: [&[&str]; 16] = [
    &["std", "sync", "Mutex"],
    &["std", "sync", "MutexGuard"],
    &["std", "sync", "RwLock"],
    &["std", "sync", "RwLockReadGuard"],
    &["std", "sync", "RwLockWriteGuard"],
    &["std", "sync", "Condvar"],
    &["std", "sync", "Barrier"],
    &["std", "sync", "mpsc"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["tokio", "time"],
    &["tokio", "spawn"],
    &["tokio", "runtime"],
    &["tokio", "task"],
    &["tokio", "task_local"],
];

/// A name of tokio that depends on nothing, the one type that users pass, and the time in ids, which never goes back.
const NO_PRIMITIVES: [(&str, &[&str]); 3] = [
    ("src/event/fresh.rs", &["std", "time", "SystemTime"]),
    ("src/follow/blocking.rs", &["tokio", "task", "unconstrained"]),
    ("src/bus/builder.rs", &["tokio", "runtime", "Handle"]),
];

/// Files that may print.
const MAY_PRINT: [&str; 1] = ["cli/src/output.rs"];

fn layer(top_module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == top_module).map(|(_, layer)| *layer)
}

/// The module that a file of the library belongs to. The crate root belongs to none.
fn top_module(path: &str) -> Option<String> {
    path.starts_with("src/").then(|| module(path).into_iter().next()).flatten()
}

/// The module that a path within the library names, and the rest of the path.
fn named_module(path: &[String]) -> Option<(String, &[String])> {
    match path {
        [outer, inner, rest @ ..] if INNER.contains(&(outer, inner)) => {
            Some((format!("{outer}/{inner}"), rest))
        }
        [top_module, rest @ ..] => Some((top_module.clone(), rest)),
        [] => None,
    }
}

fn finding(file: &str, line: usize, rule: &'static str, what: String) -> Finding {
    Finding { file: file.to_owned(), line, rule, what }
}

/// Every module has a layer, and imports from lower layers only. Test code may reach up: a test may use a neighbor or the
/// testkit.
pub(crate) fn layering(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, source) in tree.under("src/") {
        let Some(from) = top_module(file) else { continue };
        let Some(own) = layer(&from) else {
            let what = format!("`{from}` has no layer; add it to the table in tests/tidy/layers.rs");
            found.push(finding(file, 1, "layer", what));
            continue;
        };
        for path in &source.inner {
            let Some(to) = path.segments.first().filter(|to| **to != from) else { continue };
            let Some(other) = layer(to) else { continue };
            let why = if path.test {
                continue;
            } else if to == "testkit" {
                format!("`{from}` imports `testkit`, which only tests and fuzz targets may")
            } else if (from == "event" && to == "limits") || (to == "sync" && from != "limits") || other < own
            {
                continue;
            } else {
                format!(
                    "`{from}` (layer {own}) imports `{to}` (layer {other}); only lower layers may be imported"
                )
            };
            found.push(finding(file, path.line, "layer", why));
        }
    }
    found
}

/// Examples, benches and the front ends do without the testkit; the front ends' tests may use it.
pub(crate) fn testkit(tree: &Tree) -> Vec<Finding> {
    let users = tree.rust.iter().filter(|(file, _)| {
        front_end(file).is_some() || ["examples/", "benches/"].iter().any(|p| file.starts_with(p))
    });
    users
        .flat_map(|(file, source)| {
            let is_test = |p: &Path| front_end(file).is_some_and(|name| p.test || !is_source(name, file));
            let paths = source.outer.iter().chain(&source.inner).filter(move |p| !is_test(p));
            paths.filter(|p| p.segments.iter().any(|s| s == "testkit")).map(|p| {
                finding(file, p.line, "testkit", "only tests and fuzz targets use the testkit".into())
            })
        })
        .collect()
}

fn is_source(front_end: &str, file: &str) -> bool {
    file.strip_prefix(front_end).is_some_and(|rest| rest.starts_with("/src/"))
}

/// A front end sees what any program sees. The compiler holds most of that; here are the ways around it: what is public
/// only so that tests and fuzz targets can reach it, and a file of another package taken in by its path. None knows
/// another; the program alone may start the others.
pub(crate) fn front_ends(tree: &Tree) -> Vec<Finding> {
    const HIDDEN: [&str; 1] = ["codec"];
    let mut found = Vec::new();
    for (file, source) in &tree.rust {
        let Some(own) = front_end(file) else { continue };
        for path in source.outer.iter().chain(&source.inner) {
            let Some(first) = path.segments.first() else { continue };
            let other = FRONT_ENDS.iter().find(|name| **name != own && *first == format!("retold_{name}"));
            if let Some(other) = other.filter(|_| own != "cli") {
                let what = format!("the front ends do not know each other, and `{own}` names `{other}`");
                found.push(finding(file, path.line, "front-end", what));
            }
            let inner =
                path.segments.get(1).filter(|inner| first == "retold" && HIDDEN.contains(&inner.as_str()));
            if let Some(inner) = inner.filter(|_| is_source(own, file) && !path.test) {
                let what = format!("`retold::{inner}` is hidden; front ends use the public API only");
                found.push(finding(file, path.line, "front-end", what));
            }
        }
        for (i, token) in source.tokens.iter().enumerate().filter(|_| is_source(own, file)) {
            if token.text == "path" && source.is(i.wrapping_sub(1), "[") && source.is(i + 1, "=") {
                let what = "a front end has its own files only; take what the library hands out".to_owned();
                found.push(finding(file, token.line, "front-end", what));
            }
        }
    }
    found
}

/// Inside the crate one imports from the module, never from the crate root. Tests inside modules too.
pub(crate) fn crate_root(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, source) in tree.under("src/") {
        if top_module(file).is_none() {
            continue;
        }
        for path in &source.inner {
            let name = path.segments.first().map_or("*", String::as_str);
            if layer(name).is_none() {
                let what =
                    format!("`crate::{name}` is imported from the crate root; import it from its module");
                found.push(finding(file, path.line, "crate-root", what));
            }
        }
        let own_name = |p: &&Path| p.segments.first().is_some_and(|s| s == "retold") && p.segments.len() > 1;
        for path in source.outer.iter().filter(own_name) {
            let what = "the crate names itself from outside; import from the module".to_owned();
            found.push(finding(file, path.line, "crate-root", what));
        }
    }
    found
}

/// A module's inner files are not named outside the module.
pub(crate) fn private_files(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, source) in tree.under("src/") {
        // In the crate root a path starts with the module itself.
        let at_root = file == "src/lib.rs";
        for path in source.inner.iter().chain(source.outer.iter().filter(|_| at_root)) {
            let Some((to, [inner, rest @ ..])) = named_module(&path.segments) else { continue };
            let own = !at_root && named_module(&module(file)).is_some_and(|(from, _)| from == to);
            let is_module = path.segments.first().is_some_and(|top_module| layer(top_module).is_some());
            if own || !is_module || OPEN.contains(&(to.as_str(), inner.as_str())) {
                continue;
            }
            let is_file = [".rs", "/mod.rs"].iter().any(|end| tree.has(&format!("src/{to}/{inner}{end}")));
            // A function may have the name of its file, if the module re-exports it.
            let exported = || {
                let named =
                    |p: &Path, from: usize| p.segments.len() > from && p.segments.last() == Some(inner);
                let root = tree.rust.get(&format!("src/{to}/mod.rs"));
                let depth = to.split('/').count();
                root.is_some_and(|d| {
                    d.outer.iter().any(|p| named(p, 1)) || d.inner.iter().any(|p| named(p, depth + 1))
                })
            };
            if is_file && !(rest.is_empty() && exported()) {
                let what = format!("`{inner}` is a file inside `{to}`; use what `src/{to}/mod.rs` exports");
                found.push(finding(file, path.line, "private-file", what));
            }
        }
    }
    found
}

/// Nothing above an engine names it, and no engine names another. Tests may: some look at what lies in a file.
pub(crate) fn port(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, source) in tree.under("src/") {
        if CHOOSE_ENGINE.iter().any(|chooser| file.starts_with(chooser)) {
            continue;
        }
        let own = ENGINES.iter().find(|name| file.starts_with(&format!("src/engine/{name}/")));
        for path in source.inner.iter().filter(|path| !path.test) {
            let [engine, name, ..] = path.segments.as_slice() else { continue };
            if engine != "engine" || own.is_some_and(|own| own == name) {
                continue;
            }
            let other = ENGINES.contains(&name.as_str());
            let chosen = own.is_none() && OF_AN_ENGINE.contains(&name.as_str());
            if other || chosen {
                let what =
                    format!("`engine::{name}` is of one engine; what is above the port is for all of them");
                found.push(finding(file, path.line, "port", what));
            }
        }
    }
    found
}

/// `bincode` is named in the codec only, `redb` in its engine and the testkit only, and panics are caught in one place.
pub(crate) fn engines(tree: &Tree) -> Vec<Finding> {
    const HOMES: [(&str, &[&str], &[&str]); 3] = [
        ("catch_unwind", &["src/panics.rs"], &["src/"]),
        ("bincode", &["src/codec/"], &["src/", "tests/", "examples/", "cli/", "server/", "mcp/", "tui/"]),
        (
            "redb",
            &["src/engine/file/", "src/store/handle/builder.rs", "src/testkit/"],
            &["src/", "examples/", "cli/src/", "server/src/", "mcp/src/", "tui/src/"],
        ),
    ];
    let mut found = Vec::new();
    for (name, homes, searched) in HOMES {
        for (file, source) in &tree.rust {
            let at = |folders: &[&str]| folders.iter().any(|f| file.starts_with(f));
            if at(homes) || !at(searched) {
                continue;
            }
            for token in source.tokens.iter().filter(|t| t.kind == Kind::Ident && t.text == name) {
                let what = format!("`{name}` is named in {} only", homes.join(" and "));
                found.push(finding(file, token.line, "engine", what));
            }
        }
    }
    found
}

/// Locks, channels, threads, tasks and clocks come from `sync`.
pub(crate) fn primitives(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, source) in tree.under("src/") {
        if ["src/sync/", "src/testkit/", "src/engine/owner/", "src/engine/shared/"]
            .iter()
            .any(|home| file.starts_with(home))
        {
            continue;
        }
        for path in source.outer.iter().filter(|path| !path.test) {
            let is = |name: &[&str]| path.segments.iter().take(name.len()).eq(name);
            let allowed = NO_PRIMITIVES.iter().any(|(at, name)| *at == file && is(name));
            if PRIMITIVES.iter().any(|name| is(name)) && !allowed {
                let what =
                    format!("`{}` is named in src/sync only; use that of `sync`", path.segments.join("::"));
                found.push(finding(file, path.line, "primitive", what));
            }
        }
    }
    found
}

/// The library is silent, and a front end prints in one place.
pub(crate) fn printing(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, source) in tree.sources().filter(|(file, _)| !MAY_PRINT.contains(file)) {
        for (i, token) in source.tokens.iter().enumerate().filter(|(_, t)| !t.test && t.kind == Kind::Ident) {
            let prints = ["println", "print", "eprintln", "eprint"].contains(&token.text.as_str());
            if prints && source.is(i + 1, "!") {
                let what = format!("`{}!` outside {}", token.text, MAY_PRINT.join(", "));
                found.push(finding(file, token.line, "print", what));
            }
        }
        let paths = source.outer.iter().filter(|p| !p.test && p.segments.len() > 1);
        for path in paths.filter(|p| p.segments.last().is_some_and(|s| s == "stdout")) {
            let what = format!("`{}` outside {}", path.segments.join("::"), MAY_PRINT.join(", "));
            found.push(finding(file, path.line, "print", what));
        }
    }
    found
}
