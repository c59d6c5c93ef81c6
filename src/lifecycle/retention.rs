//! Policies of how long sessions are kept, and how much of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{BranchLifecycle, ending};
use crate::engine::End;
use crate::error::{Error, Result};
use crate::event::payload::Payload;
use crate::event::payload::session::{SessionLabelled, SessionNoted, SessionUnlabelled};
use crate::event::{
    ANNOTATIONS, BranchName, Catalogue, Invalid, NamePattern, Place, Sequence, SessionId, Timestamp,
};
use crate::limits::{DEFAULT_PAGE, MAX_LISTING};
use crate::store::{Branch, BranchChange, Change, Commit, Range, Reader, SessionInfo, Store};

/// How long sessions are kept, and how much of them. A session is as old as its latest event, where labels and notes that were
/// added to it do not count; one that has none is as old as itself. Every limit that is set holds. A session on which somebody holds a [lease](crate::store::leases::Leases) is not deleted, only
/// truncated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    sessions: Option<NamePattern>,
    max_age: Option<Duration>,
    max_sessions: Option<u64>,
    max_bytes: Option<u64>,
    max_events: Option<u64>,
}

impl RetentionPolicy {
    /// Of all sessions, without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only of sessions with such a name.
    #[must_use]
    pub fn sessions(mut self, names: NamePattern) -> Self {
        self.sessions = Some(names);
        self
    }

    /// Sessions are deleted when their latest event is older.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The newest sessions are kept, this many; the others are deleted.
    #[must_use]
    pub fn max_sessions(mut self, sessions: u64) -> Self {
        self.max_sessions = Some(sessions);
        self
    }

    /// The newest sessions are kept that have no more bytes of events than this together, as they were appended; the others
    /// are deleted, but for the newest of all, however large it is. To know them, the whole store is read.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Each branch of a session that stays keeps its latest events, this many, inherited ones counted; the others are
    /// [truncated](BranchLifecycle::truncate). The branch `annotations` keeps all, if it is that of labels and notes.
    #[must_use]
    pub fn max_events(mut self, events: u64) -> Self {
        self.max_events = Some(events);
        self
    }

    fn check(&self) -> Result<()> {
        let limits = [self.max_age.is_some(), self.max_sessions.is_some(), self.max_bytes.is_some()];
        match limits.contains(&true) || self.max_events.is_some() {
            true => Ok(()),
            false => Err(Invalid::new("retention policy", "has no limit; set one at least").into()),
        }
    }

    fn concerns(&self, session: &SessionId) -> bool {
        self.sessions.as_ref().is_none_or(|names| names.matches(session.as_str()))
    }
}

/// The limit for which a session goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetentionLimit {
    /// [`RetentionPolicy::max_age`].
    Age,
    /// [`RetentionPolicy::max_sessions`].
    Sessions,
    /// [`RetentionPolicy::max_bytes`].
    Bytes,
}

impl RetentionLimit {
    /// Its name, as command lines have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Sessions => "sessions",
            Self::Bytes => "bytes",
        }
    }
}

/// A session that a policy deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetiredSession {
    /// The session.
    pub session: SessionId,
    /// When its latest event was recorded, or it was made if it has none.
    pub last: Timestamp,
    /// How many branches it has.
    pub branches: u64,
    /// Events of all its branches; inherited ones count once.
    pub events: u64,
    /// Bytes of those, where the policy limits them.
    pub bytes: Option<u64>,
    /// Why it goes.
    pub limit: RetentionLimit,
}

/// A branch that a policy truncates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetiredEvents {
    /// The branch.
    pub place: Place,
    /// The first sequence that stays.
    pub first: Sequence,
    /// How many events are gone from it.
    pub events: u64,
}

/// What a policy removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// Sessions that are deleted, oldest first.
    pub sessions: Vec<RetiredSession>,
    /// Branches that are truncated, by name.
    pub branches: Vec<RetiredEvents>,
    /// Sessions that would go, and stay: somebody holds their lease, or went on with them meanwhile.
    pub in_use: Vec<SessionId>,
}

impl BranchLifecycle {
    /// What a policy would remove now. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a policy without a limit; those of reading.
    pub fn preview_retention(&self, policy: &RetentionPolicy) -> Result<Retired> {
        planned(&self.store, policy, Timestamp::now()).map(|(retired, _)| retired)
    }

    /// [`preview_retention`](Self::preview_retention) for tasks. Dropping the future changes nothing; a read that was begun goes
    /// on, and keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`preview_retention`](Self::preview_retention).
    pub async fn preview_retention_async(&self, policy: &RetentionPolicy) -> Result<Retired> {
        let policy = policy.clone();
        self.store.in_task(move |store| store.lifecycle().preview_retention(&policy)).await
    }

