//! Files: what has to be there, what has to be listed, and what has to be said elsewhere when it changes.

use std::collections::BTreeSet;

use crate::source::Kind;
use crate::tree::{FRONT_ENDS, Finding, Tree, front_end, module};

/// Files directly under `tests/`: each is a program of its own to build and link, so everything else is a module of
/// `tests/it/main.rs`. `memory.rs` has an allocator that counts.
const TEST_PROGRAMS: [&str; 2] = ["memory.rs", "tidy.rs"];
/// Lines of a file, its tests apart, at which to ask for its second idea; and at which it has to be split.
const MANY_LINES: usize = 500;
const TOO_MANY_LINES: usize = 700;
/// What the page of the storage format has to say, followed by sixteen hexadecimal digits.
const FINGERPRINT: &str = "codec fingerprint: ";
const FORMAT_PAGE: &str = "docs/format.md";

fn finding(file: &str, line: usize, rule: &'static str, what: impl Into<String>) -> Finding {
    Finding { file: file.to_owned(), line, rule, what: what.into() }
}

/// Every step has its evidence, the numbers are dense, and the table lists them all.
pub(crate) fn migrations(tree: &Tree) -> Vec<Finding> {
    const TABLE: &str = "migrations/README.md";
    let mut found = Vec::new();
    let mut folders = BTreeSet::new();
    for path in tree.files.keys().filter_map(|p| p.strip_prefix("migrations/")) {
        match path.split_once('/') {
            Some((folder, _)) => {
                folders.insert(folder);
            }
            None if path == "README.md" => {}
            None => {
                let what = "only README.md and the folders of the steps belong in migrations/";
                found.push(finding(&format!("migrations/{path}"), 1, "migration", what));
            }
        }
    }
    // Without a codec there is nothing to migrate; without a store nothing that could write the first fixture.
    let table = tree.files.get(TABLE);
    if table.is_none() && (tree.has_folder("src/codec/") || !folders.is_empty()) {
        found.push(finding(TABLE, 1, "migration", "is missing; it lists every step"));
    }
    if folders.is_empty() && tree.has_folder("src/store/") {
        let what = "is missing; the first release's own file is the first fixture";
        found.push(finding("migrations/0001_birth/README.md", 1, "migration", what));
    }
    let rows: Vec<(usize, &str)> =
        table.map_or(vec![], |t| t.lines().enumerate().filter(|(_, l)| l.starts_with('|')).collect());
    for (at, folder) in folders.iter().enumerate() {
        let page = format!("migrations/{folder}/README.md");
        let number = folder.split_once('_').filter(|(n, name)| n.len() == 4 && !name.is_empty());
        match number.and_then(|(n, _)| n.parse::<usize>().ok()) {
            Some(n) if n == at + 1 => {}
            Some(_) => {
                let what = format!("should have the number {:04}; the numbers are dense from 0001", at + 1);
                found.push(finding(&page, 1, "migration", what));
            }
            None => found.push(finding(&page, 1, "migration", "a step's folder is named NNNN_what")),
        }
        let has = |file: &str| tree.has(&format!("migrations/{folder}/{file}"));
        let needs: &[&str] = if at == 0 {
            &["README.md", "store.redb", "events.jsonl", "layout.txt"]
        } else if has("upcast.toml") || has("before.jsonl") || has("after.jsonl") {
            &["README.md", "upcast.toml", "before.jsonl", "after.jsonl"]
        } else if has("before.redb.lz4") {
            &["README.md", "before.redb.lz4", "expected.jsonl", "layout.txt"]
        } else {
            &["README.md", "before.redb", "expected.jsonl", "layout.txt"]
        };
        for need in needs {
            let path = format!("migrations/{folder}/{need}");
            if tree.files.get(&path).is_none_or(String::is_empty) {
                let what = format!("is missing or empty; this step needs {}", needs.join(", "));
                found.push(finding(&path, 1, "migration", what));
            }
        }
        if table.is_some() && !rows.iter().any(|(_, row)| row.contains(folder)) {
            let what = format!("has no row for {folder}");
            found.push(finding(TABLE, 1, "migration", what));
        }
    }
    for (at, row) in rows {
        let cell = row.split(['|', '[', ']', '`', ' ']).find(|c| !c.is_empty()).unwrap_or_default();
        let names_a_step = cell.starts_with(|c: char| c.is_ascii_digit());
        if names_a_step && !folders.contains(cell) {
            found.push(finding(
                TABLE,
                at + 1,
                "migration",
                format!("lists `{cell}`, which is no folder here"),
            ));
        }
    }
    found
}

/// Every Rust file is named by a `mod` line: one that is not is never compiled, and its tests never run.
pub(crate) fn listed(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in tree.files.keys() {
        let of = front_end(path).map_or_else(String::new, |name| format!("{name}/"));
        if let Some(name) = path.strip_prefix(&of).and_then(|rest| rest.strip_prefix("tests/")) {
            let is_program = of.is_empty() && TEST_PROGRAMS.contains(&name);
            let alone = !name.contains('/') && !is_program;
            let program =
                name.ends_with("/main.rs") && name.matches('/').count() == 1 && name != "it/main.rs";
            if alone || program {
                let what =
                    format!("integration tests live in {of}tests/it/ and are listed in {of}tests/it/main.rs");
                found.push(finding(path, 1, "listed", what));
            }
        }
    }
    let packages = [""].into_iter().chain(FRONT_ENDS);
    let roots = packages.flat_map(|name| {
        let of = if name.is_empty() { String::new() } else { format!("{name}/") };
        [format!("{of}src/"), format!("{of}tests/it/")]
    });
    for root in roots {
        let mains = [format!("{root}lib.rs"), format!("{root}main.rs")];
        for (path, _) in tree.under(&root) {
            if mains.iter().any(|main| main == path) {
                continue;
            }
            let own = module(path);
            let Some((name, parents)) = own.split_last() else { continue };
            let stem = format!("{root}{}", parents.join("/"));
            let namers = match parents {
                [] => mains.clone(),
                _ => [format!("{stem}.rs"), format!("{stem}/mod.rs")],
            };
            let names_it =
                |n: &String| tree.rust.get(n).is_some_and(|s| s.mods.iter().any(|(m, _, _)| m == name));
            if !namers.iter().any(names_it) {
                let by = namers.iter().find(|n| tree.has(n)).unwrap_or(&namers[0]);
                found.push(finding(path, 1, "listed", format!("has no `mod {name};` in {by}")));
            }
        }
    }
    found
}

