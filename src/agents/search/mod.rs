//! Finding events by what they say. Feature `search`.
//!
//! A full-text index of the readable text of all events lies in a folder beside the store, `runs.redb.search`. It is no part of the
//! store: it can be deleted at any time, and is made again. Whoever searches and finds it far behind brings it up to date, one
//! process at a time; the others read it as it is. What the index does not have yet is looked through, event by event, so an answer
//! covers everything that was committed when the search began. An index that is damaged, of another store, or out of reach is
//! never an answer: then everything is looked through.
//!
//! What was deleted or truncated is never found, since every event is read in the store before it counts. Its words leave
//! the index with [`Search::sweep`], and with the first search after a purge.

mod answer;
mod disk;
mod failed;
mod feed;
mod hit;
mod lookup;
mod query;
mod request;
mod score;
mod state;
mod terms;
mod texts;
mod update;
mod words;

pub use hit::{Found, Hit, Snippet};
pub use request::SearchRequest;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use answer::{Answer, Asked, answer};
use failed::Failed;
use query::TextQuery;
use state::{Home, Need, Ready, State};
use update::OnIndexed;

use crate::error::{Error, Result};
use crate::event::Position;
use crate::panics::caught;
use crate::store::{Reader, Store};

/// How often an index is made anew for one answer.
const ROUNDS: usize = 2;

/// The search of a store. It keeps the store open, as a clone of it does.
///
/// ```
/// use retold::agents::search::SearchRequest;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let said = |text: &str| NewEvent::new("message.user").data(serde_json::json!({ "text": text }));
/// store.append("run-7", [said("Login fails with a timeout."), said("Where is normalize()?")])?;
/// let found = store.search().find(&SearchRequest::new("login time*"))?;
/// assert_eq!(found.hits.len(), 1);
/// assert_eq!(found.hits[0].event.address().to_string(), "run-7/main@1");
/// assert_eq!(found.hits[0].snippet.text, "Login fails with a timeout.");
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone)]
pub struct Search {
    store: Store,
}

/// The index of a store, in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchInfo {
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many texts it has: at least one for each event.
    pub texts: u64,
    /// Everything up to this position is in it.
    pub up_to: Position,
    /// How many positions the store is ahead. They are looked through by each search.
    pub behind: u64,
    /// Events that could not be read when it was their turn.
    pub unread: u64,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").finish_non_exhaustive()
    }
}

impl Store {
    /// Finds events by what they say. Nothing is opened before the first search.
    #[must_use]
    pub fn search(&self) -> Search {
        Search { store: self.clone() }
    }
}

