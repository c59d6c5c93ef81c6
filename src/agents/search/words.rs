//! How texts become words: runs of letters and digits, in lower case and without accents.

use std::ops::Range;

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

use crate::limits::{MAX_SEARCH_TEXT_BYTES, SEARCH_WORD_BYTES, SEARCH_WORD_SOURCE_BYTES};

/// The words of a text, in its order.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// One behind the other.
    folded: String,
    each: Vec<Word>,
}

/// Where a word is in what is folded, and in the text. 32 bits, as no text has more.
#[derive(Clone, Copy, Debug)]
struct Word {
    begin: u32,
    end: u32,
    from: u32,
    to: u32,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.read(text);
        words
    }

    /// Takes those of another text. Of one that is very long, those of its beginning.
    pub(super) fn read(&mut self, text: &str) {
        self.folded.clear();
        self.each.clear();
        let text = text.get(..text.floor_char_boundary(MAX_SEARCH_TEXT_BYTES)).unwrap_or(text);
        // Where the word began that is not over yet.
        let mut begun = None;
        for (at, c) in text.char_indices() {
            let after = at + c.len_utf8();
            match Class::of(c) {
                Class::Letter => {
                    let (begin, _) = *begun.get_or_insert((self.folded.len(), at));
                    fold(c, &mut self.folded);
                    if self.folded.len() - begin >= SEARCH_WORD_BYTES {
                        self.end(&mut begun, after);
                    }
                }
                Class::Alone => {
                    self.end(&mut begun, at);
                    begun = Some((self.folded.len(), at));
                    fold(c, &mut self.folded);
                    self.end(&mut begun, after);
                }
                Class::Silent => {
                    // Accents without end belong to no word.
                    if begun.is_some_and(|(_, from)| after - from >= SEARCH_WORD_SOURCE_BYTES) {
                        self.end(&mut begun, after);
                    }
                }
                Class::Gap => self.end(&mut begun, at),
            }
        }
        self.end(&mut begun, text.len());
    }

    fn end(&mut self, begun: &mut Option<(usize, usize)>, to: usize) {
        if let Some((begin, from)) = begun.take() {
            let end = self.folded.len();
            self.each.push(Word { begin: begin as u32, end: end as u32, from: from as u32, to: to as u32 });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.each.len()
    }

    /// A word as it is indexed.
    pub(super) fn get(&self, n: usize) -> Option<&str> {
        let word = self.each.get(n)?;
        self.folded.get(word.begin as usize..word.end as usize)
    }

    /// Where a word is in the text.
    pub(super) fn range(&self, n: usize) -> Option<Range<usize>> {
        self.each.get(n).map(|word| word.from as usize..word.to as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|n| self.get(n))
    }
}

enum Class {
    Letter,
    /// Of a script without spaces between words: a word by itself.
    Alone,
    /// An accent, or what only says how to draw what is beside it.
    Silent,
    Gap,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => Self::Letter,
            '\0'..='\x7f' => Self::Gap,
            '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => Self::Silent,
            c if canonical_combining_class(c) != 0 => Self::Silent,
            // Thai, Lao, Burmese, Khmer, Japanese, Chinese.
            '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3005}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{ff66}'..='\u{ff9f}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => {
                if c.is_alphanumeric() {
                    Self::Alone
                } else {
                    Self::Silent
                }
            }
            c if c.is_alphanumeric() => Self::Letter,
            _ => Self::Gap,
        }
    }
}

fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        return out.push(c.to_ascii_lowercase());
    }
    for c in c.to_lowercase() {
        // Letters with accents fall into the letter and its accents, as some programs write them.
        decompose_canonical(c, |c| match plain(c) {
            Some(plain) => out.push_str(plain),
            None if canonical_combining_class(c) != 0 => {}
            None => out.push(c),
        });
    }
}

/// A small letter as it is often written without its own sign.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ĳ' => "ij",
        'ŀ' | 'ł' => "l",
        'ŋ' => "n",
        'ø' => "o",
        'œ' => "oe",
        'ß' => "ss",
        'ŧ' => "t",
        'þ' => "th",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> String {
        Words::of(text).iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_without_case_and_accents() {
        for (text, want) in [
            ("The login() fails, with a Timeout!", "the login fails with a timeout"),
            ("snake_case sign-in v0.27", "snake case sign in v0 27"),
            ("Über Straße ÆON naïve İstanbul", "uber strasse aeon naive istanbul"),
            ("cafe\u{301} soft\u{ad}hyphen", "cafe softhyphen"),
            ("Ελλάς ΕΛΛΆΣ", "ελλασ ελλασ"),
            ("登录超时 login", "登 录 超 时 login"),
            // Composed or not, as file names of some systems are.
            ("Йод И\u{306}од", "иод иод"),
            ("Ếm E\u{302}\u{301}m ḥn", "em em hn"),
            ("が か\u{3099} ﾃｽﾄ", "か か ﾃ ｽ ﾄ"),
            ("한", "\u{1112}\u{1161}\u{11ab}"),
            ("नमस्ते", "नमसते"),
            ("ログイン、x", "ロ ク イ ン x"),
            ("👍 …", ""),
        ] {
            assert_eq!(words(text), want, "{text}");
        }
    }

    #[test]
    fn a_long_run_is_several_words() {
        let long = "ab".repeat(SEARCH_WORD_BYTES);
        let words = Words::of(&long);
        assert_eq!((words.len(), words.get(0).unwrap().len()), (2, SEARCH_WORD_BYTES));
        assert_eq!(words.range(1), Some(SEARCH_WORD_BYTES..2 * SEARCH_WORD_BYTES));
        let accents = format!("a{}b", "\u{301}".repeat(1_000));
        let words = Words::of(&accents);
        assert_eq!((words.get(0), words.get(1)), (Some("a"), Some("b")));
        assert!(words.range(0).unwrap().len() <= SEARCH_WORD_SOURCE_BYTES + 2);
    }

    proptest! {
        #[test]
        fn every_word_is_in_its_place(text in "[aÄß登e\u{301}\u{ad}_. \\PC]{0,60}") {
            let words = Words::of(&text);
            let mut last = 0;
            for n in 0..words.len() {
                let range = words.range(n).unwrap();
                prop_assert!(range.start >= last && range.start < range.end);
                last = range.end;
                // By itself it is the same word.
                let alone = Words::of(&text[range]);
                prop_assert_eq!(alone.get(0), words.get(n));
            }
        }
    }
}
