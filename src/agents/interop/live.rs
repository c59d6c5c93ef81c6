//! Decides which of a session's lines of history is `main`: the one that was written last. What it left behind by
//! rewinding become branches that fork from it where the rewind was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use uuid::Uuid;

use crate::event::{BranchName, EventId, MAIN, NewEvent, Place, SessionId};

use super::entries::{Entries, Entry, Item};
use super::source;
use super::spool::Planned;

/// The entries with other branches: those that lead to `live` are `main` up to where it forks from them.
pub(super) fn make_main(
    entries: Entries,
    session: &SessionId,
    live: &BranchName,
    load: &dyn Fn(&Planned) -> NewEvent,
) -> io::Result<Entries> {
    if live.as_str() == MAIN {
        return Ok(entries);
    }
    let mut lines = Lines::new(&entries, session, live, load)?;
    for entry in entries.iter() {
        let entry = entry?;
        let place = entries.place(entry.place)?.clone();
        if place.session == *session {
            lines.take(entry, place.branch, &entries)?;
        } else {
            let place = lines.out.number(&place);
            let item = match entry.item {
                Item::Fork { parent, at } => {
                    Item::Fork { parent: lines.out.number(entries.place(parent)?), at }
                }
                event => event,
            };
            lines.out.push(Entry { place, item, ..entry })?;
        }
    }
    Ok(lines.out)
}

struct Lines<'a> {
    load: &'a dyn Fn(&Planned) -> NewEvent,
    session: &'a SessionId,
    live: &'a BranchName,
    /// The branches that lead to the live one, and the last event of each that it inherits.
    cuts: BTreeMap<BranchName, Option<EventId>>,
    /// The names of the rest of those branches, after that event.
    left: BTreeMap<BranchName, BranchName>,
    /// Those of them whose last inherited event has come up.
    passed: HashSet<BranchName>,
    names: HashSet<BranchName>,
    /// The new branch of each event that has moved, if a branch forks after it.
    moved: HashMap<EventId, BranchName>,
    /// The events after which a branch forks.
    ends: HashSet<EventId>,
    out: Entries,
}

impl<'a> Lines<'a> {
    fn new(
        entries: &Entries,
        session: &'a SessionId,
        live: &'a BranchName,
        load: &'a dyn Fn(&Planned) -> NewEvent,
    ) -> io::Result<Self> {
        let mut forks: HashMap<BranchName, (BranchName, Option<EventId>)> = HashMap::new();
        let mut ends = HashSet::new();
        for entry in entries.iter() {
            let entry = entry?;
            let Item::Fork { parent, at } = entry.item else { continue };
            let place = entries.place(entry.place)?;
            if place.session == *session {
                ends.extend(at);
                forks.insert(place.branch.clone(), (entries.place(parent)?.branch.clone(), at));
            }
        }
        let mut cuts = BTreeMap::new();
        let mut next = live;
        while let Some((parent, at)) = forks.get(next) {
            // A name occurs once, so a cycle ends here.
            if cuts.insert(parent.clone(), *at).is_some() {
                break;
            }
            next = parent;
        }
        let passed = cuts.iter().filter(|(_, at)| at.is_none()).map(|(name, _)| name.clone()).collect();
        let ours = entries.places().into_iter().filter(|place| place.session == *session);
        let names = ours.map(|place| place.branch.clone()).collect();
        let (left, moved) = (BTreeMap::new(), HashMap::new());
        let out = Entries::new(entries.may_spill());
        Ok(Self { load, session, live, cuts, left, passed, names, moved, ends, out })
    }

    fn take(&mut self, entry: Entry, branch: BranchName, entries: &Entries) -> io::Result<()> {
        let order = entry.order;
        match entry.item {
            Item::Fork { .. } if branch == *self.live || self.cuts.contains_key(&branch) => {}
            Item::Fork { parent, at } => {
                let moved = at.and_then(|at| self.moved.get(&at)).cloned();
                let parent = match moved {
                    Some(parent) => parent,
                    None => self.of(&entries.place(parent)?.branch),
                };
                self.fork(order, branch, parent, at)?;
            }
            Item::Event(event) => {
                let (id, cut) = (event.id(), self.cuts.get(&branch).copied());
                let to = match cut {
                    Some(at) if self.passed.contains(&branch) => self.leave(&branch, at, &event, order)?,
                    _ => self.of(&branch),
                };
                if cut == Some(Some(id)) {
                    self.passed.insert(branch.clone());
                }
                if to != branch && self.ends.contains(&id) {
                    self.moved.insert(id, to.clone());
                }
                let place = self.place(to);
                self.out.push(Entry { place, item: Item::Event(event), ..entry })?;
            }
        }
        Ok(())
    }

    /// The rest of a branch that the live one forks from. Its first event gives it its name.
    fn leave(
        &mut self,
        branch: &BranchName,
        at: Option<EventId>,
        first: &Planned,
        order: u64,
    ) -> io::Result<BranchName> {
        if let Some(name) = self.left.get(branch) {
            return Ok(name.clone());
        }
        let name =
            names_of(&(self.load)(first)).find(|n| !self.names.contains(n)).unwrap_or_else(|| branch.clone());
        self.names.insert(name.clone());
        self.left.insert(branch.clone(), name.clone());
        self.fork(order, name.clone(), BranchName::main(), at)?;
        Ok(name)
    }

    fn fork(
        &mut self,
        order: u64,
        branch: BranchName,
        parent: BranchName,
        at: Option<EventId>,
    ) -> io::Result<()> {
        let (place, parent) = (self.place(branch), self.place(parent));
        let item = Item::Fork { parent, at };
        self.out.push(Entry { order, ordinal: 0, sequence: None, place, item })?;
        Ok(())
    }

    /// The branch before any cut.
    fn of(&self, branch: &BranchName) -> BranchName {
        if branch == self.live || self.cuts.contains_key(branch) {
            return BranchName::main();
        }
        branch.clone()
    }

    fn place(&mut self, branch: BranchName) -> u32 {
        self.out.number(&Place::new(self.session.clone(), branch))
    }
}

/// Possible names of the branch that begins with this event: `side-` and the first digits of the source's id, or of
/// the event's; more of them, until the name is new.
pub(super) fn names_of(first: &NewEvent) -> impl Iterator<Item = BranchName> + use<> {
    let id = first.id.uuid();
    let given = first.metadata.get(source::ID).and_then(|given| Uuid::try_parse(given).ok()).unwrap_or(id);
    side_names(given, id)
}

/// The same from the two ids.
pub(super) fn side_names(given: Uuid, own: Uuid) -> impl Iterator<Item = BranchName> {
    let (given, own) = (given.simple().to_string(), own.simple().to_string());
    let short = [8, 12, 32].into_iter().filter_map(move |n| Some(format!("side-{}", given.get(..n)?)));
    short.chain([format!("side-{own}")]).filter_map(|name| BranchName::new(name).ok())
}
