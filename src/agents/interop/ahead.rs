//! Steps of a plan as one commit: branches begin and events are appended to them in the order of the plan, all or nothing.
//!
//! Where each event will be is said before anything is written, and expected by the commit. If somebody else writes to the
//! same branches meanwhile, the commit is refused, and the steps are taken one by one.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::event::{Address, EventId, Expect, MAIN, NewEvent, Place, Sequence};
use crate::store::{Batch, Store};

use super::homes::{Beginning, Homes};

/// A step of a plan that has to be taken.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The line has a branch, if only an empty one.
    Begin(Place),
    /// The line has this event.
    Append(Place, Box<NewEvent>),
}

/// The steps as they will be.
pub(super) struct Ahead {
    pub(super) batch: Batch,
    /// The branches of lines that had none.
    pub(super) branches: HashMap<Place, Place>,
}

/// What becomes of these steps; `None` where that cannot be said, or where nothing is appended.
pub(super) fn ahead(store: &Store, homes: &Homes<'_>, steps: &[Step]) -> Result<Option<Ahead>> {
    let mut planner = Planner {
        store,
        homes,
        batch: Batch::new(),
        part: None,
        branches: HashMap::new(),
        begun: HashMap::new(),
        heads: HashMap::new(),
        events: HashMap::new(),
    };
    for step in steps {
        let (Step::Begin(line) | Step::Append(line, _)) = step;
        let Some(branch) = planner.begin(line)? else { return Ok(None) };
        if let Step::Append(_, event) = step
            && !planner.append(branch, NewEvent::clone(event))?
        {
            return Ok(None);
        }
    }
    planner.end_part()?;
    let Planner { batch, branches, events, .. } = planner;
    Ok((!events.is_empty()).then_some(Ahead { batch, branches }))
}

struct Planner<'h, 'a> {
    store: &'h Store,
    homes: &'h Homes<'a>,
    batch: Batch,
    /// The branch that was appended to last, its head before that, and the events.
    part: Option<(Place, u64, Vec<NewEvent>)>,
    branches: HashMap<Place, Place>,
    /// Where branches of this commit fork.
    begun: HashMap<Place, (Place, u64)>,
    heads: HashMap<Place, u64>,
    /// Where the events of this commit are.
    events: HashMap<EventId, (Place, u64)>,
}

impl Planner<'_, '_> {
    /// The branch of a line, which begins here if it has none.
    fn begin(&mut self, line: &Place) -> Result<Option<Place>> {
        if let Some(branch) = self.of(line) {
            return Ok(Some(branch.clone()));
        }
        let from = match self.homes.beginning(line) {
            Beginning::Own => {
                self.branches.insert(line.clone(), line.clone());
                return Ok(Some(line.clone()));
            }
            Beginning::After(address) => {
                address.sequence().map(|sequence| (address.place().clone(), sequence.get()))
            }
            Beginning::Fork(parent, None) => Some((self.of(&parent).unwrap_or(&parent).clone(), 0)),
            Beginning::Fork(parent, Some(at)) => self.at(&parent, at)?,
            Beginning::Unknown => None,
        };
        let Some((parent, at)) = from else { return Ok(None) };
        let Some(branch) = self.name(line)? else { return Ok(None) };
        self.end_part()?;
        let batch = std::mem::take(&mut self.batch);
        self.batch = batch.forking(parent.clone(), Sequence::new(at), branch.clone());
        self.heads.insert(branch.clone(), at);
        self.begun.insert(branch.clone(), (parent, at));
        self.branches.insert(line.clone(), branch.clone());
        Ok(Some(branch))
    }

    fn of(&self, line: &Place) -> Option<&Place> {
        self.branches.get(line).or_else(|| self.homes.of(line))
    }

    /// The name of a new branch. If its first choice is taken, it may be the branch of an earlier import.
    fn name(&self, line: &Place) -> Result<Option<Place>> {
        let Some(name) = self.homes.candidates(line).next() else { return Ok(None) };
        if self.heads.contains_key(&name) {
            return Ok(None);
        }
        match self.store.head(name.clone()) {
            Ok(_) => Ok(None),
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(Some(name)),
            Err(e) => Err(e),
        }
    }

    /// Where a branch forks from that of a line after this event: on that branch itself, even if it inherits the event.
    fn at(&self, parent: &Place, event: EventId) -> Result<Option<(Place, u64)>> {
        let id = self.homes.named(event);
        let (owner, sequence) = match self.events.get(&id) {
            Some(at) => at.clone(),
            None => match self.store.get_raw(id) {
                Ok(found) => (Place::clone(found.place()), found.sequence().get()),
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(e) => return Err(e),
            },
        };
        let parent = self.of(parent).unwrap_or(parent);
        let is_there = owner == *parent || self.has(parent, sequence, id)?;
        Ok(Some((if is_there { parent.clone() } else { owner }, sequence)))
    }

    fn has(&self, branch: &Place, sequence: u64, id: EventId) -> Result<bool> {
        let mut branch = branch;
        loop {
            if self.events.get(&id).is_some_and(|(place, n)| place == branch && *n == sequence) {
                return Ok(true);
            }
            match self.begun.get(branch) {
                Some((parent, at)) if sequence <= *at => branch = parent,
                Some(_) => return Ok(false),
                None => return self.homes.has(branch, Sequence::new(sequence), id),
            }
        }
    }

    /// Appends an event. `false` if there is no such branch.
    fn append(&mut self, branch: Place, event: NewEvent) -> Result<bool> {
        let head = match self.heads.get(&branch) {
            Some(head) => *head,
            None => match self.store.head(branch.clone()) {
                Ok(head) => head.get(),
                Err(Error::NotFound { .. } | Error::Deleted { .. }) if branch.branch.as_str() == MAIN => 0,
                Err(Error::NotFound { .. } | Error::Deleted { .. }) => return Ok(false),
                Err(e) => return Err(e),
            },
        };
        self.heads.insert(branch.clone(), head + 1);
        self.events.insert(event.id, (branch.clone(), head + 1));
        match &mut self.part {
            Some((last, _, events)) if *last == branch => events.push(event),
            _ => {
                self.end_part()?;
                self.part = Some((branch, head, vec![event]));
            }
        }
        Ok(true)
    }

    fn end_part(&mut self) -> Result<()> {
        if let Some((branch, head, events)) = self.part.take() {
            let batch = std::mem::take(&mut self.batch);
            self.batch = batch.add(Address::from(branch), Expect::Head(Sequence::new(head)), events)?;
        }
        Ok(())
    }
}
