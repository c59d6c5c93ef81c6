//! Decides which of a session's lines of history is `main`: the one that was written last. What it left behind by
//! rewinding become branches that fork from it where the rewind was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use uuid::Uuid;

use crate::event::{BranchName, EventId, MAIN, NewEvent, Place, SessionId};

use super::entries::{Entries, Entry, Item};
use super::source;
use super::spool::Planned;

/// The entries with other branches: those that lead to the `live` one of their session are `main` up to where it forks
/// from them. However many sessions there are, the entries are read twice.
pub(super) fn make_main(
    entries: Entries,
    live: &BTreeMap<SessionId, BranchName>,
    load: &dyn Fn(&Planned) -> NewEvent,
) -> io::Result<Entries> {
    let mut sessions = sessions(&entries, live)?;
    if sessions.is_empty() {
        return Ok(entries);
    }
    let mut out = Entries::new(entries.may_spill());
    for entry in entries.iter() {
        let entry = entry?;
        let place = entries.place(entry.place)?;
        if let Some(lines) = sessions.get_mut(&place.session) {
            let mut target = SessionOut { out: &mut out, session: &place.session, order: entry.order };
            lines.take(entry, &place.branch, &entries, &mut target, load)?;
        } else {
            let item = match entry.item {
                Item::Fork { parent, at } => Item::Fork { parent: out.number(entries.place(parent)?), at },
                event @ Item::Event(_) => event,
            };
            let place = out.number(place);
            out.push(Entry { place, item, ..entry })?;
        }
    }
    Ok(out)
}

/// The lines of history of each session whose live branch is not `main` yet.
fn sessions<'a>(
    entries: &Entries,
    live: &'a BTreeMap<SessionId, BranchName>,
) -> io::Result<HashMap<&'a SessionId, Lines<'a>>> {
    let mut sessions: HashMap<&SessionId, Lines<'_>> = live
        .iter()
        .filter(|(_, live)| live.as_str() != MAIN)
        .map(|(session, live)| (session, Lines::new(live)))
        .collect();
    if sessions.is_empty() {
        return Ok(sessions);
    }
    for place in entries.places() {
        if let Some(lines) = sessions.get_mut(&place.session) {
            lines.names.insert(place.branch.clone());
        }
    }
    let mut forks: HashMap<&Place, (&Place, Option<EventId>)> = HashMap::new();
    for entry in entries.iter() {
        let entry = entry?;
        let Item::Fork { parent, at } = entry.item else { continue };
        let place = entries.place(entry.place)?;
        if let Some(lines) = sessions.get_mut(&place.session) {
            lines.ends.extend(at);
            forks.insert(place, (entries.place(parent)?, at));
        }
    }
    for (session, lines) in &mut sessions {
        lines.cut(session, &forks);
    }
    Ok(sessions)
}

/// Where the entries of a session go.
struct SessionOut<'t> {
    out: &'t mut Entries,
    session: &'t SessionId,
    /// The order of the entry that is being written.
    order: u64,
}

impl SessionOut<'_> {
    fn place(&mut self, branch: BranchName) -> u32 {
        self.out.number(&Place::new(self.session.clone(), branch))
    }

    fn fork(&mut self, branch: BranchName, parent: BranchName, at: Option<EventId>) -> io::Result<()> {
        let (place, parent) = (self.place(branch), self.place(parent));
        let item = Item::Fork { parent, at };
        self.out.push(Entry { order: self.order, ordinal: 0, sequence: None, place, item })?;
        Ok(())
    }
}

/// The lines of history of one session.
struct Lines<'a> {
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
}

impl<'a> Lines<'a> {
    fn new(live: &'a BranchName) -> Self {
        Self {
            live,
            cuts: BTreeMap::new(),
            left: BTreeMap::new(),
            passed: HashSet::new(),
            names: HashSet::new(),
            moved: HashMap::new(),
            ends: HashSet::new(),
        }
    }

    /// Finds the branches that lead to the live one.
    fn cut(&mut self, session: &SessionId, forks: &HashMap<&Place, (&Place, Option<EventId>)>) {
        let mut next = Place::new(session.clone(), self.live.clone());
        while let Some((parent, at)) = forks.get(&next) {
            // A name occurs once, so a cycle ends here.
            if self.cuts.insert(parent.branch.clone(), *at).is_some() {
                break;
            }
            next = (*parent).clone();
        }
        self.passed = self.cuts.iter().filter(|(_, at)| at.is_none()).map(|(name, _)| name.clone()).collect();
    }

    fn take(
        &mut self,
        entry: Entry,
        branch: &BranchName,
        entries: &Entries,
        target: &mut SessionOut<'_>,
        load: &dyn Fn(&Planned) -> NewEvent,
    ) -> io::Result<()> {
        match entry.item {
            Item::Fork { .. } if branch == self.live || self.cuts.contains_key(branch) => {}
            Item::Fork { parent, at } => {
                let moved = at.and_then(|at| self.moved.get(&at)).cloned();
                let parent = match moved {
                    Some(parent) => parent,
                    None => self.of(&entries.place(parent)?.branch),
                };
                target.fork(branch.clone(), parent, at)?;
            }
            Item::Event(event) => {
                let (id, cut) = (event.id(), self.cuts.get(branch).copied());
                let to = match cut {
                    Some(at) if self.passed.contains(branch) => {
                        self.leave(branch, at, target, || load(&event))?
                    }
                    _ => self.of(branch),
                };
                if cut == Some(Some(id)) {
                    self.passed.insert(branch.clone());
                }
                if to != *branch && self.ends.contains(&id) {
                    self.moved.insert(id, to.clone());
                }
                let place = target.place(to);
                target.out.push(Entry { place, item: Item::Event(event), ..entry })?;
            }
        }
        Ok(())
    }

    /// The rest of a branch that the live one forks from. Its first event gives it its name.
    fn leave(
        &mut self,
        branch: &BranchName,
        at: Option<EventId>,
        target: &mut SessionOut<'_>,
        first: impl FnOnce() -> NewEvent,
    ) -> io::Result<BranchName> {
        if let Some(name) = self.left.get(branch) {
            return Ok(name.clone());
        }
        let name = names_of(&first()).find(|n| !self.names.contains(n)).unwrap_or_else(|| branch.clone());
        self.names.insert(name.clone());
        self.left.insert(branch.clone(), name.clone());
        target.fork(name.clone(), BranchName::main(), at)?;
        Ok(name)
    }

    /// The branch before any cut.
    fn of(&self, branch: &BranchName) -> BranchName {
        if branch == self.live || self.cuts.contains_key(branch) {
            return BranchName::main();
        }
        branch.clone()
    }
}

/// How the names begin of branches that have none in their file.
const SIDE: &str = "side-";

/// Whether a branch has no name in its file.
pub(super) fn is_unnamed(branch: &BranchName) -> bool {
    branch.as_str().starts_with(SIDE)
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
    let short = [8, 12, 32].into_iter().filter_map(move |n| Some(format!("{SIDE}{}", given.get(..n)?)));
    short.chain([format!("{SIDE}{own}")]).filter_map(|name| BranchName::new(name).ok())
}
