use std::ops::Range;

use super::query::TextQuery;
use super::words::Words;
use crate::event::{Event, Position, Speaker};
use crate::limits::SEARCH_SNIPPET_BYTES;

/// An event that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hit {
    /// The event, as the store has it now, in its newest shape.
    pub event: Event,
    /// Who says it, if anybody.
    pub speaker: Option<Speaker>,
    /// How well it fits (BM25): more is better. Comparable within one answer.
    pub score: f32,
    /// The part of the text that fits best.
    pub snippet: Snippet,
}

/// A piece of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snippet {
    /// At most some 200 bytes, from one word to another, as they are in the text.
    pub text: String,
    /// Where in it what was searched for is, in bytes.
    pub marks: Vec<Range<usize>>,
    /// Whether the text goes on before it.
    pub begins_later: bool,
    /// Whether the text goes on after it.
    pub ends_earlier: bool,
}

/// What was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The best first; of equally good ones, the newest.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub more: bool,
    /// Everything up to this position was looked through. What was committed when the search began is not beyond.
    pub up_to: Position,
    /// Events that could not be looked through: they are damaged, or cannot be brought to their newest shape.
    pub unread: u64,
}

impl Snippet {
    /// Of a text that is found by this query.
    pub(super) fn of(query: &TextQuery, text: &str, words: &Words) -> Self {
        let mut marked: Vec<Mark> = Vec::new();
        for (number, clause) in query.clauses().enumerate() {
            for at in clause.places(words) {
                let each = (at..at + clause.words.len()).filter_map(|n| words.range(n));
                marked.extend(each.map(|range| Mark { begin: range.start, end: range.end, clause: number }));
            }
        }
        marked.sort_unstable();
        let shown = best_window(&marked);
        let (first, last) = match (shown.first(), shown.last()) {
            (Some(first), Some(last)) => (first.begin, last.end),
            _ => (0, 0),
        };
        // What is left of the room goes half before and half behind, and where the text ends to the other side.
        let room = SEARCH_SNIPPET_BYTES.saturating_sub(last.saturating_sub(first));
        let behind = (text.len() - last.min(text.len())).min(room / 2);
        let before = first.min(room - behind);
        let behind = (text.len() - last.min(text.len())).min(room - before);
        let begin = word_begin(words, first - before, first);
        let end = match last + behind {
            all if all >= text.len() => text.len(),
            to => word_end(words, last, to),
        };
        let piece = text.get(begin..end).unwrap_or_default();
        let mut marks: Vec<Range<usize>> = Vec::new();
        for mark in shown {
            let mark = mark.begin - begin..mark.end - begin;
            match marks.last_mut().filter(|before| before.end >= mark.start) {
                Some(before) => before.end = before.end.max(mark.end),
                None => marks.push(mark),
            }
        }
        Self { text: piece.to_owned(), marks, begins_later: begin > 0, ends_earlier: end < text.len() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    begin: usize,
    end: usize,
    clause: usize,
}

/// The marks that fit into a snippet, and show most of the query; the first of equally good ones.
fn best_window(marked: &[Mark]) -> &[Mark] {
    let (mut best, mut most): (&[Mark], usize) = (&[], 0);
    for (at, first) in marked.iter().enumerate().take(MARKS) {
        let rest = marked.get(at..).unwrap_or_default();
        let fits = rest.iter().take(MARKS).take_while(|mark| mark.end - first.begin <= SEARCH_SNIPPET_BYTES);
        let window = rest.get(..fits.count().max(1)).unwrap_or_default();
        let mut clauses: Vec<usize> = window.iter().map(|mark| mark.clause).collect();
        clauses.sort_unstable();
        clauses.dedup();
        if clauses.len() > most {
            (best, most) = (window, clauses.len());
        }
    }
    best
}

/// Marks that are looked at.
const MARKS: usize = 256;

/// The beginning of the first word from here on, that of the text if it is near.
fn word_begin(words: &Words, from: usize, at_most: usize) -> usize {
    if from == 0 {
        return 0;
    }
    let ranges = (0..words.len()).filter_map(|n| words.range(n));
    ranges.map(|range| range.start).find(|start| *start >= from).map_or(at_most, |start| start.min(at_most))
}

/// The end of the last word up to here.
fn word_end(words: &Words, at_least: usize, to: usize) -> usize {
    let ranges = (0..words.len()).rev().filter_map(|n| words.range(n));
    ranges.map(|range| range.end).find(|end| *end <= to).map_or(at_least, |end| end.max(at_least))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snippet(query: &str, text: &str) -> Snippet {
        Snippet::of(&TextQuery::parse(query).unwrap(), text, &Words::of(text))
    }

    fn marked(snippet: &Snippet) -> Vec<&str> {
        snippet.marks.iter().map(|mark| &snippet.text[mark.clone()]).collect()
    }

    #[test]
    fn a_snippet_shows_where_it_is() {
        let text = format!("{}the login times out{}", "word ".repeat(200), " more".repeat(200));
        let found = snippet("login tim*", &text);
        assert_eq!(marked(&found), ["login", "times"]);
        assert!(found.text.len() <= SEARCH_SNIPPET_BYTES && found.text.len() > SEARCH_SNIPPET_BYTES / 2);
        assert!(found.text.starts_with("word ") && found.text.ends_with(" more"), "{found:?}");
        assert!(found.begins_later && found.ends_earlier);
        let short = snippet("timeout", "A timeout, again.");
        assert_eq!((short.text.as_str(), marked(&short)), ("A timeout, again.", vec!["timeout"]));
    }

    #[test]
    fn a_phrase_is_marked_and_not_its_words_elsewhere() {
        let text = "login, then a timeout; a login timeout";
        assert_eq!(marked(&snippet("\"login timeout\"", text)), ["login", "timeout"]);
        assert_eq!(marked(&snippet("login", text)), ["login", "login"]);
        assert_eq!(marked(&snippet("超时", "登录超时。")), ["超时"]);
    }

    #[test]
    fn the_place_with_most_of_the_query_is_shown() {
        let text = format!("login{} login and timeout", " x".repeat(500));
        assert_eq!(marked(&snippet("login timeout", &text)), ["login", "timeout"]);
    }

    proptest! {
        #[test]
        fn a_snippet_is_a_piece_of_its_text(text in "[ab é登 .]{0,600}", query in "[ab登]{1,2}\\*?") {
            let found = snippet(&query, &text);
            prop_assert!(text.contains(&found.text));
            for mark in &found.marks {
                prop_assert!(found.text.get(mark.clone()).is_some_and(|marked| !marked.is_empty()));
            }
        }
    }
}