    /// Removes what a policy does not keep: session by session, each as a whole. A session that somebody goes on with meanwhile
    /// stays; a branch that begins at the moment when its session is deleted is left. Answers with what was removed. The space is used again after [`purge`](Self::purge).
    ///
    /// A store does not do this on its own: call it now and then, or have `retold retain` do it.
    ///
    /// ```
    /// use retold::lifecycle::RetentionPolicy;
    /// use retold::{NewEvent, Store};
    ///
    /// let store = Store::in_memory()?;
    /// for session in ["nightly-1", "nightly-2", "release-1", "nightly-3"] {
    ///     store.append(session, NewEvent::new("run.started"))?;
    /// }
    /// let policy = RetentionPolicy::new().sessions("nightly-*".parse()?).max_sessions(2);
    /// let retired = store.lifecycle().retain(&policy)?;
    /// assert_eq!(retired.sessions[0].session.as_str(), "nightly-1");
    /// assert_eq!(store.sessions(None, 10)?.len(), 3);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a policy without a limit; [`Error::ReadOnly`], [`Error::Closed`]; those of reading. What was
    /// removed by then is. [`Error::Corrupt`] for the first session that is damaged, after all others.
    pub fn retain(&self, policy: &RetentionPolicy) -> Result<Retired> {
        self.store.inner().process().check()?;
        self.store.inner().writable()?;
        let (planned, numbers) = planned(&self.store, policy, Timestamp::now())?;
        let (mut retired, mut damaged) = (Retired { in_use: planned.in_use, ..Retired::default() }, None);
        for session in planned.sessions {
            match self.retire(&session) {
                Ok(true) => retired.sessions.push(session),
                Ok(false) => retired.in_use.push(session.session),
                // It keeps no other.
                Err(e) if e.is_damage() => drop(damaged.get_or_insert(e)),
                Err(e) => return Err(e),
            }
        }
        for (branch, number) in planned.branches.into_iter().zip(numbers) {
            let (place, what) = (branch.place.clone(), Change::Truncate { before: branch.first });
            let change = BranchChange { place, number: Some(number), head: None, what };
            match self.store.inner().engine().commit(Commit::Change(vec![change])) {
                Ok(_) => retired.branches.push(branch),
                // Somebody else has deleted it.
                Err(Error::Deleted { .. } | Error::NotFound { .. }) => {}
                Err(e) if e.is_damage() => drop(damaged.get_or_insert(e)),
                Err(e) => return Err(e),
            }
        }
        damaged.map_or(Ok(retired), Err)
    }

    /// [`retain`](Self::retain) for tasks. Dropping the future does not stop what was begun, which keeps the store open until
    /// it ends.
    ///
    /// # Errors
    /// As [`retain`](Self::retain).
    pub async fn retain_async(&self, policy: &RetentionPolicy) -> Result<Retired> {
        let policy = policy.clone();
        self.store.in_task(move |store| store.lifecycle().retain(&policy)).await
    }

