//! What can be found of an event.

use crate::agents::readable::{Part, said_or_line};
use crate::event::{Catalogue, Event, Speaker};
use crate::limits::MAX_SEARCH_PARTS;

/// A text, and who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) speaker: Option<Speaker>,
    pub(super) text: String,
}

/// Each part of what is said, with the tool that is called or answers; of an event that nobody says, its line.
pub(super) fn texts_of(event: &Event, catalogue: &Catalogue) -> Vec<Text> {
    let parts = match said_or_line(event, catalogue) {
        (_, Ok(parts)) => parts,
        (speaker, Err(text)) => return vec![Text { speaker, text }],
    };
    let mut texts: Vec<Text> = Vec::new();
    for part in parts {
        let (speaker, text) = (part.speaker, said(part));
        let is_full = texts.len() >= MAX_SEARCH_PARTS;
        match texts.last_mut().filter(|_| is_full) {
            // Of very many, the last has all the others.
            Some(last) => {
                last.text.push('\n');
                last.text.push_str(&text);
            }
            None => texts.push(Text { speaker: Some(speaker), text }),
        }
    }
    texts
}

fn said(part: Part) -> String {
    match part.tool {
        Some(tool) if part.text.is_empty() => tool,
        Some(tool) => format!("{tool} {}", part.text),
        None => part.text,
    }
}
