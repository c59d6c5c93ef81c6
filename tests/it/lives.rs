//! A plain model of the branches of one session, with whatever may become of them, and the comparison of a store with it.

use std::collections::{BTreeMap, HashMap};

use retold::event::EventId;
use retold::lifecycle::Expiry;
use retold::{Error, NewEvent, Query, Store};

use crate::support::Dice;

pub(crate) const NAMES: [&str; 4] = ["main", "a", "b", "c"];

/// A branch that has begun, whether it is deleted or not.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Which line it was forked from, and the last sequence that it inherits.
    pub(crate) parent: Option<(usize, u64)>,
    /// Numbers of its own events.
    pub(crate) own: Vec<u64>,
    pub(crate) first: u64,
    pub(crate) closed: bool,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) deleted: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) lines: Vec<Line>,
    /// The line that had a name last.
    pub(crate) names: BTreeMap<usize, usize>,
    /// The name of each line.
    pub(crate) named: Vec<usize>,
    /// Line, sequence and number of every event.
    pub(crate) order: Vec<(usize, u64, u64)>,
    /// By number, where it was recorded last.
    pub(crate) known: HashMap<u64, (usize, u64)>,
    pub(crate) next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Repeated,
    NotFound,
    Deleted,
    Closed,
    Conflict,
    Exists,
    Truncated,
    Duplicate,
}

pub(crate) fn outcome<T>(answer: &Result<T, Error>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Done,
        Err(Error::NotFound { .. }) => Outcome::NotFound,
        Err(Error::Deleted { .. }) => Outcome::Deleted,
        Err(Error::BranchClosed { .. }) => Outcome::Closed,
        Err(Error::Conflict { .. }) => Outcome::Conflict,
        Err(Error::Exists { .. }) => Outcome::Exists,
        Err(Error::Truncated { .. }) => Outcome::Truncated,
        Err(Error::Duplicate { .. }) => Outcome::Duplicate,
        Err(e) => panic!("{e:?}"),
    }
}

impl Model {
    /// The line of a name, unless it is deleted.
    pub(crate) fn live(&self, name: usize) -> Option<usize> {
        self.names.get(&name).copied().filter(|line| !self.lines[*line].deleted)
    }

    pub(crate) fn missing(&self, name: usize) -> Outcome {
        if self.names.contains_key(&name) { Outcome::Deleted } else { Outcome::NotFound }
    }

    pub(crate) fn fork_point(&self, line: usize) -> u64 {
        self.lines[line].parent.map_or(0, |(_, at)| at)
    }

    pub(crate) fn head(&self, line: usize) -> u64 {
        self.fork_point(line) + self.lines[line].own.len() as u64
    }

    /// The number of the event with a sequence, whoever owns it.
    pub(crate) fn at(&self, line: usize, sequence: u64) -> u64 {
        let fork = self.fork_point(line);
        if sequence > fork {
            return self.lines[line].own[(sequence - fork - 1) as usize];
        }
        self.at(self.lines[line].parent.unwrap().0, sequence)
    }

    /// Who owns an event of a history.
    pub(crate) fn owner(&self, line: usize, sequence: u64) -> usize {
        let fork = self.fork_point(line);
        if sequence > fork { line } else { self.owner(self.lines[line].parent.unwrap().0, sequence) }
    }

    pub(crate) fn history(&self, line: usize) -> Vec<u64> {
        (self.lines[line].first..=self.head(line)).map(|sequence| self.at(line, sequence)).collect()
    }

    pub(crate) fn begin(&mut self, name: usize, parent: Option<(usize, u64)>) -> usize {
        let first = parent.map_or(1, |(of, at)| (self.lines[of].first - 1).min(at) + 1);
        self.lines.push(Line { parent, own: Vec::new(), first, closed: false, expiry: None, deleted: false });
        self.names.insert(name, self.lines.len() - 1);
        self.named.push(name);
        self.lines.len() - 1
    }

    /// Whether an event of an earlier append is known.
    pub(crate) fn is_known(&self, number: u64) -> Option<(usize, u64)> {
        let (line, sequence) = *self.known.get(&number)?;
        let inherits = |to: usize| {
            sequence >= self.lines[to].first && sequence <= self.head(to) && self.owner(to, sequence) == line
        };
        let counts = (0..self.lines.len()).any(|to| !self.lines[to].deleted && (to == line || inherits(to)));
        counts.then_some((line, sequence))
    }

    pub(crate) fn append(&mut self, name: usize, numbers: &[u64], expects_empty: bool) -> Outcome {
        let known: Vec<_> = numbers.iter().filter_map(|n| self.is_known(*n)).collect();
        if let Some((line, sequence)) = known.first() {
            let is_here = self.live(name) == Some(*line) && *sequence >= self.lines[*line].first;
            return if is_here { Outcome::Repeated } else { Outcome::Duplicate };
        }
        let line = match self.live(name) {
            Some(line) => {
                if self.lines[line].closed {
                    return Outcome::Closed;
                }
                if expects_empty && self.head(line) > 0 {
                    return Outcome::Conflict;
                }
                line
            }
            None if name == 0 => self.begin(0, None),
            None if expects_empty => {
                let main = self.live(0).unwrap_or_else(|| self.begin(0, None));
                self.begin(name, Some((main, 0)))
            }
            None => return self.missing(name),
        };
        for number in numbers {
            self.lines[line].own.push(*number);
            let sequence = self.head(line);
            self.known.insert(*number, (line, sequence));
            self.order.push((line, sequence, *number));
        }
        Outcome::Done
    }

