//! Globs as `fnmatch` of the shell and of Python reads them: `*` crosses dots.

/// A parsed glob.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Fnmatch(Box<[GlobPiece]>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum GlobPiece {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[a-z_]`, or `[!a-z_]`
    Set {
        not: bool,
        ranges: Box<[(u8, u8)]>,
    },
}

/// Whether a type name can have this byte.
fn is_of_names(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.')
}

fn unknown(text: &str, at: usize) -> String {
    let found = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
    format!("contains {found:?}, which no type name has")
}

impl Fnmatch {
    /// Parses a glob; an error says what is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut bytes = text.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            pieces.push(match byte {
                b'*' if pieces.last() == Some(&GlobPiece::Any) => continue,
                b'*' => GlobPiece::Any,
                b'?' => GlobPiece::One,
                b'[' => {
                    let set = text.get(at + 1..).and_then(|rest| rest.split_once(']')).map(|(set, _)| set);
                    let set = set.ok_or("has `[` without `]`")?;
                    // Its bytes, and the bracket.
                    bytes.nth(set.len());
                    parse_set(set)?
                }
                byte if is_of_names(byte) => GlobPiece::Byte(byte),
                _ => return Err(unknown(text, at)),
            });
        }
        Ok(Self(pieces.into()))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let (mut piece, mut at) = (0, 0);
        // Where to go on when the last `*` took too little: the piece after it, and what it leaves.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(piece), name.get(at)) {
                (None, None) => return true,
                (Some(GlobPiece::Any), _) => {
                    piece += 1;
                    retry = Some((piece, at));
                    continue;
                }
                (Some(found), Some(byte)) if found.takes(*byte) => {
                    (piece, at) = (piece + 1, at + 1);
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((after, from)) if from < name.len() => {
                    (piece, at) = (after, from + 1);
                    retry = Some((piece, at));
                }
                _ => return false,
            }
        }
    }
}

/// The inside of brackets.
fn parse_set(set: &str) -> Result<GlobPiece, String> {
    let (not, mut rest) = match set.strip_prefix('!') {
        Some(rest) => (true, rest.as_bytes()),
        None => (false, set.as_bytes()),
    };
    if rest.is_empty() {
        return Err("has an empty `[]`".to_owned());
    }
    let mut ranges = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        let (last, tail) = match tail {
            [b'-', last, tail @ ..] => (last, tail),
            tail => (first, tail),
        };
        if let Some(odd) = [first, last].into_iter().find(|b| !is_of_names(**b)) {
            let at = set.bytes().position(|b| b == *odd).unwrap_or_default();
            return Err(unknown(set, at));
        }
        if first > last {
            return Err(format!(
                "has the range `{}-{}`, which is empty",
                char::from(*first),
                char::from(*last)
            ));
        }
        ranges.push((*first, *last));
        rest = tail;
    }
    Ok(GlobPiece::Set { not, ranges: ranges.into() })
}

impl GlobPiece {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::One | Self::Any => true,
            Self::Set { not, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != *not
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(glob: &str, name: &str) -> bool {
        Fnmatch::new(glob).unwrap().matches(name)
    }

    #[test]
    fn a_star_crosses_dots_and_sets_take_one_character() {
        for (glob, name) in [
            ("*", "a"),
            ("*", "a.b.c"),
            ("build.*", "build.step.done"),
            ("*.done", "build.step.done"),
            ("b*.d*e", "build.step.done"),
            ("build", "build"),
            ("a?c", "a.c"),
            ("run.[sf]*", "run.failed"),
            ("v[0-9].x", "v7.x"),
            ("v[!0-9].x", "va.x"),
            ("v[a-c_.]x", "v.x"),
            ("**", "a.b"),
        ] {
            assert!(matches(glob, name), "{glob} does not match {name}");
        }
        for (glob, name) in [
            ("build.*", "build"),
            ("build.*", "rebuild.x"),
            ("build", "build.x"),
            ("a?c", "ac"),
            ("run.[sf]*", "run.ended"),
            ("v[!0-9].x", "v7.x"),
            ("*.done", "build.done.x"),
        ] {
            assert!(!matches(glob, name), "{glob} matches {name}");
        }
    }

    #[test]
    fn what_no_type_can_match_is_refused_with_the_reason() {
        for (glob, why) in [
            ("a[b", "has `[` without `]`"),
            ("a[]b", "has an empty `[]`"),
            ("a[!]", "has an empty `[]`"),
            ("a[z-a]", "has the range `z-a`, which is empty"),
            ("Build.*", "contains 'B', which no type name has"),
            ("a[A-Z]", "contains 'A', which no type name has"),
            ("a[-b]", "contains '-', which no type name has"),
            ("a b", "contains ' ', which no type name has"),
            ("é", "contains 'é', which no type name has"),
            ("a]", "contains ']', which no type name has"),
        ] {
            assert_eq!(Fnmatch::new(glob).err().as_deref(), Some(why), "{glob}");
        }
    }

    /// The definition, by recursion.
    fn by_definition(glob: &[u8], name: &[u8]) -> bool {
        match (glob, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|n| by_definition(rest, &name[n..])),
            ([b'?', rest @ ..], [_, names @ ..]) => by_definition(rest, names),
            ([a, rest @ ..], [b, names @ ..]) => a == b && by_definition(rest, names),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(glob in "[ab.*?]{0,8}", name in "[ab.]{0,8}") {
            prop_assert_eq!(matches(&glob, &name), by_definition(glob.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn no_text_panics(glob in "\\PC{0,40}", name in "\\PC{0,40}") {
            if let Ok(glob) = Fnmatch::new(&glob) {
                let _ = glob.matches(&name);
            }
        }
    }
}