impl Search {
    /// Searches everything that is committed. Blocks.
    ///
    /// The first search of a large store makes the index, which takes some seconds for a million events;
    /// [`update_with`](Self::update_with) does that with a progress report. A store in memory has no index: all of it is looked through.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a query without a word to search for, and the errors of reading the store. Damage in it is none:
    /// [`Found::unread`] says how many events could not be read.
    pub fn find(&self, request: &SearchRequest) -> Result<Found> {
        let query = TextQuery::parse(&request.text)?;
        let (state, reader) = self.state()?;
        let mut request = request.clone();
        request.filter = reader.resolved(request.filter);
        let home = Home::of(self.store.inner(), &reader, &state).filter(|_| !state.is_given_up());
        let mut rounds = 0;
        loop {
            let reason = match caught(|| self.attempt(&request, &query, &state, home.as_ref(), &reader)) {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(Failed::Store(error))) => return Err(error),
                // It is out of reach, now.
                Ok(Err(Failed::Index(unusable))) if !unusable.is_damaged => break,
                Ok(Err(Failed::Index(unusable))) => unusable.reason,
                Err(panic) => panic,
            };
            state.is_damaged(home.as_ref(), &reason);
            rounds += 1;
            if rounds == ROUNDS {
                state.give_up();
                break;
            }
        }
        let asked = self.asked(&request, &query, &reader)?;
        Ok(answer(&asked, None)?.found)
    }

    /// [`find`](Self::find) as an async function. Dropping the future changes nothing; a search in progress continues, and keeps the
    /// store open until it ends.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn find_async(&self, request: &SearchRequest) -> Result<Found> {
        let request = request.clone();
        self.store.in_task(move |store| store.search().find(&request)).await
    }

    fn attempt(
        &self,
        request: &SearchRequest,
        query: &TextQuery,
        state: &State,
        home: Option<&Home>,
        reader: &Reader,
    ) -> Result<Found, Failed> {
        let catalogue = self.store.catalogue();
        let index = match home {
            Some(home) => state.ready(home, reader, catalogue, Need::Search, &mut |_| {})?.index,
            None => None,
        };
        // Read after the index: what that has is not beyond.
        let asked = self.asked(request, query, reader)?;
        let Answer { found, gone, is_behind } = answer(&asked, index.as_deref())?;
        if home.is_some() {
            state.notice(is_behind, gone);
        }
        Ok(found)
    }

    fn asked<'a>(
        &'a self,
        request: &'a SearchRequest,
        query: &'a TextQuery,
        reader: &'a Reader,
    ) -> Result<Asked<'a>> {
        let head = feed::head(reader)?;
        Ok(Asked { reader, catalogue: self.store.catalogue(), request, query, head })
    }

    /// Brings the index up to what the store has now. While another thread or process writes it, and for a store in memory, it does nothing.
    /// Searches do it by themselves when there is much to add. Blocks.
    ///
    /// ```
    /// # use retold::{NewEvent, Store};
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path().join("runs.redb"))?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// store.search().update()?;
    /// assert_eq!(store.search().info()?.map(|index| index.behind), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Storage`] when the index cannot be written, and the errors of reading the store.
    pub fn update(&self) -> Result<()> {
        self.update_with(|_, _| {})
    }

    /// [`update`](Self::update) as an async function. Dropping the future does not stop what was begun, which keeps the store open
    /// until it ends.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn update_async(&self) -> Result<()> {
        self.store.in_task(|store| store.search().update()).await
    }

    /// [`update`](Self::update), which calls `progress` now and then: how many positions of how many are in the index.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_with(&self, mut progress: impl FnMut(u64, u64)) -> Result<()> {
        let (_, reader) = self.state()?;
        let all = feed::head(&reader)?;
        self.changed(Need::Everything, &mut |reached| progress(reached, all.max(reached))).map(drop)
    }

    /// Removes the words of events that the store does not have any more, in every index of it. Answers how many events that were;
    /// `None` while another thread or process writes the index: then nothing is done, and the first search after a
    /// [purge](crate::lifecycle::BranchLifecycle::purge) does it. It reads all events that are in the index. Blocks.
    ///
    /// ```
    /// # use retold::{NewEvent, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path().join("runs.redb"))?;
    /// store.append("run-7", NewEvent::new("message.user").data(serde_json::json!({"text": "secret"})))?;
    /// store.search().update()?;
    /// store.lifecycle().delete("run-7")?;
    /// store.lifecycle().purge()?;
    /// assert_eq!(store.search().sweep()?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn sweep(&self) -> Result<Option<u64>> {
        Ok(self.changed(Need::Sweep, &mut |_| {})?.map_or(Some(0), |ready| ready.swept))
    }

    /// [`sweep`](Self::sweep) as an async function. Dropping the future does not stop what was begun, which keeps the store open
    /// until it ends.
    ///
    /// # Errors
    /// As [`sweep`](Self::sweep).
    pub async fn sweep_async(&self) -> Result<Option<u64>> {
        self.store.in_task(|store| store.search().sweep()).await
    }

    fn changed(&self, need: Need, progress: &mut OnIndexed<'_>) -> Result<Option<Ready>> {
        let (state, reader) = self.state()?;
        let Some(home) = Home::of(self.store.inner(), &reader, &state) else { return Ok(None) };
        let mut change = || caught(|| state.ready(&home, &reader, self.store.catalogue(), need, progress));
        let reason = match change() {
            Ok(Err(Failed::Index(unusable))) if unusable.is_damaged => unusable.reason,
            Ok(changed) => return Ok(Some(changed?)),
            Err(panic) => panic,
        };
        state.is_damaged(Some(&home), &reason);
        match change() {
            Ok(changed) => Ok(Some(changed?)),
            Err(panic) => Err(Error::storage(format!("the search index cannot be made: {panic}"))),
        }
    }

    /// Figures of the index as it is; `None` when there is none that can be used.
    ///
    /// # Errors
    /// The errors of reading the store.
    pub fn info(&self) -> Result<Option<SearchInfo>> {
        let (state, reader) = self.state()?;
        let Some(home) = Home::of(self.store.inner(), &reader, &state) else { return Ok(None) };
        let (index, head) = match home.look(&reader) {
            Ok(Some(found)) => found,
            Ok(None) | Err(Failed::Index(_)) => return Ok(None),
            Err(Failed::Store(error)) => return Err(error),
        };
        let manifest = &index.manifest;
        Ok(Some(SearchInfo {
            folder: home.folder.path().to_owned(),
            bytes: home.folder.bytes(),
            texts: manifest.segments.iter().map(|segment| u64::from(segment.texts)).sum(),
            up_to: Position::new(manifest.reached),
            behind: head.saturating_sub(manifest.reached),
            unread: manifest.unread,
        }))
    }

    /// [`info`](Self::info) as an async function. Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub async fn info_async(&self) -> Result<Option<SearchInfo>> {
        self.store.in_task(|store| store.search().info()).await
    }

    /// What all handles of the open store share, and a reader.
    fn state(&self) -> Result<(Arc<State>, Reader)> {
        let state = self.store.inner().observer(State::default)?;
        Ok((state, self.store.reader()?))
    }
}
