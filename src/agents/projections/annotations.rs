//! The labels of a session, and the notes on it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parsed::parsed;
use super::roles::clip;
use super::stamp;
use crate::error::{Error, Result};
use crate::event::payload::Payload;
use crate::event::payload::session::{SessionLabelled, SessionNoted, SessionUnlabelled};
use crate::event::{Address, BranchName, Catalogue, Event, Expect, Filter, NewEvent, SessionId, Timestamp};
use crate::limits::{MAX_LABELS, NOTES_KEPT};
use crate::project::{ApplyError, Projection, Scope};
use crate::store::{Receipt, Store};

/// How often the branch of annotations is looked for and begun, when others do the same.
const ATTEMPTS: usize = 4;

/// Folds the labels of each session and the notes on it, over all its branches.
///
/// Labels and notes are events: `session.labelled`, `session.unlabelled`, `session.noted`. [`Annotations::write`] records
/// them in a branch of their own, so they can be added while an agent appends to `main` with an expected head, and after
/// `main` was closed. They change neither the status of the session nor when something last happened in it.
///
/// ```
/// use retold::agents::projections::Annotations;
/// use retold::event::payload::Payload;
/// use retold::event::payload::session::SessionLabelled;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.completed"))?;
/// Annotations::write(&store, &"run-7".try_into()?, vec![SessionLabelled::new("team", "search")?.event()?])?;
/// let annotated = store.project(Annotations)?.state("run-7")?;
/// assert_eq!(annotated.labels["team"].value, "search");
/// assert_eq!(store.head("run-7")?.get(), 1);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Annotations;

/// What [`Annotations`] knows about a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Annotated {
    /// The number of events that set or removed a label, or added a note.
    pub events: u64,
    /// Its labels, by key: at most [`MAX_LABELS`].
    pub labels: BTreeMap<String, Label>,
    /// Labels that were ignored because there were so many already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The number of notes on it.
    pub noted: u64,
    /// The last [`NOTES_KEPT`] of them, oldest first.
    pub notes: VecDeque<Note>,
}

