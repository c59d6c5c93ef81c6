//! What is searched: words that all have to be there, phrases, beginnings of words, and what must not be there.

use super::words::Words;
use crate::event::Invalid;
use crate::limits::{MAX_SEARCH_BYTES, MAX_SEARCH_CLAUSES};

/// A query as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextQuery {
    /// All of them have to be met, each by one of its alternatives.
    wanted: Vec<Vec<Clause>>,
    unwanted: Vec<Clause>,
}

/// Words that follow each other; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) words: Vec<String>,
    /// The last word is the beginning of one.
    pub(super) is_prefix: bool,
}

impl TextQuery {
    /// `login timeout`, `"login timeout"`, `time*`, `-test`, `login OR sign-in`.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Invalid::new("query", why);
        if text.len() > MAX_SEARCH_BYTES {
            return Err(bad(&format!("has {} bytes; the limit is {MAX_SEARCH_BYTES}", text.len())));
        }
        let mut query = Self { wanted: Vec::new(), unwanted: Vec::new() };
        let (mut is_alternative, mut count) = (false, 0);
        for item in items(text) {
            let Item::Clause { text, is_unwanted, is_prefix } = item else {
                is_alternative = true;
                continue;
            };
            let words: Vec<String> = Words::of(text).iter().map(str::to_owned).collect();
            if words.is_empty() {
                continue;
            }
            count += 1;
            if count > MAX_SEARCH_CLAUSES {
                return Err(bad(&format!("has more than {MAX_SEARCH_CLAUSES} words and phrases")));
            }
            let (clause, was_alternative) =
                (Clause { words, is_prefix }, std::mem::take(&mut is_alternative));
            match query.wanted.last_mut().filter(|_| was_alternative) {
                _ if is_unwanted => query.unwanted.push(clause),
                Some(group) => group.push(clause),
                None => query.wanted.push(vec![clause]),
            }
        }
        match (query.wanted.is_empty(), query.unwanted.is_empty()) {
            (false, _) => Ok(query),
            (true, true) => Err(bad("has no word to search for")),
            (true, false) => Err(bad("only excludes; it needs a word to search for")),
        }
    }

    /// Groups of which each has to be met.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[Clause]> {
        self.wanted.iter().map(Vec::as_slice)
    }

    /// The clauses of all groups, one after another.
    pub(super) fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.wanted.iter().flatten()
    }

    pub(super) fn unwanted(&self) -> &[Clause] {
        &self.unwanted
    }

    /// How often a text has each of the [clauses](Self::clauses).
    pub(super) fn counts(&self, words: &Words) -> Vec<u32> {
        self.clauses().map(|clause| clause.places(words).count() as u32).collect()
    }

    /// Whether a text is found, that has each clause so often.
    pub(super) fn is_met(&self, words: &Words, counts: &[u32]) -> bool {
        let mut counts = counts.iter();
        // Every group takes its own counts, also after one that is not met.
        let unmet = self.wanted.iter().filter(|group| {
            let own = counts.by_ref().take(group.len());
            own.filter(|count| **count > 0).count() == 0
        });
        unmet.count() == 0 && self.unwanted.iter().all(|clause| clause.places(words).next().is_none())
    }
}

