//! Which of a session's lines is `main`: the one that was written last. What it left behind by rewinding are branches
//! that leave it where the rewind was.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::event::{BranchName, EventId, MAIN, NewEvent, Place, SessionId};

use super::source;
use super::spool::Planned;

/// A step of a plan before the steps are joined.
pub(crate) struct Entry {
    /// Those of lower order come first.
    pub(crate) order: u64,
    pub(crate) place: Place,
    pub(crate) item: Item,
}

pub(crate) enum Item {
    Fork { parent: Place, at: Option<EventId> },
    Event(Planned),
}

/// The entries with other branches: those that lead to `live` are `main` up to where it leaves them.
pub(super) fn make_main(
    entries: Vec<Entry>,
    session: &SessionId,
    live: &BranchName,
    load: &dyn Fn(&Planned) -> NewEvent,
) -> Vec<Entry> {
    if live.as_str() == MAIN {
        return entries;
    }
    let mut lines = Lines::new(&entries, session, live, load);
    let mut out = Vec::with_capacity(entries.len() + lines.cuts.len());
    for entry in entries {
        if entry.place.session == *session {
            lines.take(entry, &mut out);
        } else {
            out.push(entry);
        }
    }
    out
}

struct Lines<'a> {
    load: &'a dyn Fn(&Planned) -> NewEvent,
    session: &'a SessionId,
    live: &'a BranchName,
    /// The branches that lead to the live one, and the last event of each that it inherits.
    cuts: BTreeMap<BranchName, Option<EventId>>,
    /// What those are called after that event.
    left: BTreeMap<BranchName, BranchName>,
    /// Those of them whose last inherited event was seen.
    passed: HashSet<BranchName>,
    names: HashSet<BranchName>,
    /// The branch of each event that is not where it was.
    moved: HashMap<EventId, BranchName>,
}

impl<'a> Lines<'a> {
    fn new(
        entries: &[Entry],
        session: &'a SessionId,
        live: &'a BranchName,
        load: &'a dyn Fn(&Planned) -> NewEvent,
    ) -> Self {
        let ours = || entries.iter().filter(|e| e.place.session == *session);
        let forks: HashMap<&BranchName, (&BranchName, Option<EventId>)> = ours()
            .filter_map(|e| match &e.item {
                Item::Fork { parent, at } => Some((&e.place.branch, (&parent.branch, *at))),
                Item::Event(_) => None,
            })
            .collect();
        let mut cuts = BTreeMap::new();
        let mut next = live;
        while let Some((parent, at)) = forks.get(next) {
            // A name comes once: a circle ends here.
            if cuts.insert((*parent).clone(), *at).is_some() {
                break;
            }
            next = *parent;
        }
        let passed = cuts.iter().filter(|(_, at)| at.is_none()).map(|(name, _)| name.clone()).collect();
        let names = ours().map(|e| e.place.branch.clone()).collect();
        Self { load, session, live, cuts, left: BTreeMap::new(), passed, names, moved: HashMap::new() }
    }

    fn take(&mut self, entry: Entry, out: &mut Vec<Entry>) {
        let Entry { order, place, item } = entry;
        let Place { branch, .. } = place;
        match item {
            Item::Fork { .. } if branch == *self.live || self.cuts.contains_key(&branch) => {}
            Item::Fork { parent, at } => {
                let moved = at.and_then(|at| self.moved.get(&at)).cloned();
                let parent = moved.unwrap_or_else(|| self.of(&parent.branch));
                let item = Item::Fork { parent: self.place(parent), at };
                out.push(Entry { order, place: self.place(branch), item });
            }
            Item::Event(event) => {
                let (id, cut) = (event.id(), self.cuts.get(&branch).copied());
                let to = match cut {
                    Some(at) if self.passed.contains(&branch) => self.leave(&branch, at, &event, order, out),
                    _ => self.of(&branch),
                };
                if cut == Some(Some(id)) {
                    self.passed.insert(branch.clone());
                }
                if to != branch {
                    self.moved.insert(id, to.clone());
                }
                out.push(Entry { order, place: self.place(to), item: Item::Event(event) });
            }
        }
    }

    /// What is left of a branch that the live one parts from. Its first event gives it its name.
    fn leave(
        &mut self,
        branch: &BranchName,
        at: Option<EventId>,
        first: &Planned,
        order: u64,
        out: &mut Vec<Entry>,
    ) -> BranchName {
        if let Some(name) = self.left.get(branch) {
            return name.clone();
        }
        let name =
            names_of(&(self.load)(first)).find(|n| !self.names.contains(n)).unwrap_or_else(|| branch.clone());
        self.names.insert(name.clone());
        self.left.insert(branch.clone(), name.clone());
        let item = Item::Fork { parent: self.place(BranchName::main()), at };
        out.push(Entry { order, place: self.place(name.clone()), item });
        name
    }

    /// The branch before any cut.
    fn of(&self, branch: &BranchName) -> BranchName {
        if branch == self.live || self.cuts.contains_key(branch) {
            return BranchName::main();
        }
        branch.clone()
    }

    fn place(&self, branch: BranchName) -> Place {
        Place::new(self.session.clone(), branch)
    }
}

/// What the branch that begins with this event may be called: `side-` and the first digits of the source's id, or of
/// the event's; more of them, until the name is new.
pub(super) fn names_of(first: &NewEvent) -> impl Iterator<Item = BranchName> + use<> {
    let id = first.id.uuid();
    let given = first.metadata.get(source::ID).and_then(|given| Uuid::try_parse(given).ok()).unwrap_or(id);
    side_names(given, id)
}

/// The same from the two ids themselves.
pub(super) fn side_names(given: Uuid, own: Uuid) -> impl Iterator<Item = BranchName> {
    let (given, own) = (given.simple().to_string(), own.simple().to_string());
    let short = [8, 12, 32].into_iter().filter_map(move |n| Some(format!("side-{}", given.get(..n)?)));
    short.chain([format!("side-{own}")]).filter_map(|name| BranchName::new(name).ok())
}
