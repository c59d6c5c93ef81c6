//! Circles inside a module: two files that need each other, directly or through others, are one file in two places.
//!
//! A file uses another when code of it that is not only for tests names something that the other defines. A name that
//! comes through `use` lines of a third file (usually the `mod.rs` of a folder) counts for the file that defines it,
//! and a `mod.rs` that only re-exports uses nothing. `mod` lines, and methods that a type has in other files, are not seen.
//! What holds for files holds for folders: the entries of one folder, each taken as a whole, form no circle either.
//! A package beside the library is one module.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::tree::{FRONT_ENDS, Finding, Tree, front_end, module};

/// Who uses whom, with the line that says so.
type Uses = BTreeMap<String, BTreeMap<String, usize>>;

/// No file of a module needs one that needs it, and no folder.
pub(crate) fn circles(tree: &Tree) -> Vec<Finding> {
    let mut modules: BTreeSet<String> =
        tree.under("src/").filter_map(|(path, _)| module(path).into_iter().next()).collect();
    modules.extend(packages(tree).map(str::to_owned));
    let mut found = Vec::new();
    for name in &modules {
        let uses = uses_of(tree, name);
        let mut folders: Vec<Knot> = entries_of(&uses).values().flat_map(knots).collect();
        folders.retain(|knot| knot.members.iter().any(|m| !m.ends_with(".rs")));
        found.extend(knots(&uses).iter().chain(&folders).map(Knot::finding));
    }
    found
}

/// The packages beside the library that are there.
fn packages(tree: &Tree) -> impl Iterator<Item = &'static str> {
    FRONT_ENDS.into_iter().filter(|name| tree.has_folder(&format!("{name}/src/")))
}

/// What the files of a module use of each other.
fn uses_of(tree: &Tree, name: &str) -> Uses {
    let mut uses = Uses::new();
    for (file, source) in tree.sources() {
        if module_of(file).is_none_or(|own| own != name) {
            continue;
        }
        let mut add = |target: Option<Target>, line: usize| {
            if let Some(Target::Name(target)) = target.filter(|t| *t != Target::Name(file.to_owned())) {
                let line = *uses.entry(file.to_owned()).or_default().entry(target).or_insert(line);
                debug_assert!(line > 0);
            }
        };
        for import in source.imports.iter().filter(|i| !i.path.test) {
            let used = match &import.alias {
                Some(alias) if import.handed_on => source.names.get(alias).copied(),
                _ => Some(import.path.line),
            };
            if let (Some(line), Some(path)) =
                (used, from_root(tree, file, &import.path.segments, import.rooted))
            {
                add(resolve(tree, name, &path, 0), line);
            }
        }
        for (path, rooted) in source.inline.iter().filter(|(path, _)| !path.test) {
            if let Some(segments) = from_root(tree, file, &path.segments, *rooted) {
                add(resolve(tree, name, &segments, 0), path.line);
            }
        }
    }
    uses
}

/// The module that a file is checked with: that of the library which it lies in, or its package.
fn module_of(file: &str) -> Option<String> {
    match front_end(file) {
        Some(package) => Some(package.to_owned()),
        None => module(file).into_iter().next(),
    }
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A module as such: what is taken from it is said elsewhere.
    Module,
    /// A name that this file defines.
    Name(String),
}

/// A path as it was written in a file, from the crate root: through a child of the file, or through a name that a
/// `use` line brought.
fn from_root(tree: &Tree, file: &str, segments: &[String], rooted: bool) -> Option<Vec<String>> {
    if rooted {
        return Some(segments.to_vec());
    }
    let (first, rest) = segments.split_first()?;
    let own = module(file);
    let child = [own.as_slice(), std::slice::from_ref(first)].concat();
    if file_of(tree, front_end(file), &child).is_some() {
        return Some([child.as_slice(), rest].concat());
    }
    let source = tree.rust.get(file)?;
    let import =
        source.imports.iter().find(|i| !i.path.test && i.rooted && i.alias.as_ref() == Some(first))?;
    Some([import.path.segments.as_slice(), rest].concat())
}

/// The file of a module of the library, or of a package beside it.
fn file_of(tree: &Tree, package: Option<&str>, module: &[String]) -> Option<String> {
    let root = package.map(|name| format!("{name}/")).unwrap_or_default();
    let stem = format!("{root}src/{}", module.join("/"));
    let files = match module {
        [] => [format!("{stem}main.rs"), format!("{stem}lib.rs")],
        _ => [format!("{stem}.rs"), format!("{stem}/mod.rs")],
    };
    files.into_iter().find(|path| tree.rust.contains_key(path))
}