impl Clause {
    /// Where in a text it is: the numbers of its first words.
    pub(super) fn places(&self, words: &Words) -> impl Iterator<Item = usize> {
        let last = self.words.len().saturating_sub(1);
        let is_at = move |at: usize| {
            self.words.iter().enumerate().all(|(n, wanted)| {
                words.get(at + n).is_some_and(|word| match self.is_prefix && n == last {
                    true => word.starts_with(wanted.as_str()),
                    false => word == wanted,
                })
            })
        };
        (0..(words.len() + 1).saturating_sub(self.words.len())).filter(move |at| is_at(*at))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item<'a> {
    Or,
    Clause { text: &'a str, is_unwanted: bool, is_prefix: bool },
}

/// The words and phrases of a query, as they are written. A quote that is not closed goes on to the end.
fn items(text: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_unwanted = first == '-' && rest.chars().nth(1).is_some_and(|c| !c.is_whitespace());
        let begin = if is_unwanted { rest.get(1..).unwrap_or_default() } else { rest };
        let (said, after) = match begin.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                begin.split_at(begin.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(begin.len()))
            }
        };
        if said == "OR" && !begin.starts_with('"') && !is_unwanted {
            items.push(Item::Or);
        } else {
            let is_prefix = said.ends_with('*') || after.starts_with('*');
            items.push(Item::Clause { text: said, is_unwanted, is_prefix });
        }
        rest = after.trim_start_matches('*').trim_start();
    }
    items
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawn(text: &str) -> String {
        let query = TextQuery::parse(text).unwrap();
        let clause = |clause: &Clause| {
            format!("{}{}", clause.words.join("_"), if clause.is_prefix { "*" } else { "" })
        };
        let group = |group: &[Clause]| group.iter().map(clause).collect::<Vec<_>>().join("|");
        let mut all: Vec<String> = query.groups().map(group).collect();
        all.extend(query.unwanted.iter().map(|c| format!("-{}", clause(c))));
        all.join(" ")
    }

    #[test]
    fn a_query_is_read_as_people_write_it() {
        for (text, want) in [
            ("login timeout", "login timeout"),
            ("  Login  TIMEOUT ", "login timeout"),
            ("\"login timeout\" x", "login_timeout x"),
            ("sign-in", "sign_in"),
            ("time*", "time*"),
            ("\"log tim\"*", "log_tim*"),
            ("\"log tim*\"", "log_tim*"),
            ("login -test -\"of unit\"", "login -test -of_unit"),
            ("a OR b c", "a|b c"),
            ("a OR -b", "a -b"),
            ("OR a", "a"),
            ("a OR", "a"),
            ("\"OR\" b", "or b"),
            ("\"not closed", "not_closed"),
            ("normalize()", "normalize"),
            ("Ümläut", "umlaut"),
            ("a - b", "a b"),
            ("超时", "超_时"),
        ] {
            assert_eq!(drawn(text), want, "{text}");
        }
        for (text, why) in
            [("", "no word"), ("  \"\" ", "no word"), ("…", "no word"), ("-a", "only excludes")]
        {
            assert!(TextQuery::parse(text).unwrap_err().reason.contains(why), "{text}");
        }
        assert!(
            TextQuery::parse(&"a ".repeat(MAX_SEARCH_CLAUSES + 1)).unwrap_err().reason.contains("more than")
        );
        assert!(TextQuery::parse(&"a".repeat(MAX_SEARCH_BYTES + 1)).unwrap_err().reason.contains("limit"));
    }

    #[test]
    fn a_text_is_found_when_every_group_is_met_and_nothing_is_there_that_must_not_be() {
        let is_found = |query: &str, text: &str| {
            let (query, words) = (TextQuery::parse(query).unwrap(), Words::of(text));
            let counts = query.counts(&words);
            query.is_met(&words, &counts)
        };
        for (query, text, want) in [
            ("login timeout", "a timeout of the login", true),
            ("login timeout", "a timeout", false),
            ("\"login timeout\"", "timeout, login timeout", true),
            ("\"login timeout\"", "login, the timeout", false),
            ("x OR login page", "login page", true),
            ("x OR login page", "login", false),
            ("log*", "LOGIN", true),
            ("\"the log\"*", "in the login", true),
            ("\"log the\"*", "login the", false),
            ("login -test", "a login test", false),
            ("login -\"unit test\"", "test of a unit, login", true),
        ] {
            assert_eq!(is_found(query, text), want, "{query} in {text}");
        }
        let twice = TextQuery::parse("\"a a\"").unwrap();
        assert_eq!(twice.counts(&Words::of("a a a b a a")), [3]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_is_refused(text in "[ab\"*\\-OR ()\\PC]{0,40}") {
            if let Ok(query) = TextQuery::parse(&text) {
                let words = Words::of(&text);
                prop_assert_eq!(query.counts(&words).len(), query.clauses().count());
            }
        }
    }
}