    pub(crate) fn fork(&mut self, parent: usize, at: Option<u64>, name: usize) -> Outcome {
        let is_taken = self.live(name).is_some();
        let line = match self.live(parent) {
            Some(line) => line,
            None if parent == 0 && at == Some(0) => {
                if name == 0 || is_taken {
                    return Outcome::Exists;
                }
                self.begin(0, None)
            }
            None => return self.missing(parent),
        };
        let at = at.unwrap_or(self.head(line));
        if at > self.head(line) {
            return Outcome::NotFound;
        }
        if at > 0 && at + 1 < self.lines[line].first {
            return Outcome::Truncated;
        }
        if is_taken {
            return Outcome::Exists;
        }
        self.begin(name, Some((line, at)));
        Outcome::Done
    }

    pub(crate) fn truncate(&mut self, name: usize, before: u64) -> Outcome {
        let Some(line) = self.live(name) else { return self.missing(name) };
        if before > self.head(line) + 1 {
            return Outcome::NotFound;
        }
        self.lines[line].first = self.lines[line].first.max(before);
        Outcome::Done
    }

    /// Number and position of what everybody can see.
    pub(crate) fn all(&self) -> Vec<(u64, u64)> {
        let shown = |(_, (line, sequence, _)): &(usize, &(usize, u64, u64))| {
            !self.lines[*line].deleted && *sequence >= self.lines[*line].first
        };
        self.order.iter().enumerate().filter(shown).map(|(i, (_, _, n))| (*n, i as u64 + 1)).collect()
    }
}

pub(crate) fn event(number: u64) -> NewEvent {
    let id: EventId = format!("01890000-0000-7000-8000-{number:012x}").parse().unwrap();
    NewEvent::new("step.done").json_text(number.to_string()).with_id(id)
}

/// The same with a payload of some size, which its number decides.
pub(crate) fn sized(number: u64) -> NewEvent {
    let mut dice = Dice(number);
    let size = match dice.under(20) {
        0 => 4_000 + dice.under(9_000),
        1..4 => dice.under(1_500),
        _ => dice.under(60),
    };
    let text: String = (0..size / 16).map(|_| format!("{:016x}", dice.roll())).collect();
    event(number).json_text(format!("\"{number} {text}\""))
}

/// The number of an event, with or without a size.
pub(crate) fn number(event: &retold::Event) -> u64 {
    let text = std::str::from_utf8(event.payload()).unwrap().trim_matches('"');
    text.split(' ').next().unwrap().parse().unwrap()
}

pub(crate) fn address(name: usize) -> String {
    format!("s/{}", NAMES[name])
}

pub(crate) fn numbers(store: &Store, query: Query) -> Result<Vec<u64>, Error> {
    store.events(query)?.map(|event| event.map(|event| number(&event))).collect()
}

pub(crate) fn same(store: &Store, model: &Model) {
    let listed: Vec<String> = match store.branches(&"s".try_into().unwrap()) {
        Ok(branches) => branches.iter().map(|b| b.place.branch.to_string()).collect(),
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(e) => panic!("{e}"),
    };
    let mut due: Vec<String> =
        (0..NAMES.len()).filter(|n| model.live(*n).is_some()).map(|n| NAMES[n].to_owned()).collect();
    due.sort();
    assert_eq!(listed, due);
    assert_eq!(store.sessions(None, 5).unwrap().len(), usize::from(!due.is_empty()));
    for name in 0..NAMES.len() {
        let (place, query) = (address(name), || Query::branch(address(name).as_str()).unwrap());
        let Some(line) = model.live(name) else {
            assert_eq!(outcome(&store.head(place.as_str())), model.missing(name));
            assert_eq!(outcome(&store.read(&query())), model.missing(name));
            assert_eq!(outcome(&numbers(store, query())), model.missing(name));
            continue;
        };
        let info = store.branch(place.as_str()).unwrap();
        let (head, first) = (model.head(line), model.lines[line].first);
        assert_eq!((info.head.get(), info.first.get()), (head, first), "{place}");
        assert_eq!(info.closed.is_some(), model.lines[line].closed);
        assert_eq!((info.expiry, info.expires.is_some()), (model.lines[line].expiry, info.expiry.is_some()));
        let history = model.history(line);
        assert_eq!(numbers(store, query()).unwrap(), history, "{place}");
        let mut turned = numbers(store, query().reverse()).unwrap();
        turned.reverse();
        assert_eq!(turned, history, "{place}");
        for from in 2..=head + 1 {
            let found = store.read(&query().from(from)).map(|page| page.events.len() as u64);
            match from < first {
                true => assert_eq!(outcome(&found), Outcome::Truncated, "{place}@{from}"),
                false => assert_eq!(found.unwrap(), (head + 1) - from, "{place}@{from}"),
            }
        }
    }
    let all = model.all();
    let read = |query: Query| -> Vec<(u64, u64)> {
        let page = store.events(query).unwrap().map(Result::unwrap);
        page.map(|event| (number(&event), event.position().get())).collect()
    };
    assert_eq!(read(Query::all()), all);
    let mut turned = read(Query::all().reverse());
    turned.reverse();
    assert_eq!(turned, all);
    for from in 1..=model.order.len() as u64 {
        let page = store.read_all(from.into(), 2).unwrap().events;
        let found: Vec<u64> = page.iter().map(|event| event.position().get()).collect();
        let due: Vec<u64> = all.iter().map(|(_, at)| *at).filter(|at| *at >= from).take(2).collect();
        assert_eq!(found, due);
    }
    if !due.is_empty() {
        assert_eq!(read(Query::session("s").unwrap()), all);
    }
    for (number, (line, sequence)) in &model.known {
        let shown = !model.lines[*line].deleted && *sequence >= model.lines[*line].first;
        assert_eq!(store.get(event(*number).id()).is_ok(), shown, "event {number}");
    }
    assert_eq!(store.committed().get(), model.order.len() as u64);
}
