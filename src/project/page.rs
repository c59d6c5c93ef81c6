//! Current states in pages, of some sessions: what the others hold is not looked at.

use super::fold::Scope;
use super::read::Source;
use super::view::{Projected, Reading, Target};
use crate::error::{Error, Result};
use crate::event::{Address, Invalid, SessionId};
use crate::store::Reader;

/// Names of sessions that are looked at in one go.
const LISTED: usize = 256;

impl<S> Projected<S> {
    /// Up to `limit` current states of the sessions that a predicate takes, by session and then by branch: those after the one
    /// that `after` names by its [`of`](Reading::of), which need not be there any more. Nothing of other sessions is read, folded or
    /// told. For states by branch and by session; those by key belong to no session.
    ///
    /// # Errors
    /// [`Error::Invalid`] for states by key, and for an `after` that is none; otherwise those of reading. Where the projection is
    /// parked, the item says so and has the last good state.
    pub fn list_after(
        &self,
        after: Option<&str>,
        limit: usize,
        mut sessions: impl FnMut(&SessionId) -> bool,
    ) -> Result<Vec<Reading<S>>> {
        if self.fold.scope == Scope::Key {
            let reason = format!("{} has its states by key, not by session", self.fold.name);
            return Err(Invalid::new("projection", reason).into());
        }
        let after = after.map(|after| self.place(after)).transpose()?;
        let (reader, mut found) = (self.store.reader()?, Vec::new());
        // The rest of the session in which the page before ended.
        if let Some(place) = after.as_ref().filter(|place| sessions(place.session())) {
            self.states_of(&reader, place.session(), Some(place), limit, &mut found)?;
        }
        let mut last = after.map(|place| place.session().clone());
        while found.len() < limit {
            let names = reader.session_names(last.as_ref(), LISTED)?;
            for session in names.iter().filter(|session| sessions(session)) {
                self.states_of(&reader, session, None, limit, &mut found)?;
            }
            match names.into_iter().next_back() {
                Some(name) => last = Some(name),
                None => break,
            }
        }
        Ok(found)
    }

    fn place(&self, of: &str) -> Result<Address> {
        let place = match self.fold.scope {
            Scope::Session => SessionId::new(of)?.into(),
            _ => of.parse::<Address>()?,
        };
        place.branch_only("states come after a branch or a session")?;
        Ok(place)
    }

    fn states_of(
        &self,
        reader: &Reader,
        session: &SessionId,
        after: Option<&Address>,
        limit: usize,
        found: &mut Vec<Reading<S>>,
    ) -> Result<()> {
        if found.len() >= limit {
            return Ok(());
        }
        let source = Source::new(reader, &self.fold)?;
        for target in self.targets(reader, session)? {
            let is_next = match (&target, after) {
                (_, None) => true,
                (Target::Branch(branch, _), Some(after)) => {
                    branch.place.branch.as_str() > after.branch().as_str()
                }
                (Target::Text(..), Some(_)) => false,
            };
            if !is_next {
                continue;
            }
            if found.len() >= limit {
                break;
            }
            match self.good(&source, &target) {
                // It was deleted meanwhile.
                Err(Error::Deleted { .. } | Error::NotFound { .. }) => {}
                reading => found.push(self.show(reading?)?),
            }
        }
        Ok(())
    }
}
