//! `retold branches`

use std::collections::BTreeMap;

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::stem::fitted;
use super::style::{DIM, NAME};
use super::table::{Table, cell, hung};
use super::view::short;
use retold::event::{BranchName, SessionId};
use retold::store::BranchInfo;
use retold::wire;

/// Columns of a level of the tree.
pub(super) const LEVEL: usize = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "SESSION")]
    session: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    SessionId::new(&args.session)?;
    let store = app.reading()?;
    let session = named::session(&store, &args.session, &mut app.out)?;
    let (branches, current) = (store.branches(&session)?, store.current(&session)?);
    let out = &mut app.out;
    if !out.is_table() {
        out.begin_list()?;
        return branches.iter().try_for_each(|b| out.item(&wire::Branch::new(b, &current)));
    }
    let width = out.width();
    let mut table = Table::new(&["BRANCH", "#FROM", "#HEAD", "#OWN EVENTS", "CREATED", "LAST EVENT"], width)
        .spare(&["CREATED", "LAST EVENT", "OWN EVENTS"]);
    for (stem, branch) in tree(&branches) {
        let from = branch.parent.as_ref().map(|(_, at)| format!("@{at}")).unwrap_or_default();
        let lines = table.row(vec![
            hung(&fitted(&stem, LEVEL, width), named(branch, &current)).style(NAME),
            cell(from),
            cell(branch.head),
            cell(branch.events),
            cell(short(branch.created)).style(DIM),
            cell(branch.last.map(short).unwrap_or_default()).style(DIM),
        ]);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}

/// A branch's name, and what is special about it.
pub(super) fn named(branch: &BranchInfo, current: &BranchName) -> String {
    let (name, marks) = (&branch.place.branch, marks(branch, current));
    if marks.is_empty() { name.to_string() } else { format!("{name} ({})", marks.join(", ")) }
}

/// What is special about a branch: that it is current and not `main`, closed, one that expires, a fork of what is deleted.
pub(super) fn marks(branch: &BranchInfo, current: &BranchName) -> Vec<String> {
    let name = &branch.place.branch;
    let is_current = name == current && *name != BranchName::main();
    let marks = [
        is_current.then(|| "current".to_owned()),
        branch.closed.map(|_| "closed".to_owned()),
        branch.expires.map(|at| format!("expires {}", short(at))),
        branch.parent_deleted.then(|| "parent deleted".to_owned()),
    ];
    marks.into_iter().flatten().collect()
}

/// Branches below their parents, by fork point, each with its tree lines.
pub(super) fn tree(branches: &[BranchInfo]) -> Vec<(String, &BranchInfo)> {
    let mut children: BTreeMap<Option<&str>, Vec<&BranchInfo>> = BTreeMap::new();
    for branch in branches {
        // One whose parent was deleted stands by itself, also when another branch has the name of that by now.
        let parent = branch.parent.as_ref().filter(|_| !branch.parent_deleted);
        let is_there = |name: &&str| branches.iter().any(|other| other.place.branch.as_str() == *name);
        let parent = parent.map(|(name, _)| name.as_str()).filter(is_there);
        children.entry(parent).or_default().push(branch);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|b| (b.parent.as_ref().map(|(_, at)| *at), b.place.branch.clone()));
    }
    let mut drawn = Vec::new();
    // The last one is drawn first: an explicit stack, so that depth costs only memory.
    let mut open: Vec<(String, String, &BranchInfo)> = Vec::new();
    let roots = children.get(&None).into_iter().flatten().rev();
    open.extend(roots.map(|b| (String::new(), String::new(), *b)));
    while let Some((stem, below, branch)) = open.pop() {
        let forks = children.get(&Some(branch.place.branch.as_str()));
        for (i, fork) in forks.into_iter().flatten().rev().enumerate() {
            let (turn, line) = if i == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((format!("{below}{turn}"), format!("{below}{line}"), fork));
        }
        drawn.push((stem, branch));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::NewEvent;
    use retold::store::Store;

    #[test]
    fn forks_of_forks_hang_under_their_parents_in_the_order_of_their_forks() {
        let store = Store::in_memory().unwrap();
        let events: Vec<NewEvent> = (0..4).map(|_| NewEvent::new("a")).collect();
        store.append("s", events).unwrap();
        for (at, name) in [("s@3", "late"), ("s@1", "early"), ("s/early@1", "deep"), ("s/late", "last")] {
            store.fork(at, name).unwrap();
        }
        let branches = store.branches(&"s".try_into().unwrap()).unwrap();
        let drawn: Vec<String> =
            tree(&branches).iter().map(|(s, b)| format!("{s}{}", b.place.branch)).collect();
        assert_eq!(drawn, ["main", "├─ early", "│  └─ deep", "└─ late", "   └─ last"]);
    }

    #[test]
    fn forks_of_what_is_deleted_are_roots_beside_what_has_its_name() {
        let store = Store::in_memory().unwrap();
        let events: Vec<NewEvent> = (0..4).map(|_| NewEvent::new("a")).collect();
        store.append("s", events).unwrap();
        for (at, name) in [("s@3", "late"), ("s@1", "early"), ("s/early@1", "deep")] {
            store.fork(at, name).unwrap();
        }
        let main = BranchName::main();
        let drawn = |store: &Store| -> Vec<String> {
            let branches = store.branches(&"s".try_into().unwrap()).unwrap();
            tree(&branches).iter().map(|(stem, branch)| format!("{stem}{}", named(branch, &main))).collect()
        };
        store.lifecycle().delete("s").unwrap();
        let roots = ["early (parent deleted)", "└─ deep", "late (parent deleted)"];
        assert_eq!(drawn(&store), roots);
        store.append("s", NewEvent::new("a")).unwrap();
        store.fork("s", "new").unwrap();
        assert_eq!(drawn(&store), [&["main", "└─ new"][..], &roots].concat());
        store.lifecycle().delete("s/early").unwrap();
        assert_eq!(drawn(&store), ["main", "└─ new", "deep (parent deleted)", "late (parent deleted)"]);
    }
}
