//! What is asked of sessions: a status, a label.

use std::str::FromStr;

use super::super::{Card, ConversationStatus};
use crate::event::{Invalid, Phase};

/// A status that sessions are asked for: a phase by any of its words, `abandoned`, or `none` for those of which it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStatus(Option<&'static str>);

impl SessionStatus {
    pub(super) fn takes(self, card: &Card) -> bool {
        card.status() == self.0
    }
}

impl FromStr for SessionStatus {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        let abandoned = ConversationStatus::Abandoned.as_str();
        match word {
            "none" => Ok(Self(None)),
            word if word == abandoned => Ok(Self(Some(abandoned))),
            word => match Phase::of_word(word) {
                Some(phase) => Ok(Self(Some(phase.as_str()))),
                None => {
                    let names = Phase::ALL.map(Phase::as_str).join(", ");
                    let word = word.escape_debug();
                    let reason = format!("`{word}` is not a status; use one of {names}, {abandoned}, none");
                    Err(Invalid::new("status", reason))
                }
            },
        }
    }
}

/// A label that sessions are asked for: `KEY`, with any value, or `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelTest {
    key: String,
    value: Option<String>,
}

impl LabelTest {
    pub(super) fn takes(&self, card: &Card) -> bool {
        let known = card.labels.get(&self.key);
        known.is_some_and(|known| self.value.as_ref().is_none_or(|value| value == known))
    }
}

impl FromStr for LabelTest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        match key {
            "" => Err(Invalid::new("label", "is not KEY or KEY=VALUE")),
            key => Ok(Self { key: key.to_owned(), value }),
        }
    }
}