    /// Deletes a session, unless somebody has gone on with it.
    fn retire(&self, planned: &RetiredSession) -> Result<bool> {
        let reader = self.store.reader()?;
        let found = reader.ends_of(&planned.session)?;
        let is_same = found.len() as u64 == planned.branches && newest(&reader, &found)? == planned.last;
        if found.is_empty() || !is_same || held(&self.store, &planned.session)? {
            return Ok(false);
        }
        let change =
            |(branch, end): &(Arc<Branch>, End)| BranchChange { head: Some(end.head), ..ending(branch) };
        match self.store.inner().engine().commit(Commit::Change(found.iter().map(change).collect())) {
            Ok(_) => Ok(true),
            Err(Error::Conflict { .. } | Error::Deleted { .. } | Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// The events of the branch of labels and notes.
const ANNOTATING: [&str; 3] = [SessionLabelled::NAME, SessionUnlabelled::NAME, SessionNoted::NAME];

/// Whether it is the branch of labels and notes, which inherits nothing and begins with one of them. A branch of that name whose
/// events cannot be read is one like any other: what may be activity counts as such.
fn annotates(reader: &Reader, branch: &Branch, end: End) -> Result<bool> {
    if branch.place.branch.as_str() != ANNOTATIONS || branch.fork != 0 {
        return Ok(false);
    }
    match reader.page(branch, Range { from: end.first, to: end.head, limit: 1, reverse: false }) {
        Ok(page) => Ok(page.first().is_none_or(|first| {
            Catalogue::builtin().find(first.kind()).is_some_and(|known| ANNOTATING.contains(&known.name()))
        })),
        Err(e) if e.is_damage() || e.is_of_what_is_gone() || matches!(e, Error::NotFound { .. }) => Ok(false),
        Err(e) => Err(e),
    }
}

/// When the latest event of these branches was recorded, or the first of them was made.
fn newest(reader: &Reader, found: &[(Arc<Branch>, End)]) -> Result<Timestamp> {
    let mut last: Option<i64> = None;
    for (branch, end) in found {
        if !annotates(reader, branch, *end)? {
            last = last.max(end.recorded);
        }
    }
    let made = || found.iter().map(|(branch, _)| branch.created).min().unwrap_or_default();
    Ok(Timestamp::from_micros(last.unwrap_or_else(made)))
}

fn held(store: &Store, session: &SessionId) -> Result<bool> {
    store.leases().get(session).map(|lease| lease.is_some())
}

/// What would go, and the numbers of the branches that would be truncated.
fn planned(store: &Store, policy: &RetentionPolicy, now: Timestamp) -> Result<(Retired, Vec<u64>)> {
    policy.check()?;
    let reader = store.reader()?;
    let mut found = concerned(&reader, policy)?;
    // The newest first; of those of the same time, by name.
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.session.cmp(&b.1.session)));
    let bytes = policy.max_bytes.map(|_| bytes_of(&reader)).transpose()?;
    let (mut retired, mut kept, mut total) = (Retired::default(), HashSet::new(), 0u64);
    for (rank, (last, info)) in (0u64..).zip(found) {
        let of_session = bytes.as_ref().map(|bytes| bytes.get(&info.session).copied().unwrap_or_default());
        total = total.saturating_add(of_session.unwrap_or_default());
        let age =
            Duration::from_micros(now.micros().saturating_sub(last.micros()).try_into().unwrap_or_default());
        let limits = [
            (policy.max_age.is_some_and(|most| age > most), RetentionLimit::Age),
            (policy.max_sessions.is_some_and(|most| rank >= most), RetentionLimit::Sessions),
            (policy.max_bytes.is_some_and(|most| rank > 0 && total > most), RetentionLimit::Bytes),
        ];
        let limit = limits.into_iter().find(|(is_over, _)| *is_over).map(|(_, limit)| limit);
        match limit {
            Some(_) if held(store, &info.session)? => {
                retired.in_use.push(info.session.clone());
                kept.insert(info.session);
            }
            Some(limit) => retired.sessions.push(RetiredSession {
                last,
                branches: info.branches,
                events: info.events,
                bytes: of_session,
                limit,
                session: info.session,
            }),
            None => drop(kept.insert(info.session)),
        }
    }
    retired.sessions.reverse();
    let truncated = policy.max_events.map(|most| truncated(&reader, &kept, most)).transpose()?;
    let (branches, numbers) = truncated.unwrap_or_default().into_iter().unzip();
    Ok((Retired { branches, ..retired }, numbers))
}

/// The sessions that a policy concerns, each with the time of its latest event.
fn concerned(reader: &Reader, policy: &RetentionPolicy) -> Result<Vec<(Timestamp, SessionInfo)>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = reader.sessions(after.as_ref(), MAX_LISTING)?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.session.clone());
        for info in page.into_iter().filter(|info| policy.concerns(&info.session)) {
            let notes = Place::new(info.session.clone(), BranchName::new(ANNOTATIONS)?);
            let last = match reader.last_named(&notes)? {
                Some(branch) if branch.deleted().is_none() => {
                    newest(reader, &reader.ends_of(&info.session)?)?
                }
                _ => info.last.unwrap_or(info.created),
            };
            found.push((last, info));
        }
    }
}

/// Bytes of the events of each session.
fn bytes_of(reader: &Reader) -> Result<HashMap<SessionId, u64>> {
    let (mut bytes, mut from): (HashMap<SessionId, u64>, u64) = (HashMap::new(), 1);
    let to = reader.committed().get();
    loop {
        let page = reader.page_all(Range { from, to, limit: DEFAULT_PAGE, reverse: false })?;
        let Some(last) = page.last() else { return Ok(bytes) };
        from = last.position().get().saturating_add(1);
        for event in &page {
            let size = event.record().encoded().len() as u64;
            match bytes.get_mut(&event.place().session) {
                Some(sum) => *sum += size,
                None => drop(bytes.insert(event.place().session.clone(), size)),
            }
        }
    }
}

/// The branches of these sessions that have more events than `most`.
fn truncated(reader: &Reader, kept: &HashSet<SessionId>, most: u64) -> Result<Vec<(RetiredEvents, u64)>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = reader.branches_after(after.as_ref(), MAX_LISTING)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.place.session.clone());
        for (branch, end) in &page {
            let first = (end.head + 1).saturating_sub(most).max(1);
            let session = &branch.place.session;
            if first > end.first && kept.contains(session) && !annotates(reader, branch, *end)? {
                let (place, events) = ((*branch.place).clone(), first - end.first);
                found.push((RetiredEvents { place, first: Sequence::new(first), events }, branch.number));
            }
        }
    }
}
