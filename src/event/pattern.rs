use std::fmt;
use std::str::FromStr;

use super::Invalid;
use super::fnmatch::Fnmatch;
use crate::limits::MAX_PATTERN_BYTES;

/// A glob over dotted type names.
/// `*`
/// matches one part (or, inside a part, any run of characters), `**` matches any number of parts, including none:
/// `tool.**` matches `tool` and `tool.call.done`.
///
/// ```
/// use retold::Pattern;
/// let p: Pattern = "tool.*.done".parse()?;
/// assert!(p.matches("tool.call.done"));
/// assert!(!p.matches("tool.done"));
/// # Ok::<(), retold::Invalid>(())
/// ```
///
/// A glob that begins with `fnmatch:` is read as [`fnmatch`](Self::fnmatch) does, wherever globs are taken.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    syntax: Syntax,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Syntax {
    Dotted(Box<[Part]>),
    Fnmatch(Fnmatch),
}

/// What the text of a pattern begins with whose glob is one of `fnmatch`. No type name has a colon.
const FNMATCH: &str = "fnmatch:";

#[derive(Clone, PartialEq, Eq, Hash)]
enum Part {
    Literal(Box<str>),
    /// A part that contains `*`, as the literal pieces around the stars.
    Glob(Box<[Box<str>]>),
    Any,
    Rest,
}

impl Pattern {
    /// Parses a glob.
    ///
    /// # Errors
    /// [`Invalid`] for an empty glob or part, characters that no type name has, or `**` inside a part.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = |why: String| Err(Invalid::new("pattern", format!("`{}` {why}", text.escape_debug())));
        if text.is_empty() || text == FNMATCH {
            return Err(Invalid::new("pattern", "is empty; `**` matches every type"));
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(Invalid::new(
                "pattern",
                format!("has {} bytes; the limit is {MAX_PATTERN_BYTES}", text.len()),
            ));
        }
        if let Some(glob) = text.strip_prefix(FNMATCH) {
            return match Fnmatch::new(glob) {
                Ok(glob) => Ok(Self { text: text.into(), syntax: Syntax::Fnmatch(glob) }),
                Err(why) => bad(why),
            };
        }
        let mut parts = Vec::new();
        for part in text.split('.') {
            let known = |c: char| is_of_a_name(c) || c == '*';
            parts.push(match part {
                "" => return bad("has an empty part".into()),
                "*" => Part::Any,
                "**" if parts.last() == Some(&Part::Rest) => continue,
                "**" => Part::Rest,
                p if p.contains("**") => {
                    return bad("has `**` inside a part; it matches whole parts".into());
                }
                p => match p.chars().find(|c| !known(*c)) {
                    Some(c) => return bad(format!("contains {c:?}, which no type name has")),
                    None if p.contains('*') => Part::Glob(p.split('*').map(Into::into).collect()),
                    None => Part::Literal(p.into()),
                },
            });
        }
        Ok(Self { text: text.into(), syntax: Syntax::Dotted(parts.into()) })
    }

    /// Parses a glob as `fnmatch` of the shell and of Python reads it: `*` matches any characters, dots included, `?` any
    /// one, `[a-z]` one of a set and `[!a-z]` one that is not in it. For configuration that was written for such a system.
    ///
    /// ```
    /// use retold::Pattern;
    /// let p = Pattern::fnmatch("build.*")?;
    /// assert!(p.matches("build.done") && p.matches("build.step.done"));
    /// assert!(!Pattern::new("build.*")?.matches("build.step.done"));
    /// assert_eq!(p, Pattern::new("fnmatch:build.*")?);
    /// # Ok::<(), retold::Invalid>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid`] for an empty glob, characters that no type name has, and a set that is empty or not closed.
    pub fn fnmatch(glob: &str) -> Result<Self, Invalid> {
        Self::new(&format!("{FNMATCH}{glob}"))
    }

    /// Whether a type name matches.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        match &self.syntax {
            Syntax::Dotted(parts) => dotted(parts, kind),
            Syntax::Fnmatch(glob) => glob.matches(kind),
        }
    }

    /// Whether it has any literal text; `*.*` only constrains the number of parts.
    pub(super) fn names_something(&self) -> bool {
        self.without_prefix().contains(|c| c == '[' || is_of_a_name(c))
    }

    /// Whether it may be meant for aliases: wildcards match dotted names, and aliases only if the pattern is spelled like
    /// them.
    pub(super) fn may_mean_aliases(&self) -> bool {
        let glob = self.without_prefix();
        glob.contains('_') || !glob.contains(['*', '?', '['])
    }

    fn without_prefix(&self) -> &str {
        self.text.strip_prefix(FNMATCH).unwrap_or(&self.text)
    }

    /// The glob as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn dotted(parts: &[Part], kind: &str) -> bool {
    if let [Part::Rest] = parts {
        return true;
    }
    // The parts of the name still to match, and where to backtrack when `**` matched too little.
    let (mut p, mut rest) = (0, Some(kind));
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let advanced = match (parts.get(p), rest) {
            (None, None) => return true,
            (Some(Part::Rest), None) => {
                p += 1;
                continue;
            }
            (Some(Part::Rest), Some(r)) => {
                p += 1;
                retry = Some((p, r));
                continue;
            }
            (Some(part), Some(r)) => {
                let (head, tail) = split_part(r);
                part.matches(head).then_some(tail)
            }
            _ => None,
        };
        match (advanced, retry) {
            (Some(tail), _) => (p, rest) = (p + 1, tail),
            (None, Some((at, from))) => {
                // `**` takes one more part.
                let tail = split_part(from).1;
                (p, rest) = (at, tail);
                match tail {
                    Some(t) => retry = Some((at, t)),
                    None => retry = None,
                }
            }
            (None, None) => return false,
        }
    }
}

