//! Which words of two texts differ.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Words in which texts may differ before the whole of that is taken as different.
const WORDS: usize = 2_000;
/// Columns that stay of a long part that is the same, fewer where there is no room.
const CONTEXT: [usize; 3] = [16, 8, 4];

/// A part of two texts: where it stands in each, and whether it is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) is_same: bool,
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// A piece of a text, and whether it differs from the other.
pub(super) type Piece = (String, bool);

/// The parts of two texts in their order; `None` when they have too little in common for that to say something.
pub(super) fn compared(old: &str, new: &str) -> Option<Vec<Compared>> {
    let (words, others) = (words(old), words(new));
    let alike = words.iter().zip(&others).take_while(|(a, b)| a == b).count();
    let most = words.len().min(others.len()) - alike;
    let after = words.iter().rev().zip(others.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let middle = words.get(alike..words.len() - after)?;
    let other = others.get(alike..others.len() - after)?;
    let mut parts = Parts { at: (0, 0), all: Vec::new() };
    let wide = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
    parts.push(true, wide(words.get(..alike)?), wide(words.get(..alike)?));
    if middle.len().max(other.len()) > WORDS {
        parts.push(false, wide(middle), wide(other));
    } else {
        for op in capture_diff_slices(Algorithm::Myers, middle, other) {
            let (olds, news) = (middle.get(op.old_range())?, other.get(op.new_range())?);
            parts.push(matches!(op, DiffOp::Equal { .. }), wide(olds), wide(news));
        }
    }
    let end = wide(words.get(words.len() - after..)?);
    parts.push(true, end, end);
    let all = parts.joined(old);
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
    let same = all.iter().filter(|part| part.is_same).filter_map(|part| old.get(part.old.clone()));
    let same: usize = same.map(letters).sum();
    (same * 3 >= letters(old).max(letters(new)) && same > 0).then_some(all)
}

struct Parts {
    at: (usize, usize),
    all: Vec<Compared>,
}

impl Parts {
    fn push(&mut self, is_same: bool, old: usize, new: usize) {
        let (from, other) = self.at;
        self.at = (from + old, other + new);
        if old > 0 || new > 0 {
            self.all.push(Compared { is_same, old: from..from + old, new: other..other + new });
        }
    }

    /// What has no letters between two parts that differ belongs to them.
    fn joined(self, old: &str) -> Vec<Compared> {
        let is_word = |part: &Compared| {
            old.get(part.old.clone()).is_some_and(|text| text.chars().any(char::is_alphanumeric))
        };
        let mut joined: Vec<Compared> = Vec::new();
        let mut parts = self.all.into_iter().peekable();
        while let Some(mut part) = parts.next() {
            let is_between = part.is_same
                && !is_word(&part)
                && joined.last().is_some_and(|last| !last.is_same)
                && parts.peek().is_some_and(|next| !next.is_same);
            part.is_same &= !is_between;
            match joined.last_mut().filter(|last| last.is_same == part.is_same) {
                Some(last) => (last.old.end, last.new.end) = (part.old.end, part.new.end),
                None => joined.push(part),
            }
        }
        joined
    }
}

/// Words, and what is between them.
fn words(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0_u8,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut words = Vec::new();
    let mut begin = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        let now = class(c);
        // Each sign is one for itself.
        if before.is_some_and(|before| before != now || now == 2) {
            words.extend(text.get(begin..at));
            begin = at;
        }
        before = Some(now);
    }
    words.extend(text.get(begin..).filter(|rest| !rest.is_empty()));
    words
}

/// Long parts that are the same are cut, until it fits into so many columns or nothing is left to cut.
pub(super) fn in_context(pieces: Vec<Piece>, room: usize) -> Vec<Piece> {
    let wide = |pieces: &[Piece]| pieces.iter().map(|(text, _)| text.width()).sum::<usize>();
    let mut shown = pieces.clone();
    for context in CONTEXT {
        if wide(&shown) <= room {
            break;
        }
        shown = cut(&pieces, context);
    }
    shown
}