/// Follows a path from the crate root down the files, and on through `use` lines to the file that defines the name.
fn resolve(tree: &Tree, name: &str, segments: &[String], hops: usize) -> Option<Target> {
    const MOST_HOPS: usize = 16;
    let package = packages(tree).find(|package| *package == name);
    let is_elsewhere = package.is_none() && segments.first().is_none_or(|first| first != name);
    if is_elsewhere || hops > MOST_HOPS {
        return None;
    }
    let mut depth = usize::from(package.is_none());
    let mut file = file_of(tree, package, segments.get(..depth)?)?;
    while let Some(next) = segments.get(..depth + 1).and_then(|path| file_of(tree, package, path)) {
        (file, depth) = (next, depth + 1);
    }
    let Some((taken, rest)) = segments.get(depth..).and_then(<[String]>::split_first) else {
        return Some(Target::Module);
    };
    let source = tree.rust.get(&file)?;
    let brought = source.imports.iter().find(|i| !i.path.test && i.alias.as_ref() == Some(taken));
    if let Some(import) = brought.filter(|i| i.path.segments.last() != Some(&"*".to_owned())) {
        let path = from_root(tree, &file, &import.path.segments, import.rooted)?;
        return resolve(tree, name, &[path.as_slice(), rest].concat(), hops + 1);
    }
    Some(Target::Name(file))
}

/// For each folder: who of its entries uses whom. A folder counts as a whole, including its `mod.rs`.
fn entries_of(uses: &Uses) -> BTreeMap<String, Uses> {
    let mut folders: BTreeMap<String, Uses> = BTreeMap::new();
    for (from, targets) in uses {
        for (to, line) in targets {
            let (a, b): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
            let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            let entry = |path: &[&str]| path.iter().take(common + 1).copied().collect::<Vec<_>>().join("/");
            let folder =
                folders.entry(a.iter().take(common).copied().collect::<Vec<_>>().join("/")).or_default();
            folder.entry(entry(&a)).or_default().entry(entry(&b)).or_insert(*line);
        }
    }
    folders
}

/// Files or folders that can all be reached from each other.
struct Knot {
    members: Vec<String>,
    /// A shortest circle among them: who, at which line, uses the next.
    circle: Vec<(String, usize)>,
}

impl Knot {
    fn finding(&self) -> Finding {
        let (file, line) = self.circle.first().cloned().unwrap_or_default();
        let steps: Vec<String> = self.circle.iter().map(|(file, line)| format!("{file}:{line}")).collect();
        let what = format!(
            "{} need each other: {} → {file}. What they share wants a file of its own below them; in the circles are {}",
            self.members.len(),
            steps.join(" → "),
            self.members.join(", ")
        );
        Finding { file, line, rule: "circle", what }
    }
}

fn knots(uses: &Uses) -> Vec<Knot> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|from| (from.as_str(), reached(uses, from))).collect();
    let mut found: Vec<Knot> = Vec::new();
    for (from, reached) in &reach {
        if !reached.contains(from) || found.iter().any(|k| k.members.iter().any(|m| m == from)) {
            continue;
        }
        let back = |to: &&&str| reach.get(**to).is_some_and(|r| r.contains(from));
        let members: Vec<String> = reached.iter().filter(back).map(|to| (*to).to_owned()).collect();
        found.push(Knot { members, circle: shortest(uses, from) });
    }
    found
}

fn reached<'a>(uses: &'a Uses, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&str> = uses.get(from).into_iter().flatten().map(|(to, _)| to.as_str()).collect();
    while let Some(at) = next.pop() {
        if seen.insert(at) {
            next.extend(uses.get(at).into_iter().flatten().map(|(to, _)| to.as_str()));
        }
    }
    seen
}

/// A shortest way from a file back to itself.
fn shortest(uses: &Uses, from: &str) -> Vec<(String, usize)> {
    let mut ways: VecDeque<Vec<(String, usize)>> = VecDeque::from([vec![(from.to_owned(), 0)]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let Some((at, _)) = way.last().cloned() else { continue };
        for (to, line) in uses.get(&at).into_iter().flatten() {
            let mut on = way.clone();
            if let Some(last) = on.last_mut() {
                last.1 = *line;
            }
            if to == from {
                return on;
            }
            if seen.insert(to.clone()) {
                on.push((to.clone(), 0));
                ways.push_back(on);
            }
        }
    }
    vec![(from.to_owned(), 0)]
}
