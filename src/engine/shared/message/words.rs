//! Words of errors that are fixed in the program that made the error: the kind of a thing, the name of a field. They are
//! kept for ever, so there is a bound on how many another process can make this one keep.

use crate::limits::{MAX_NAME_BYTES, MAX_SHARED_WORDS};
use crate::sync::{Mutex, lock};

static WORDS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The same word for ever. One too many is another word.
pub(super) fn fixed(word: &str) -> &'static str {
    let mut words = lock(&WORDS);
    if let Some(known) = words.iter().find(|known| **known == word) {
        return known;
    }
    if words.len() >= MAX_SHARED_WORDS || word.len() > MAX_NAME_BYTES {
        return "thing";
    }
    let word: &'static str = Box::leak(word.into());
    words.push(word);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once() {
        let (a, b) = (fixed("branch"), fixed(&String::from("branch")));
        assert!(std::ptr::eq(a, b) && a == "branch");
        assert_eq!(fixed(&"x".repeat(MAX_NAME_BYTES + 1)), "thing");
    }
}
