use std::fmt;
use std::str::FromStr;

use super::Invalid;
use crate::limits::MAX_PATTERN_BYTES;

/// A glob over names of sessions or branches: `*` matches any characters, `?` any one, everything else itself. No name has
/// either.
///
/// ```
/// use retold::event::NamePattern;
/// let nightly: NamePattern = "nightly-*".parse()?;
/// assert!(nightly.matches("nightly-2026-11-28") && !nightly.matches("release-3"));
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NamePattern(Box<str>);

impl NamePattern {
    /// Checks a glob.
    ///
    /// # Errors
    /// [`Invalid`] for one that is empty or too long, or has characters that no name has.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = |why: String| Err(Invalid::new("pattern", why));
        if text.is_empty() {
            return bad("is empty; `*` matches every name".to_owned());
        }
        if text.len() > MAX_PATTERN_BYTES {
            return bad(format!("has {} bytes; the limit is {MAX_PATTERN_BYTES}", text.len()));
        }
        match text.chars().find(|c| c.is_control() || matches!(c, '/' | '@')) {
            Some(c) => bad(format!("`{}` contains {c:?}, which no name has", text.escape_debug())),
            None => Ok(Self(text.into())),
        }
    }

    /// Whether a name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut glob, mut left) = (self.0.chars(), name.chars());
        // Where to go on when the last `*` took too little: what follows it, and what it leaves.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let left_before = left.clone();
            match (glob.next(), left.next()) {
                (None, None) => return true,
                (Some('*'), _) => (retry, left) = (Some((glob.clone(), left_before.clone())), left_before),
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => {
                    let Some((after, mut rest)) = retry.take() else { return false };
                    if rest.next().is_none() {
                        return false;
                    }
                    (glob, left) = (after.clone(), rest.clone());
                    retry = Some((after, rest));
                }
            }
        }
    }

    /// The glob as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamePattern {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What it means, slowly.
    fn matches(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], []) => true,
            (['*', rest @ ..], name) => (0..=name.len()).any(|taken| matches(rest, &name[taken..])),
            (['?', rest @ ..], [_, name @ ..]) => matches(rest, name),
            ([wanted, rest @ ..], [found, name @ ..]) if wanted == found => matches(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_matches_as_it_says(glob in "[ab*?é]{1,8}", name in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = matches(&chars(&glob), &chars(&name));
            prop_assert_eq!(NamePattern::new(&glob).unwrap().matches(&name), expected);
        }
    }

    #[test]
    fn what_no_name_has_is_refused() {
        for wrong in ["", "a/b", "a@1", "a\n"] {
            assert!(NamePattern::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(NamePattern::new(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
    }
}
