//! Where a page ends: a number, the event before it, and when the spans of the filter began, sealed for one question to one store.
//!
//! A token of some sessions pages through events of others without being told of them, so its cursors must not be read.

use retold::event::NamePattern;
use retold::{EventId, StoreId, Timestamp};

use super::feed::{Feed, bad_cursor};
use super::seal::Seal;
use crate::kept_key::Key;
use crate::problem::Problem;
use crate::tokens::Token;

/// Seals cursors for one question.
#[derive(Clone, Debug)]
pub(super) struct PageCursors {
    seal: Seal,
}

/// Where the next page goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    /// At this number.
    pub(super) number: u64,
    /// The event before it, where that is known: another one says that the store was restored.
    pub(super) after: Option<EventId>,
    /// Spans of the filter are before this.
    pub(super) began: Option<Timestamp>,
}

impl PageCursors {
    /// For the question that this token asks. `made` is when the branch was: one of the same name may come after it.
    pub(super) fn of(
        key: &Key,
        store: StoreId,
        feed: &Feed,
        made: Option<Timestamp>,
        question: &str,
        token: &Token,
    ) -> Self {
        let sessions = token.sessions.as_ref().map_or("", NamePattern::as_str);
        let (store, feed) = (store.uuid().into_bytes(), feed.to_string());
        let made = made.map_or(0, Timestamp::micros).to_be_bytes();
        let asked = [feed.as_bytes(), sessions.as_bytes(), question.as_bytes()];
        Self { seal: Seal::new(&key.0, &[&[b"page", &store[..], &made], &asked[..]].concat()) }
    }

    /// The cursor of a place.
    pub(super) fn seal(&self, place: PagePlace) -> String {
        let after = place.after.map_or([0; 16], |id| id.uuid().into_bytes());
        let began = place.began.map_or(i64::MIN, Timestamp::micros);
        self.seal.seal(&[&place.number.to_be_bytes()[..], &after, &began.to_be_bytes()].concat())
    }

    /// The place of a cursor.
    pub(super) fn open(&self, cursor: &str) -> Result<PagePlace, Problem> {
        self.opened(cursor)
            .ok_or_else(|| bad_cursor("it is of another store, another branch or another question"))
    }

    fn opened(&self, cursor: &str) -> Option<PagePlace> {
        let value = self.seal.open(cursor)?;
        let (number, rest) = value.split_first_chunk()?;
        let (after, began) = rest.split_first_chunk()?;
        let after = Some(*after).filter(|id| *id != [0; 16]);
        let began = Some(i64::from_be_bytes(began.try_into().ok()?)).filter(|micros| *micros != i64::MIN);
        Some(PagePlace {
            number: u64::from_be_bytes(*number),
            after: after.map(|id| EventId::from_uuid(retold::uuid::Uuid::from_bytes(id))),
            began: began.map(Timestamp::from_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(store: StoreId, made: i64, question: &str, sessions: Option<&str>) -> PageCursors {
        let mut token = Token::local();
        token.sessions = sessions.map(|of| NamePattern::new(of).unwrap());
        PageCursors::of(
            &Key([7; 32]),
            store,
            &Feed::All,
            Some(Timestamp::from_micros(made)),
            question,
            &token,
        )
    }

    #[test]
    fn a_cursor_is_good_for_its_question_only() {
        let store = StoreId::new();
        for (sessions, after, began) in
            [(None, Some(EventId::new()), None), (Some("a-*"), None, Some(Timestamp::from_micros(-5)))]
        {
            let place = PagePlace { number: 77, after, began };
            let cursor = cursors(store, 1, "type=a", sessions).seal(place);
            assert_eq!(cursors(store, 1, "type=a", sessions).open(&cursor).unwrap(), place);
            for other in [
                cursors(StoreId::new(), 1, "type=a", sessions),
                cursors(store, 2, "type=a", sessions),
                cursors(store, 1, "type=b", sessions),
                cursors(store, 1, "type=a", Some("b-*")),
            ] {
                assert_eq!(other.open(&cursor).unwrap_err().name(), "bad-cursor");
            }
        }
    }
}
