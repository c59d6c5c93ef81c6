//! Transcripts of Claude Code: one record per line, each with `uuid` and `parentUuid`.
//!
//! - The session is the record's `sessionId`. Records of a sub-agent (`isSidechain`, in the same file or in an
//!   `agent-*.jsonl` of their own) go to the session `<sessionId>.agent-<agentId>`.
//! - [`line`] explains which line of history a record goes to. Records without `uuid` go where the previous record
//!   went. The line that was written last is `main`; what a rewind left behind becomes branches of it.
//! - An event is caused by its parent, in whichever session of the file that is; a tool's result by the call; a
//!   sub-agent's first prompt by the call that started it. Neither file refers to that record in the other, but both
//!   contain the text of the task, so the id of the call's event is derived from that text.

mod line;
pub(super) mod record;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::event::{EventId, Invalid, NewEvent, Place, SessionId};

use super::builder::{Added, Builder, Draft};
use super::fields::Fields;
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source};

pub(crate) use record::{is_record, is_telling};

use line::{Spot, Tree};
use record::Transcript;

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let base = base(input)?;
    let stem = names::stem(input.file);
    let mut reader = LogReader {
        plan: input.builder(),
        asked: input.options.session.clone(),
        agent_file: stem.strip_prefix("agent-"),
        home: base,
        chains: HashMap::new(),
        trees: BTreeMap::new(),
        before: None,
        tasks: HashSet::new(),
        unnamed: ids::Occurrences::default(),
    };
    for ref piece in input.pieces() {
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, fields)) => reader.record((piece, text), &Transcript::read(&fields))?,
            Err(reason) => {
                reader.plan.skip(piece, reason);
                reader.tree(reader.home.clone()).broke();
            }
        }
    }
    for (session, tree) in &reader.trees {
        reader.plan.live(session.clone(), tree.live());
    }
    Ok(reader.plan.finish())
}

/// The session of records that name none, until one does.
fn base(input: &Input<'_>) -> Result<SessionId, Invalid> {
    if input.options.session.is_some() {
        return input.session_or_stem();
    }
    let texts = input.pieces().filter_map(|p| input.text(&p).ok());
    let mut names = texts.filter_map(|t| Some(Fields::parse(&t).ok()?.word("sessionId")?.into_owned()));
    names.next().map_or_else(|| input.session_or_stem(), |name| names::session(&name))
}

struct LogReader<'a> {
    plan: Builder<'a>,
    /// The session that was given.
    asked: Option<SessionId>,
    /// The sub-agent that the file is named after.
    agent_file: Option<&'a str>,
    /// The session of records that name none.
    home: SessionId,
    /// The sub-agents of records whose file names none, by `uuid`.
    chains: HashMap<String, String>,
    trees: BTreeMap<SessionId, Tree>,
    /// The session of the previous record.
    before: Option<SessionId>,
    /// Calls of sub-agents whose event has an id derived from the task.
    tasks: HashSet<EventId>,
    unnamed: ids::Occurrences,
}