fn cut(pieces: &[Piece], context: usize) -> Vec<Piece> {
    let last = pieces.len().saturating_sub(1);
    let piece = |(at, (text, differs)): (usize, &Piece)| {
        let sides = usize::from(at > 0) + usize::from(at < last);
        if *differs || sides == 0 || text.width() <= sides * context + 1 {
            return (text.clone(), *differs);
        }
        let begin = if at > 0 { first(text.chars(), context) } else { String::new() };
        let end = if at < last { first(text.chars().rev(), context) } else { String::new() };
        (format!("{begin}…{}", end.chars().rev().collect::<String>()), false)
    };
    pieces.iter().enumerate().map(piece).collect()
}

fn first(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or_default();
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(old: &str, new: &str) -> String {
        let Some(parts) = compared(old, new) else { return "nothing".to_owned() };
        let told = parts.iter().map(|part| match part.is_same {
            true => old[part.old.clone()].to_owned(),
            false => {
                let (old, new) = (&old[part.old.clone()], &new[part.new.clone()]);
                let old = if old.is_empty() { String::new() } else { format!("[-{old}-]") };
                let new = if new.is_empty() { String::new() } else { format!("{{+{new}+}}") };
                old + &new
            }
        });
        told.collect()
    }

    #[test]
    fn words_that_differ_are_told_apart_from_those_that_do_not() {
        assert_eq!(told("cargo test --workspace", "cargo test --lib"), "cargo test --[-workspace-]{+lib+}");
        assert_eq!(told("src/auth/login.rs", "src/auth/logout.rs"), "src/auth/[-login-]{+logout+}.rs");
        assert_eq!(told("one two three four", "one four"), "one [-two three -]four");
        assert_eq!(
            told("find it now at once", "find all of it now at once"),
            "find {+all of +}it now at once"
        );
        assert_eq!(told("take a b and go", "take x y and go"), "take [-a b-]{+x y+} and go");
        assert_eq!(told("same", "same"), "same");
        for (a, b) in [("cargo test", "ls -la"), ("", "a"), ("", ""), ("3", "4"), ("a · b", "c · d")] {
            assert_eq!(told(a, b), "nothing", "{a} {b}");
        }
    }

    #[test]
    fn long_parts_that_are_the_same_are_cut_to_their_context() {
        let pieces = |texts: &[(&str, bool)]| -> Vec<Piece> {
            texts.iter().map(|(text, differs)| ((*text).to_owned(), *differs)).collect()
        };
        let long = "0123456789".repeat(5);
        let cut = in_context(
            pieces(&[(&long, false), ("x", true), (&long, false), ("y", true), (&long, false)]),
            70,
        );
        let texts: Vec<&str> = cut.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            texts,
            ["…4567890123456789", "x", "0123456789012345…4567890123456789", "y", "0123456789012345…"]
        );
        let short = pieces(&[("a", false), ("b", true)]);
        assert_eq!(in_context(short.clone(), 2), short);
    }

    proptest! {
        /// Put together again, the parts are the texts, and what is called the same is.
        #[test]
        fn nothing_is_lost_between_the_parts(old in "[a-c ./é日]{0,20}", new in "[a-c ./é日]{0,20}") {
            let Some(parts) = compared(&old, &new) else { return Ok(()) };
            let side = |of: fn(&Compared) -> Range<usize>, text: &str| -> String {
                parts.iter().map(|part| text[of(part)].to_owned()).collect()
            };
            prop_assert_eq!(side(|p| p.old.clone(), &old), old.clone());
            prop_assert_eq!(side(|p| p.new.clone(), &new), new.clone());
            for part in &parts {
                prop_assert_eq!(part.is_same, old[part.old.clone()] == new[part.new.clone()]);
            }
            prop_assert!(parts.windows(2).all(|two| two[0].is_same != two[1].is_same));
        }
    }
}
