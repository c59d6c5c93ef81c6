use serde::Serialize;
use serde_json::value::RawValue;

use super::raw;
use crate::agents::search::Hit;
use crate::event::Speaker;

/// An event that was found, as JSON.
#[derive(Debug, Serialize)]
pub struct SearchHit<'a> {
    address: String,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<Speaker>,
    snippet: &'a str,
    /// Begin and end of what was searched for, in bytes of the snippet.
    marks: Vec<(usize, usize)>,
    event: Option<Box<RawValue>>,
}

impl<'a> From<&'a Hit> for SearchHit<'a> {
    fn from(hit: &'a Hit) -> Self {
        Self {
            address: hit.event.address().to_string(),
            score: hit.score,
            speaker: hit.speaker,
            snippet: &hit.snippet.text,
            marks: hit.snippet.marks.iter().map(|mark| (mark.start, mark.end)).collect(),
            event: raw(&hit.event),
        }
    }
}
