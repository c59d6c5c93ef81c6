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
use crate::event::{
    ANNOTATIONS, Address, BranchName, Catalogue, Event, Expect, Filter, Invalid, NewEvent, Place, SessionId,
    Timestamp,
};
use crate::limits::{MAX_LABELS, NOTES_KEPT};
use crate::project::{ApplyError, Projection, Scope};
use crate::store::{Query, Reader, Receipt, Store};

/// How often the branch of annotations is looked for and begun, when others do the same.
const ATTEMPTS: usize = 4;

/// Folds the labels of each session and the notes on it, over all its branches.
///
/// Labels and notes are events: `session.labelled`, `session.unlabelled`, `session.noted`. [`Annotations::write`] records
/// them in a branch of their own, so they can be added while an agent appends to `main` with an expected head, and after
/// `main` was closed. They change neither the status of the session nor when something last happened in it.
///
/// [`Annotations::of`] reads them. The state of the projection itself may still have those of a branch
/// [`Annotations::BRANCH`] that was deleted.
///
/// ```
/// use retold::agents::projections::Annotations;
/// use retold::event::payload::Payload;
/// use retold::event::payload::session::SessionLabelled;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.completed"))?;
/// Annotations::write(&store, &"run-7".try_into()?, vec![SessionLabelled::new("team", "search")?.event()?])?;
/// let annotated = Annotations::of(&store, &"run-7".try_into()?)?;
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
    /// What the other branches alone have, once there is a branch of annotations: it is what is left when that is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<Box<Annotated>>,
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
    pub const BRANCH: &'static str = ANNOTATIONS;

    const TYPES: [&'static str; 3] = [SessionLabelled::NAME, SessionUnlabelled::NAME, SessionNoted::NAME];

    /// A branch of that name that somebody has forked, or that holds other events, is not for annotations.
    fn check(store: &Store, place: &Place) -> Result<()> {
        let is_other = match store.branch(place.clone()) {
            Ok(branch) if branch.parent.as_ref().is_some_and(|(_, fork)| fork.get() > 0) => true,
            Ok(_) => {
                let first = store.events(Query::branch(place)?.raw().limit(1))?.next().transpose()?;
                first.is_some_and(|first| !Self::has_type(first.kind()))
            }
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => false,
            Err(e) => return Err(e),
        };
        if !is_other {
            return Ok(());
        }
        let reason = format!(
            "{place} holds other events; labels and notes need a branch of that name for themselves: delete it, or promote it first"
        );
        Err(Invalid::new("branch", reason).into())
    }

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

    /// The labels of a session and the notes on it. Those that were recorded in the branch [`Annotations::BRANCH`] go with that
    /// branch when it is deleted.
    ///
    /// # Errors
    /// As [`Projected::state`](crate::project::Projected::state).
    pub fn of(store: &Store, session: &SessionId) -> Result<Annotated> {
        let annotated = store.project(Self)?.state(session.as_str())?;
        annotated.shown(&store.reader()?, session)
    }

    /// Records labels and notes of a session: all of these events or none, in the branch [`Annotations::BRANCH`], which begins
    /// with the first of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such session, [`Error::Deleted`] when its main branch was deleted and nothing was
    /// annotated before, [`Error::Invalid`] when the branch of that name is one of other events, and those of
    /// [`Store::append`].
    pub fn write(store: &Store, session: &SessionId, events: Vec<NewEvent>) -> Result<Receipt> {
        let place = Address::new(session.clone(), BranchName::new(Self::BRANCH)?);
        let mut expect = Expect::Any;
        let mut attempts = 0;
        loop {
            attempts += 1;
            // A session with a name misspelt is not begun.
            store.branches(session)?;
            Self::check(store, place.place())?;
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

    fn version(&self) -> u32 {
        3
    }

    fn scope(&self) -> Scope {
        Scope::Session
    }

    fn interests(&self) -> Filter {
        Self::TYPES.iter().filter_map(|name| name.parse().ok()).fold(Filter::new(), Filter::pattern)
    }

    fn apply(&self, annotated: &mut Annotated, event: &Event) -> Result<(), ApplyError> {
        let Some(kind) = Self::type_of(event.kind()) else { return Ok(()) };
        let annotation = Annotation::of(kind, event);
        if event.branch().as_str() == Self::BRANCH {
            if event.sequence().get() == 1 {
                // The branch before it of this name was deleted.
                annotated.forget_own();
            }
            if annotated.others.is_none() {
                annotated.others = Some(Box::new(annotated.clone()));
            }
        } else if let Some(others) = &mut annotated.others {
            others.take(annotation.clone());
        }
        annotated.take(annotation);
        Ok(())
    }
}

/// What an event changes.
#[derive(Clone, Debug)]
enum Annotation {
    Label(String, Label),
    Unlabel(String),
    Note(Note),
    /// Nothing: it lacks what it needs.
    Nothing,
}

impl Annotation {
    fn of(kind: &str, event: &Event) -> Self {
        let data = parsed(event);
        let text = |member: &str| data.get(member).and_then(Value::as_str).map(|text| clip(text.to_owned()));
        let (time, by) =
            (event.occurred(), text("by").or_else(|| event.actor().map(|by| clip(by.to_owned()))));
        if kind == SessionNoted::NAME {
            let at = event.address().to_string();
            return text("text").map_or(Self::Nothing, |text| Self::Note(Note { text, at, time, by }));
        }
        let Some(key) = text("key").filter(|key| !key.is_empty()) else { return Self::Nothing };
        if kind == SessionUnlabelled::NAME {
            return Self::Unlabel(key);
        }
        text("value").map_or(Self::Nothing, |value| Self::Label(key, Label { value, time, by }))
    }
}

impl Annotated {
    /// Without what was recorded in the branch of annotations, if that is deleted.
    pub(super) fn shown(mut self, reader: &Reader, session: &SessionId) -> Result<Self> {
        let Some(others) = self.others.take() else { return Ok(self) };
        let place = Place::new(session.clone(), BranchName::new(Annotations::BRANCH)?);
        let is_gone = reader.last_named(&place)?.is_none_or(|branch| branch.deleted().is_some());
        Ok(if is_gone { *others } else { self })
    }

    fn forget_own(&mut self) {
        if let Some(others) = self.others.take() {
            *self = *others;
        }
    }

    fn take(&mut self, annotation: Annotation) {
        self.events += 1;
        match annotation {
            Annotation::Label(key, label) => self.label(key, label),
            Annotation::Unlabel(key) => {
                self.labels.remove(&key);
            }
            Annotation::Note(note) => self.note(note),
            Annotation::Nothing => {}
        }
    }

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
    fn annotations_go_with_their_branch_and_do_not_come_back_with_another() {
        let (store, session) = store();
        store.append("s", set("from", "main")).unwrap();
        let note = || SessionNoted::new("look here").unwrap().event().unwrap();
        Annotations::write(&store, &session, vec![set("team", "search"), note()]).unwrap();
        let of = |store: &Store| {
            let found = Annotations::of(store, &session).unwrap();
            let board = super::super::Board::new(store, Catalogue::builtin()).unwrap();
            assert_eq!(board.annotated(&session).unwrap(), found);
            (found.labels.into_keys().collect::<Vec<_>>(), found.noted, found.notes.len())
        };
        assert_eq!(of(&store), (vec!["from".to_owned(), "team".to_owned()], 1, 1));
        store.lifecycle().delete("s/annotations").unwrap();
        assert_eq!(of(&store), (vec!["from".to_owned()], 0, 0));
        Annotations::write(&store, &session, vec![set("prio", "1")]).unwrap();
        assert_eq!(of(&store), (vec!["from".to_owned(), "prio".to_owned()], 0, 0));
    }

    /// What is read when the branch of annotations is deleted, and in a store that never had one.
    fn after_deletion(store: &Store, session: &SessionId) -> (Annotated, Annotated) {
        store.project(Annotations).unwrap().catch_up().unwrap();
        store.lifecycle().delete("s/annotations").unwrap();
        let other = Store::in_memory().unwrap();
        for event in store.events(Query::branch("s").unwrap()).unwrap() {
            other.append("s", NewEvent::from(event.unwrap().record())).unwrap();
        }
        (Annotations::of(store, session).unwrap(), Annotations::of(&other, session).unwrap())
    }

    #[test]
    fn what_the_branch_of_annotations_replaced_is_there_again_without_it() {
        let (store, session) = store();
        store.append("s", [set("team", "a"), set("prio", "1"), set("gone", "1")]).unwrap();
        let remove = |key: &str| SessionUnlabelled::new(key).unwrap().event().unwrap();
        Annotations::write(&store, &session, vec![set("team", "b"), remove("prio"), set("gone", "2")])
            .unwrap();
        assert_eq!(labels(&store), [("gone", "2"), ("team", "b")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        store.append("s", [remove("gone"), set("late", "1")]).unwrap();
        assert_eq!(labels(&store), [("late", "1"), ("team", "b")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let (before, anew) = after_deletion(&store, &session);
        assert_eq!(before, anew);
        let found: Vec<_> =
            before.labels.iter().map(|(k, label)| (k.as_str(), label.value.as_str())).collect();
        assert_eq!(found, [("late", "1"), ("prio", "1"), ("team", "a")]);
    }

    #[test]
    fn labels_and_notes_for_which_there_was_no_room_are_there_without_the_branch_of_annotations() {
        let (store, session) = store();
        let note = |n: usize| SessionNoted::new(format!("note {n}")).unwrap().event().unwrap();
        store.append("s", note(0)).unwrap();
        let many = (0..MAX_LABELS).map(|n| set(&format!("own-{n}"), "1"));
        Annotations::write(&store, &session, many.chain((1..=NOTES_KEPT).map(note)).collect()).unwrap();
        store.append("s", set("team", "a")).unwrap();
        let state = Annotations::of(&store, &session).unwrap();
        assert_eq!((state.labels.contains_key("team"), state.left_out), (false, 1));
        let (before, anew) = after_deletion(&store, &session);
        assert_eq!(before, anew);
        assert_eq!((before.labels["team"].value.as_str(), before.left_out), ("a", 0));
        assert_eq!((before.notes[0].text.as_str(), before.noted, before.events), ("note 0", 1, 2));
    }

    #[test]
    fn a_branch_of_that_name_with_other_events_is_left_alone() {
        let note = || vec![SessionNoted::new("look here").unwrap().event().unwrap()];
        let refused = |store: &Store, session: &SessionId| {
            let refused = Annotations::write(store, session, note()).unwrap_err().to_string();
            assert!(refused.contains("s/annotations holds other events"), "{refused}");
        };
        let (store, session) = self::store();
        store.fork("s", "annotations").unwrap();
        refused(&store, &session);
        assert_eq!(store.head("s/annotations").unwrap().get(), 1);
        store.lifecycle().delete("s/annotations").unwrap();
        store.append_if("s/annotations", Expect::Empty, NewEvent::new("run.started")).unwrap();
        refused(&store, &session);
        store.lifecycle().delete("s/annotations").unwrap();
        Annotations::write(&store, &session, note()).unwrap();
        // A fork of nothing is as good as a branch that begins with its first event.
        store.lifecycle().delete("s/annotations").unwrap();
        store.fork("s@0", "annotations").unwrap();
        Annotations::write(&store, &session, note()).unwrap();
        assert_eq!(Annotations::of(&store, &session).unwrap().noted, 1);
    }

    #[test]
    fn no_writer_decides_how_large_a_state_is() {
        let long = "x".repeat(5_000);
        let fold = |annotated: &mut Annotated, branch: &str| {
            for n in 0..500 {
                let label = json!({"key": format!("k-{n}"), "value": long, "by": long});
                let events = [("session.labelled", label), ("session.noted", json!({"text": long}))];
                for (at, (kind, data)) in (2 * n + 1..).zip(events) {
                    let event = recorded(&format!("s/{branch}@{at}"), &NewEvent::new(kind).data(data));
                    Annotations.apply(annotated, &event).unwrap();
                }
            }
        };
        for branch in ["main", "annotations"] {
            let mut annotated = Annotated::default();
            fold(&mut annotated, branch);
            assert_eq!((annotated.labels.len(), annotated.left_out), (MAX_LABELS, 500 - MAX_LABELS as u64));
            assert_eq!((annotated.notes.len(), annotated.noted), (NOTES_KEPT, 500));
            assert!(serde_json::to_vec(&annotated).unwrap().len() < 64 * 1_024);
        }
        let mut annotated = Annotated::default();
        fold(&mut annotated, "annotations");
        fold(&mut annotated, "main");
        assert!(serde_json::to_vec(&annotated).unwrap().len() < 128 * 1_024);
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
