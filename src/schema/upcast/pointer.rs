use std::fmt;

use crate::limits::{MAX_POINTER_BYTES, MAX_POINTER_PARTS};

/// A place in a payload, as RFC 6901 writes it: `/usage/tokens`, `""` for the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_POINTER_BYTES {
            return Err(format!("a pointer has {} bytes; {MAX_POINTER_BYTES} are the most", text.len()));
        }
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is no JSON pointer: one begins with `/`, as in `/{text}`"));
        };
        let parts: Vec<String> = rest.split('/').map(unescaped).collect::<Result<_, _>>()?;
        if parts.len() > MAX_POINTER_PARTS {
            return Err(format!("a pointer has {} parts; {MAX_POINTER_PARTS} are the most", parts.len()));
        }
        Ok(Self(parts))
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }

    /// The place that holds it, and its name there; `None` for the whole.
    pub(super) fn split(&self) -> Option<(&[String], &str)> {
        self.0.split_last().map(|(last, parents)| (parents, last.as_str()))
    }

    /// Beside it, under another name.
    pub(super) fn beside(&self, name: &str) -> Option<Self> {
        let (parents, _) = self.split()?;
        Some(Self(parents.iter().cloned().chain([name.to_owned()]).collect()))
    }

    /// Whether `other` lies in it, or is the same place.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

fn unescaped(part: &str) -> Result<String, String> {
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match (c, c == '~') {
            (_, true) => match chars.next() {
                Some('0') => out.push('~'),
                Some('1') => out.push('/'),
                _ => return Err("in a JSON pointer `~` is written `~0`, and `/` inside a name `~1`".into()),
            },
            (c, false) => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the whole payload");
        }
        self.0.iter().try_for_each(|part| write!(f, "/{}", part.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_as_rfc_6901_says() {
        assert_eq!(Pointer::parse("").unwrap().parts(), [""; 0]);
        assert_eq!(Pointer::parse("/a~1b/~0/").unwrap().parts(), ["a/b", "~", ""]);
        assert_eq!(Pointer::parse("/a~1b/~0").unwrap().to_string(), "/a~1b/~0");
        for bad in ["a", "/a~2", "/~", &"/a".repeat(33), &format!("/{}", "a".repeat(1_024))] {
            assert!(Pointer::parse(bad).is_err(), "{bad}");
        }
    }
}