/// The value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Label {
    /// The value.
    pub value: String,
    /// When it was set.
    #[serde(with = "stamp")]
    pub time: Timestamp,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A note on a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note {
    /// Its text; a long one is cut. The event has the whole.
    pub text: String,
    /// The event's address.
    pub at: String,
    /// When it was written.
    #[serde(with = "stamp")]
    pub time: Timestamp,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Annotations {
    /// The branch in which they are recorded.
    pub const BRANCH: &'static str = "annotations";

    const TYPES: [&'static str; 3] = [SessionLabelled::NAME, SessionUnlabelled::NAME, SessionNoted::NAME];

    /// Whether events of this type annotate their session, so that nothing happened in it.
    #[must_use]
    pub fn has_type(kind: &str) -> bool {
        Self::type_of(kind).is_some()
    }

    /// The name of a type of annotation.
    fn type_of(kind: &str) -> Option<&'static str> {
        // Nearly all other events are told apart without a search.
        let known = kind.starts_with("session").then(|| Catalogue::builtin().find(kind))??;
        Self::TYPES.into_iter().find(|name| *name == known.name())
    }

    /// Records labels and notes of a session: all of these events or none, in the branch [`Annotations::BRANCH`], which begins
    /// with the first of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such session, [`Error::Deleted`] when its main branch was deleted and nothing was
    /// annotated before, and those of [`Store::append`].
    pub fn write(store: &Store, session: &SessionId, events: Vec<NewEvent>) -> Result<Receipt> {
        let place = Address::new(session.clone(), BranchName::new(Self::BRANCH)?);
        let mut expect = Expect::Any;
        let mut attempts = 0;
        loop {
            attempts += 1;
            // A session with a name misspelt is not begun.
            store.branches(session)?;
            match store.append_if(place.clone(), expect, events.clone()) {
                Err(Error::NotFound { what: "branch", .. } | Error::Deleted { .. })
                    if attempts < ATTEMPTS =>
                {
                    // Beginning a branch of a session whose main branch was deleted would begin that anew.
                    store.head(Address::new(session.clone(), BranchName::main()))?;
                    expect = Expect::Empty;
                }
                Err(Error::Conflict { .. }) if attempts < ATTEMPTS => expect = Expect::Any,
                done => return done,
            }
        }
    }
}

impl Projection for Annotations {
    type State = Annotated;

    fn name(&self) -> &str {
        "annotations"
    }

    fn scope(&self) -> Scope {
        Scope::Session
    }

    fn interests(&self) -> Filter {
        Self::TYPES.iter().filter_map(|name| name.parse().ok()).fold(Filter::new(), Filter::pattern)
    }

    fn apply(&self, annotated: &mut Annotated, event: &Event) -> Result<(), ApplyError> {
        let Some(kind) = Self::type_of(event.kind()) else { return Ok(()) };
        annotated.events += 1;
        let data = parsed(event);
        let text = |member: &str| data.get(member).and_then(Value::as_str).map(|text| clip(text.to_owned()));
        let (time, by) =
            (event.occurred(), text("by").or_else(|| event.actor().map(|by| clip(by.to_owned()))));
        match kind {
            SessionNoted::NAME => {
                let Some(text) = text("text") else { return Ok(()) };
                annotated.note(Note { text, at: event.address().to_string(), time, by });
            }
            kind => {
                let Some(key) = text("key").filter(|key| !key.is_empty()) else { return Ok(()) };
                match text("value").filter(|_| kind == SessionLabelled::NAME) {
                    Some(value) => annotated.label(key, Label { value, time, by }),
                    None if kind == SessionUnlabelled::NAME => drop(annotated.labels.remove(&key)),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

impl Annotated {
    fn label(&mut self, key: String, label: Label) {
        if self.labels.len() >= MAX_LABELS && !self.labels.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        self.labels.insert(key, label);
    }

    fn note(&mut self, note: Note) {
        self.noted += 1;
        if self.notes.len() >= NOTES_KEPT {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }

    /// Whether it has no label and no note, and never had one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::recorded;
    use super::*;
    use serde_json::json;

    fn store() -> (Store, SessionId) {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("run.completed")).unwrap();
        (store, "s".try_into().unwrap())
    }

    fn labels(store: &Store) -> Vec<(String, String)> {
        let state = store.project(Annotations).unwrap().state("s").unwrap();
        state.labels.into_iter().map(|(key, label)| (key, label.value)).collect()
    }

    fn set(key: &str, value: &str) -> NewEvent {
        SessionLabelled::new(key, value).unwrap().event().unwrap()
    }

    #[test]
    fn labels_are_set_replaced_and_removed_and_main_stays_as_it_is() {
        let (store, session) = store();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Annotations::write(&store, &session, vec![set("team", "search"), set("prio", "1")]).unwrap();
        assert_eq!(labels(&store), [pair("prio", "1"), pair("team", "search")]);
        let remove = SessionUnlabelled::new("prio").unwrap().event().unwrap();
        Annotations::write(&store, &session, vec![set("team", "login"), remove]).unwrap();
        assert_eq!(labels(&store), [pair("team", "login")]);
        assert_eq!((store.head("s").unwrap().get(), store.head("s/annotations").unwrap().get()), (1, 4));
    }

    #[test]
    fn any_branch_and_any_spelling_counts_and_what_is_no_label_is_ignored() {
        let (store, _) = store();
        let of = |kind: &'static str, data: Value| NewEvent::new(kind).data(data);
        let events = vec![
            of("session.labeled", json!({"key": "a", "value": "1"})),
            of("session.labelled", json!({"key": "b"})),
            of("session.labelled", json!({"key": "", "value": "1"})),
            of("session.labelled", json!([1])),
            of("session.unlabelled", json!({"key": "never set"})),
            NewEvent::new("session.noted").bytes("text/plain", "no JSON"),
            of("session.message_sent", json!({"key": "c", "value": "1", "text": "no note"})),
        ];
        store.append("s", events).unwrap();
        assert_eq!(labels(&store), [("a".to_owned(), "1".to_owned())]);
        assert_eq!(store.project(Annotations).unwrap().state("s").unwrap().noted, 0);
    }

    #[test]
    fn a_closed_session_can_be_annotated_and_one_that_is_not_there_cannot() {
        let (store, session) = store();
        store.lifecycle().close("s").unwrap();
        let note = || vec![SessionNoted::new("look here").unwrap().event().unwrap().actor("mara")];
        Annotations::write(&store, &session, note()).unwrap();
        let state = store.project(Annotations).unwrap().state("s").unwrap();
        let said: Vec<_> = state.notes.iter().map(|n| (n.text.as_str(), n.by.as_deref())).collect();
        assert_eq!(
            (said, state.notes[0].at.as_str()),
            (vec![("look here", Some("mara"))], "s/annotations@1")
        );
        let none = Annotations::write(&store, &"t".try_into().unwrap(), note());
        assert!(matches!(none, Err(Error::NotFound { what: "session", .. })), "{none:?}");
        assert_eq!(store.sessions(None, 9).unwrap().len(), 1);
    }

    #[test]
    fn no_writer_decides_how_large_a_state_is() {
        let mut annotated = Annotated::default();
        let long = "x".repeat(5_000);
        for n in 0..500 {
            let label = json!({"key": format!("k-{n}"), "value": long, "by": long});
            for (kind, data) in [("session.labelled", label), ("session.noted", json!({"text": long}))] {
                let event = recorded("s/annotations@1", &NewEvent::new(kind).data(data));
                Annotations.apply(&mut annotated, &event).unwrap();
            }
        }
        assert_eq!((annotated.labels.len(), annotated.left_out), (MAX_LABELS, 500 - MAX_LABELS as u64));
        assert_eq!((annotated.notes.len(), annotated.noted), (NOTES_KEPT, 500));
        assert!(serde_json::to_vec(&annotated).unwrap().len() < 64 * 1_024);
    }

    #[test]
    fn labels_and_notes_that_cannot_be_recorded_are_refused_with_their_reason() {
        for (key, value, why) in [
            ("", "x", "empty key"),
            ("a=b", "x", "`=`"),
            ("a\n", "x", "control character"),
            ("a", "x\u{7}", "control character"),
            ("k".repeat(65).as_str(), "x", "65 bytes"),
            ("a", "v".repeat(257).as_str(), "257 bytes"),
        ] {
            let e = SessionLabelled::new(key, value).unwrap_err();
            assert!(e.field == "label" && e.reason.contains(why), "{key} {value}: {e}");
        }
        assert!(SessionUnlabelled::new("").is_err() && SessionNoted::new(" \n").is_err());
        assert!(SessionNoted::new("x".repeat(20_000)).unwrap_err().reason.contains("20000 bytes"));
    }
}