fn split_part(name: &str) -> (&str, Option<&str>) {
    match name.split_once('.') {
        Some((head, tail)) => (head, Some(tail)),
        None => (name, None),
    }
}

impl Part {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Any | Self::Rest => true,
            Self::Literal(l) => **l == *part,
            Self::Glob(pieces) => glob(pieces, part),
        }
    }
}

/// The first and last pieces are anchored; those between match as early as possible.
fn glob(pieces: &[Box<str>], part: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return false };
    let Some(mut rest) = part.strip_prefix(&**first).and_then(|r| r.strip_suffix(&**last)) else {
        return false;
    };
    for piece in middle {
        match rest.split_once(&**piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

impl FromStr for Pattern {
    type Err = Invalid;
    fn from_str(s: &str) -> Result<Self, Invalid> {
        Self::new(s)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, by recursion, to hold the loop against.
    fn by_definition(parts: &[&str], name: &[&str]) -> bool {
        match (parts, name) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=name.len()).any(|n| by_definition(rest, &name[n..])),
            ([p, rest @ ..], [n, names @ ..]) => {
                chars(p.as_bytes(), n.as_bytes()) && by_definition(rest, names)
            }
            _ => false,
        }
    }

    fn chars(p: &[u8], n: &[u8]) -> bool {
        match (p, n) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=n.len()).any(|i| chars(rest, &n[i..])),
            ([a, rest @ ..], [b, names @ ..]) => a == b && chars(rest, names),
            _ => false,
        }
    }

    #[test]
    fn two_stars_stand_for_the_rest_also_none() {
        let p = Pattern::new("tool.**").unwrap();
        assert!(p.matches("tool") && p.matches("tool.call.done"));
        assert!(!p.matches("tools") && !p.matches("a.tool"));
        assert!(Pattern::new("**").unwrap().matches("anything.at.all"));
        assert!(Pattern::new("**.done").unwrap().matches("done"));
        assert!(Pattern::new("a.**.b.**.c").unwrap().matches("a.b.x.b.c"));
    }

    #[test]
    fn what_is_not_a_glob_is_refused() {
        for bad in
            ["", ".", "a.", "a..b", "A", "a b", "a**", "**a", "a.***", "é", "a/b", "[a]", "fnmatch:", "fn:a"]
        {
            assert!(Pattern::new(bad).is_err(), "{bad:?} was taken");
        }
        let refused = Pattern::fnmatch("a[").unwrap_err().to_string();
        assert_eq!(refused, "pattern `fnmatch:a[` has `[` without `]`");
    }

    #[test]
    fn a_glob_of_fnmatch_says_so_in_its_text_and_is_read_back_from_it() {
        let pattern = Pattern::fnmatch("build.*").unwrap();
        assert_eq!(pattern.to_string(), "fnmatch:build.*");
        assert_eq!(pattern, pattern.to_string().parse().unwrap());
        assert!(pattern.matches("build.a.b") && !Pattern::new("build.*").unwrap().matches("build.a.b"));
        assert!(Pattern::fnmatch("*").unwrap().matches("a.b"));
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(
            parts in prop::collection::vec("a|b|ab|\\*|\\*\\*|a\\*|\\*b|a\\*b|\\*a\\*", 1..6),
            name in prop::collection::vec("a|b|ab|aab|ba", 1..6),
        ) {
            let pattern = Pattern::new(&parts.join(".")).unwrap();
            let p: Vec<&str> = parts.iter().map(String::as_str).collect();
            let n: Vec<&str> = name.iter().map(String::as_str).collect();
            prop_assert_eq!(pattern.matches(&name.join(".")), by_definition(&p, &n));
        }

        #[test]
        fn no_text_panics(p in "\\PC{0,40}", n in "\\PC{0,40}") {
            if let Ok(p) = Pattern::new(&p) { let _ = p.matches(&n); }
        }
    }
}