/// A hash of everything in the codec, and of the table definitions, that can change a stored byte: all tokens
/// except those of comments and tests, in the order of the files' names.
fn fingerprint(tree: &Tree) -> u64 {
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let tables = tree.under("src/engine/file/tables/definitions.rs");
    for (path, source) in tree.under("src/codec/").chain(tables) {
        let mut tokens = source.tokens.iter().filter(|t| !t.test).map(|t| t.text.as_str()).peekable();
        let path = tokens.peek().map(|_| path);
        for text in path.into_iter().chain(tokens) {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
    hash
}

/// The page of the storage format is read again whenever the code that writes it changes.
pub(crate) fn format_page(tree: &Tree) -> Vec<Finding> {
    if !tree.has_folder("src/codec/") {
        return vec![];
    }
    let now = format!("{:016x}", fingerprint(tree));
    let to_do = format!(
        "src/codec/ or src/engine/file/tables/definitions.rs has changed: check that this page still says what the code writes, then \
         set its line to `{FINGERPRINT}{now}`"
    );
    let Some(page) = tree.files.get(FORMAT_PAGE) else {
        return vec![finding(FORMAT_PAGE, 1, "format-page", format!("is missing; {to_do}"))];
    };
    let mut lines = page.lines().enumerate();
    let line = lines.find_map(|(at, l)| l.split_once(FINGERPRINT).map(|(_, rest)| (at + 1, rest)));
    match line {
        Some((_, rest)) if rest.starts_with(&now) => vec![],
        Some((at, _)) => vec![finding(FORMAT_PAGE, at, "format-page", to_do)],
        None => vec![finding(FORMAT_PAGE, 1, "format-page", format!("has no fingerprint; {to_do}"))],
    }
}

/// Lines of a file, its test items apart.
fn lines(tree: &Tree) -> impl Iterator<Item = (&str, usize)> {
    tree.sources().map(|(path, source)| {
        let all = tree.files.get(path).map_or(0, |text| text.lines().count());
        let tests: usize = source.test_lines.iter().map(|r| r.len()).sum();
        (path, all.saturating_sub(tests))
    })
}

/// No file outgrows what one can hold in mind.
pub(crate) fn length(tree: &Tree) -> Vec<Finding> {
    let long = lines(tree).filter(|(_, n)| *n > TOO_MANY_LINES);
    long.map(|(path, n)| {
        let what =
            format!("has {n} lines without its tests; the limit is {TOO_MANY_LINES}: find its second idea");
        finding(path, n, "length", what)
    })
    .collect()
}

/// Files that are on their way to be too long: told, not refused.
pub(crate) fn growing(tree: &Tree) -> Vec<String> {
    let long = lines(tree).filter(|(_, n)| (MANY_LINES + 1..=TOO_MANY_LINES).contains(n));
    long.map(|(path, n)| format!("{path} has {n} lines without its tests")).collect()
}

/// Nothing is left half done.
pub(crate) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        for (i, token) in source.tokens.iter().enumerate().filter(|(_, t)| t.kind == Kind::Ident) {
            if ["todo", "unimplemented"].contains(&token.text.as_str()) && source.is(i + 1, "!") {
                found.push(finding(path, token.line, "unfinished", format!("`{}!` is left", token.text)));
            }
        }
        let text = tree.files.get(path).map_or("", String::as_str);
        for (at, _) in text.lines().enumerate().filter(|(_, line)| line.contains("FIXME")) {
            found.push(finding(path, at + 1, "unfinished", "`FIXME` is left"));
        }
    }
    found
}

/// A type that is encoded has no `usize`: its width differs from machine to machine.
pub(crate) fn widths(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.under("src/codec/") {
        for i in (0..source.tokens.len()).filter(|i| source.is(*i, "derive") && source.is(i + 1, "(")) {
            let listed = i + 1..source.after_group(i + 1);
            if !listed.clone().any(|j| source.is(j, "Encode")) {
                continue;
            }
            // The fields: the first braces, or the parentheses of a tuple, after the keyword.
            let Some(keyword) =
                (listed.end..source.tokens.len()).find(|j| source.is(*j, "struct") || source.is(*j, "enum"))
            else {
                continue;
            };
            let opens = |j: &usize| ["{", "(", ";"].iter().any(|b| source.is(*j, b));
            let Some(open) = (keyword..source.tokens.len()).find(opens).filter(|j| !source.is(*j, ";"))
            else {
                continue;
            };
            for token in (open..source.after_group(open)).filter_map(|j| source.ident(j)) {
                if ["usize", "isize"].contains(&token.text.as_str()) {
                    let what =
                        format!("an encoded type has a field of `{}`; give it a fixed width", token.text);
                    found.push(finding(path, token.line, "width", what));
                }
            }
        }
    }
    found
}