impl LogReader<'_> {
    fn tree(&mut self, session: SessionId) -> &mut Tree {
        self.trees.entry(session).or_default()
    }

    fn record(&mut self, record: (&Piece, &str), t: &Transcript<'_>) -> Result<(), Invalid> {
        let base = match (&self.asked, &t.session) {
            (Some(asked), _) => Some(asked.clone()),
            (None, Some(name)) => Some(names::session(name)?),
            (None, None) => None,
        };
        let agent = self.agent(t);
        let session = match (&base, &agent) {
            (Some(base), Some(agent)) => names::session(&format!("{base}.agent-{agent}"))?,
            (Some(base), None) if t.uuid.is_some() || self.agent_file.is_none() => base.clone(),
            _ => self.home.clone(),
        };
        if t.uuid.is_some() && (agent.is_none() || self.agent_file.is_some()) {
            self.home = session.clone();
        }
        let base = base.unwrap_or_else(|| session.clone());
        let cause = self.elsewhere(t, &session);
        self.place(record, t, &session, &base, agent.as_deref(), cause)?;
        self.before = Some(session);
        Ok(())
    }

    /// The event of a record's parent, if that is in another session of the file.
    fn elsewhere(&self, t: &Transcript<'_>, session: &SessionId) -> Option<EventId> {
        let parent = t.parent.as_deref()?;
        if self.trees.get(session).is_some_and(|tree| tree.event(parent).is_some()) {
            return None;
        }
        let before = self.before.as_ref().and_then(|session| self.trees.get(session));
        before.into_iter().chain(self.trees.values()).find_map(|tree| tree.event(parent))
    }

    /// The sub-agent that a record belongs to.
    fn agent(&mut self, t: &Transcript<'_>) -> Option<String> {
        if !t.sidechain.unwrap_or(self.agent_file.is_some()) {
            return None;
        }
        let named = t.agent.as_deref().or(self.agent_file).map(str::to_owned);
        let uuid = t.uuid.as_deref()?;
        let inherited = || t.parent.as_deref().and_then(|p| self.chains.get(p)).cloned();
        // In older files the records of sub-agents have no name: each root is a sub-agent.
        let root = || uuid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let agent = named.or_else(inherited).unwrap_or_else(root);
        self.chains.insert(uuid.to_owned(), agent.clone());
        Some(agent)
    }

    fn place(
        &mut self,
        (piece, text): (&Piece, &str),
        t: &Transcript<'_>,
        session: &SessionId,
        base: &SessionId,
        agent: Option<&str>,
        elsewhere: Option<EventId>,
    ) -> Result<(), Invalid> {
        let order = piece.ordinal as u64;
        let draft = |event, time| Draft::new(event, time, Body::Record);
        let calls: Vec<&str> = t.calls.iter().map(|c| &**c).collect();
        let answers: Vec<&str> = t.answers.iter().map(|c| &**c).collect();
        let tree = self.trees.entry(session.clone()).or_default();
        let Some(node) = t.node(&calls, &answers) else {
            let name = [session.as_str().as_bytes(), b"", text.as_bytes()];
            let id = self.unnamed.next(ids::derived(ids::CLAUDE_CODE, &name));
            let line = tree.current();
            let place = Place::new(session.clone(), tree.branch(line));
            let event = event(t, id, None, agent);
            if let Added::New(id) | Added::Variant(id) =
                self.plan.push(piece, order, &place, draft(event, t.time))
            {
                tree.extend(line, id);
            }
            return Ok(());
        };
        let own = ids::derived(ids::CLAUDE_CODE, &[session.as_str().as_bytes(), node.uuid.as_bytes()]);
        let task = |words: &str| {
            ids::derived(ids::CLAUDE_CODE, &[base.as_str().as_bytes(), b"task", words.as_bytes()])
        };
        let first = tree.first(node.uuid);
        let fresh = || t.task.as_deref().map(task).filter(|id| self.tasks.insert(*id)).unwrap_or(own);
        let id = first.unwrap_or_else(fresh);
        let parent = || tree.event(node.parent?).or(elsewhere);
        let cause = match answers.iter().find_map(|a| tree.call(a)).or_else(parent) {
            None if agent.is_some() && tree.is_empty() => t.words.as_deref().map(task),
            cause => cause,
        };
        let spot = tree.place(&node);
        let name = tree.name(node.uuid, own)?;
        let branch = match &spot {
            Spot::End(line) => tree.branch(*line),
            Spot::Fork { .. } => name.clone(),
        };
        let place = Place::new(session.clone(), branch);
        let mut draft = draft(event(t, id, cause, agent), t.time);
        if let Spot::Fork { from, at, .. } = &spot {
            draft.fork = Some((Place::new(session.clone(), tree.branch(*from)), *at));
        }
        match self.plan.push(piece, order, &place, draft) {
            Added::New(id) | Added::Variant(id) => {
                tree.add(&node, &spot, id, Some(name));
            }
            Added::Duplicate => {}
            Added::Refused => {
                tree.lose(&node, &spot);
                if first.is_none() {
                    self.tasks.remove(&id);
                }
            }
        }
        Ok(())
    }
}

fn event(t: &Transcript<'_>, id: EventId, cause: Option<EventId>, agent: Option<&str>) -> NewEvent {
    let mut event = NewEvent::new(t.kind.clone());
    event.id = id;
    event.source = "claude-code".into();
    event.actor = t.actor.into();
    event.correlation = t.correlation().map_or_else(String::new, names::label).into();
    event.causation = cause;
    let noted = [
        (source::ID, t.uuid.as_deref()),
        ("tool", t.tool.as_deref()),
        ("agent", agent.or(t.spawned.as_deref())),
    ];
    for (key, value) in noted {
        if let Some(value) = value {
            event.metadata.insert(key.to_owned(), names::label(value));
        }
    }
    event
}

#[cfg(test)]
mod tests;
