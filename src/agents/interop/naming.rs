//! Chooses the session of a file whose records name none. It is named after the file; but two files of one name are
//! two runs, unless one was copied or moved: then its records are stored already, and it continues their session.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::{Address, Invalid, SessionId};
use crate::store::Store;

use super::entries::Item;
use super::sketch::{Sketch, lost};
use super::{Format, imports, names, pi};

/// The number of names with folders that are tried before numbers are.
const FOLDERS: usize = 3;
/// Events of a file that are looked up to find out whether it is stored already.
const LOOK_AT: usize = 1_000;

/// Which file each session of a store belongs to, for [`FileImport::named`](super::FileImport::named).
#[derive(Debug, Default)]
pub struct Naming {
    /// The session that the file of each pi session is in: that of a fork is its parent's.
    families: HashMap<String, SessionId>,
    homes: HashMap<String, SessionId>,
    owners: HashMap<SessionId, HashSet<String>>,
}

/// A file under the session that was chosen for it.
pub(crate) struct Named {
    pub(crate) sketch: Sketch,
    /// The other file that it turned out to be, by its records.
    pub(crate) known_as: Option<String>,
}

impl Naming {
    /// From the imports of a store.
    ///
    /// # Errors
    /// Those of [`imports`](super::imports()).
    pub fn of(store: &Store) -> Result<Self> {
        let mut naming = Self::default();
        for import in imports::imports(store)? {
            if let (Some(owner), Some(home)) = (&import.owner, &import.home) {
                naming.note(owner, &SessionId::new(home.as_str())?);
            }
            if import.format == Format::Pi.name() {
                naming.note_family(&import.path, &import.sessions)?;
            }
        }
        Ok(naming)
    }

    fn note(&mut self, owner: &str, home: &SessionId) {
        self.homes.insert(owner.to_owned(), home.clone());
        self.owners.entry(home.clone()).or_default().insert(owner.to_owned());
    }

    /// Notes which session the file of a pi session is in.
    pub(crate) fn note_family(&mut self, path: &str, sessions: &[String]) -> Result<()> {
        if let [session] = sessions {
            self.families.insert(pi::session_in(path).to_owned(), SessionId::new(session.as_str())?);
        }
        Ok(())
    }

    /// The sessions of these files, if they are others than the files' own.
    pub(crate) fn families(&self, of: &BTreeSet<String>) -> BTreeMap<String, SessionId> {
        let family = |name: &String| Some((name.clone(), self.families.get(name)?.clone()));
        of.iter().filter_map(family).filter(|(name, session)| session.as_str() != name).collect()
    }

    /// Chooses the session of a file, or of a folder of files: the first of these names that does not belong to
    /// another. `first` is the file as read under its own name; `again` reads it under another.
    pub(crate) fn choose(
        &mut self,
        store: &Store,
        (owner, candidates): (Option<&str>, &[String]),
        first: Sketch,
        read: &dyn Fn(Range<usize>) -> Bytes,
        again: &mut dyn FnMut(SessionId) -> Result<Sketch>,
    ) -> Result<Named> {
        if !first.uses_home() {
            return Ok(Named { sketch: first, known_as: None });
        }
        let mut first = Some(first);
        let mut sketch_of =
            |home: &SessionId| match first.take_if(|first| first.plan.origin.home.as_ref() == Some(home)) {
                Some(first) => Ok(first),
                None => again(home.clone()),
            };
        if let Some(home) = owner.and_then(|owner| self.homes.get(owner)) {
            return Ok(Named { sketch: sketch_of(home)?, known_as: None });
        }
        let last = candidates.last().cloned().unwrap_or_default();
        let numbered = (2u32..).map(|n| format!("{last}-{n}"));
        for name in candidates.iter().cloned().chain(numbered) {
            let home = names::session(&name)?;
            let others = self.owners.get(&home);
            let is_free = others.is_none() && !is_there(store, &home)?;
            let sketch = sketch_of(&home)?;
            if !is_free && !is_known(store, &sketch, read)? {
                continue;
            }
            let known_as = others.and_then(|o| o.iter().min().cloned());
            if let Some(owner) = owner {
                self.note(owner, &home);
            }
            return Ok(Named { sketch, known_as });
        }
        Err(Error::Invalid(Invalid::new("session", format!("{last} is taken; --session names one"))))
    }
}

fn is_there(store: &Store, session: &SessionId) -> Result<bool> {
    match store.head(Address::new(session.clone(), crate::event::BranchName::main())) {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether the store has records of this file, and none with the same id and other content.
fn is_known(store: &Store, sketch: &Sketch, read: &dyn Fn(Range<usize>) -> Bytes) -> Result<bool> {
    let mut known = false;
    let mut looked_at = 0;
    for entry in sketch.entries.iter() {
        let Item::Event(planned) = entry.map_err(|e| lost(&e))?.item else { continue };
        if looked_at == LOOK_AT {
            break;
        }
        looked_at += 1;
        match store.get_raw(planned.id()) {
            Ok(found) if found.payload() == sketch.event(&planned, read)?.payload => known = true,
            Ok(_) => return Ok(false),
            Err(Error::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(known)
}

/// Possible session names of a file: its own name, with more and more folders in front. If another file of this
/// import has the same name, the bare name is not tried.
pub(crate) fn of_file(path: &str, is_shared: bool) -> Vec<String> {
    let stem = names::stem(path);
    let folders = folders(path);
    let mut names = vec![stem.to_owned()];
    let mut name = stem.to_owned();
    for folder in folders.into_iter().rev().take(FOLDERS) {
        name = format!("{folder}-{name}");
        names.push(name.clone());
    }
    if is_shared && names.len() > 1 {
        names.remove(0);
    }
    names
}

/// The same for a folder of records. A folder called `events` says nothing, so the one above it is used.
pub(crate) fn of_folder(path: &str) -> Vec<String> {
    let mut folders = folders(path);
    if folders.len() > 1 && matches!(folders.last(), Some(&("events" | "event_store"))) {
        folders.pop();
    }
    let name = folders.pop().unwrap_or("events");
    of_file(&[&folders.join("/"), "/", name, "."].concat(), false)
        .into_iter()
        .map(|n| n.trim_end_matches('.').to_owned())
        .collect()
}

fn folders(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !matches!(*p, "" | "." | "..")).collect();
    parts.pop();
    parts
}

/// Whether a file is named by a number, like those that hold one record each: `7.json`, `event-00007-4c2e.json`.
#[must_use]
pub fn is_numbered(path: &str) -> bool {
    let stem = names::stem(path);
    let rest = stem.strip_prefix("event").map_or(stem, |rest| rest.trim_start_matches(['-', '_', 's']));
    rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_two_files_apart() {
        assert_eq!(of_file("/x/run-a/t.json", false), ["t", "run-a-t", "x-run-a-t"]);
        assert_eq!(of_file("/x/run-a/t.json", true), ["run-a-t", "x-run-a-t"]);
        assert_eq!(of_file("t.json", true), ["t"]);
        assert_eq!(of_folder("/x/conversation/events/1.json"), ["conversation", "x-conversation"]);
        assert_eq!(of_folder("/x.y/7/1.json"), ["7", "x.y-7"]);
        assert_eq!(of_folder("1.json"), ["events"]);
    }

    #[test]
    fn numbered_files_are_known_by_their_names() {
        for (name, want) in [
            ("d/7.json", true),
            ("event-00007-4c2e.json", true),
            ("events_1.json", true),
            ("run-7.json", false),
            ("trajectory.json", false),
        ] {
            assert_eq!(is_numbered(name), want, "{name}");
        }
    }
}
