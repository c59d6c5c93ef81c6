//! Finds where a JSON value ends, without holding it.

use crate::limits::MAX_JSON_DEPTH;

use super::content::ByteScanner;

/// The fault of a text with more levels than [`MAX_JSON_DEPTH`].
const TOO_DEEP: &str = "is nested more than 128 levels deep";
const _: () = assert!(MAX_JSON_DEPTH == 128, "the message names the limit");

/// The fault of a text that ends too early.
pub(crate) const BREAKS_OFF: &str = "breaks off";

/// Where text is not JSON, and why, as a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// Advances to the end of the value that begins here. Whether its strings are UTF-8 and its numbers well formed is
/// left to the reader of the value.
pub(crate) fn value(c: &mut ByteScanner<'_>) -> Result<(), Fault> {
    let mut open: Vec<Open> = Vec::new();
    let is_in_object = |open: &[Open]| open.last().is_some_and(|last| last.is_object);
    let mut next = Next::Value;
    loop {
        let Some(b) = c.skip_while(is_space) else { return Err(fault(c, BREAKS_OFF)) };
        let is_value = matches!(next, Next::Value | Next::ValueOrEnd);
        match (next, b) {
            (_, b'{' | b'[') if is_value => {
                let known = c.known_end();
                if open.len() + known.map_or(1, |(_, levels)| levels) > MAX_JSON_DEPTH {
                    return Err(fault(c, TOO_DEEP));
                }
                if let Some((end, levels)) = known {
                    c.at = end;
                    contains(&mut open, levels);
                    if open.is_empty() {
                        return Ok(());
                    }
                    next = Next::CommaOrEnd;
                    continue;
                }
                open.push(Open { is_object: b == b'{', start: c.at, levels: 1 });
                next = if b == b'{' { Next::NameOrEnd } else { Next::ValueOrEnd };
                c.at += 1;
                continue;
            }
            (Next::Name | Next::NameOrEnd, b'"') => {
                string(c)?;
                next = Next::Colon;
                continue;
            }
            (Next::Colon, b':') => {
                next = Next::Value;
                c.at += 1;
                continue;
            }
            (Next::CommaOrEnd, b',') => {
                next = if is_in_object(&open) { Next::Name } else { Next::Value };
                c.at += 1;
                continue;
            }
            (Next::NameOrEnd, b'}') | (Next::ValueOrEnd, b']') => close(c, &mut open),
            (Next::CommaOrEnd, b'}' | b']') if is_in_object(&open) == (b == b'}') => close(c, &mut open),
            (_, b'"') if is_value => string(c)?,
            (_, b'-' | b'0'..=b'9') if is_value => {
                let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
                let _ = c.skip_while(is_part);
            }
            (_, b't') if is_value => word(c, b"true")?,
            (_, b'f') if is_value => word(c, b"false")?,
            (_, b'n') if is_value => word(c, b"null")?,
            _ => return Err(fault(c, expected(next, is_in_object(&open)))),
        }
        if open.is_empty() {
            return Ok(());
        }
        next = Next::CommaOrEnd;
    }
}

/// A container that has not ended yet.
struct Open {
    is_object: bool,
    start: usize,
    /// Levels of containers so far, including itself.
    levels: usize,
}

fn close(c: &mut ByteScanner<'_>, open: &mut Vec<Open>) {
    c.at += 1;
    if let Some(Open { start, levels, .. }) = open.pop() {
        c.ends(start, levels);
        contains(open, levels);
    }
}

/// Notes that the innermost container has a value with this many levels.
fn contains(open: &mut [Open], levels: usize) {
    if let Some(last) = open.last_mut() {
        last.levels = last.levels.max(1 + levels);
    }
}

fn expected(next: Next, in_object: bool) -> &'static str {
    match next {
        Next::Value | Next::ValueOrEnd => "is not JSON: expected a value",
        Next::Name | Next::NameOrEnd => "is not JSON: expected the name of a member",
        Next::Colon => "is not JSON: expected `:`",
        Next::CommaOrEnd if in_object => "is not JSON: expected `,` or `}`",
        Next::CommaOrEnd => "is not JSON: expected `,` or `]`",
    }
}

fn fault(c: &ByteScanner<'_>, what: &'static str) -> Fault {
    Fault { at: c.at, what }
}

fn string(c: &mut ByteScanner<'_>) -> Result<(), Fault> {
    c.at += 1;
    loop {
        match c.skip_while(|b| b >= b' ' && b != b'"' && b != b'\\') {
            None => return Err(fault(c, BREAKS_OFF)),
            Some(b'"') => {
                c.at += 1;
                return Ok(());
            }
            Some(b'\\') => {
                c.at += 1;
                match c.peek() {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') => c.at += 1,
                    None => return Err(fault(c, BREAKS_OFF)),
                    Some(_) => return Err(fault(c, "is not JSON: there is no such escape")),
                }
            }
            Some(b'\n' | b'\r') => {
                return Err(fault(c, "is not JSON: a string runs over the end of the line"));
            }
            Some(_) => return Err(fault(c, "is not JSON: a control character stands in a string")),
        }
    }
}

fn word(c: &mut ByteScanner<'_>, word: &[u8]) -> Result<(), Fault> {
    for want in word {
        match c.peek() {
            Some(b) if b == *want => c.at += 1,
            None => return Err(fault(c, BREAKS_OFF)),
            Some(_) => return Err(fault(c, "is not JSON: expected a value")),
        }
    }
    Ok(())
}

/// The children of an object or array, one by one.
pub(crate) struct Children<'c> {
    c: ByteScanner<'c>,
    is_object: bool,
    begun: bool,
}

/// What comes next in a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Child {
    /// A complete value, and in an object the place of its name.
    Whole { name: std::ops::Range<usize>, value: std::ops::Range<usize> },
    /// The container is broken: where the broken child begins, and why.
    Broken { at: usize, fault: Fault },
}

impl<'c> Children<'c> {
    /// The children of the container that begins here.
    pub(crate) fn of(mut c: ByteScanner<'c>) -> Self {
        let is_object = c.peek() == Some(b'{');
        c.at += 1;
        Self { c, is_object, begun: false }
    }

    /// The next child; `None` at the container's end, and after a broken one.
    pub(crate) fn next(&mut self) -> Option<Child> {
        let c = &mut self.c;
        let end = if self.is_object { b'}' } else { b']' };
        let first = !std::mem::replace(&mut self.begun, true);
        let found = c.skip_while(is_space);
        if found == Some(end) {
            return None;
        }
        if !first {
            if found != Some(b',') {
                let next = if found.is_none() { None } else { Some(Next::CommaOrEnd) };
                return Some(broken(c, next, self.is_object));
            }
            c.at += 1;
            let _ = c.skip_while(is_space);
        }
        let mut name = c.at..c.at;
        if self.is_object {
            match c.peek() {
                Some(b'"') => {}
                None => return Some(broken(c, None, true)),
                Some(_) => return Some(broken(c, Some(Next::Name), true)),
            }
            if let Err(fault) = string(c) {
                return Some(Child::Broken { at: name.start, fault });
            }
            name.end = c.at;
            match c.skip_while(is_space) {
                Some(b':') => c.at += 1,
                None => return Some(broken(c, None, true)),
                Some(_) => return Some(broken(c, Some(Next::Colon), true)),
            }
            let _ = c.skip_while(is_space);
        }
        let at = c.at;
        match value(c) {
            Ok(()) => Some(Child::Whole { name, value: at..c.at }),
            Err(fault) => Some(Child::Broken { at, fault }),
        }
    }
}

/// The container is broken here.
fn broken(c: &ByteScanner<'_>, next: Option<Next>, is_object: bool) -> Child {
    let what = next.map_or(BREAKS_OFF, |next| expected(next, is_object));
    Child::Broken { at: c.at, fault: fault(c, what) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::interop::content::Content;
    use proptest::prelude::*;

    fn end(text: &str) -> Result<usize, Fault> {
        let content = Content::memory(text.as_bytes().to_vec().into());
        let mut c = content.cursor(0..text.len());
        value(&mut c).map(|()| c.at)
    }

    #[test]
    fn a_fault_is_where_it_is() {
        assert_eq!(end("{\"a\": [1, {}], \"b\":\"\\\"\\u00e4\"}x"), Ok(30));
        for (text, at) in [
            ("{\"a\":1", 6),
            ("{\"a\":\"x{\"b\":1}", 9),
            ("{\"a\":1}}", 7),
            ("[1 2]", 3),
            ("{\"a\" 1}", 5),
            ("{,}", 1),
            ("[1,]", 3),
            ("{\"a\":\"\\x\"}", 7),
            ("[nul]", 4),
            ("{\"a\":\"\n\"}", 6),
        ] {
            match end(text) {
                Ok(end) => assert_eq!(end, at, "{text}"),
                Err(fault) => assert_eq!(fault.at, at, "{text}"),
            }
        }
        assert!(end(&"[".repeat(100_000)).unwrap_err().what.contains("deep"));
    }

    #[test]
    fn a_value_that_is_known_counts_with_all_of_its_levels() {
        let deep = MAX_JSON_DEPTH - 2;
        let long = "x".repeat(2 * crate::limits::IMPORT_WINDOW_BYTES);
        let inner = format!("{}\"{long}\"{}", "[".repeat(deep), "]".repeat(deep));
        for (around, fits) in [(2, true), (3, false)] {
            let text = format!("{}0,{inner}{}", "[".repeat(around), "]".repeat(around));
            let content = Content::memory(text.clone().into_bytes().into());
            for known in [false, true] {
                if known {
                    let mut c = content.cursor(around + 2..text.len());
                    value(&mut c).unwrap();
                    assert_eq!(content.cursor(around + 2..text.len()).known_end(), Some((c.at, deep)));
                }
                let mut c = content.cursor(0..text.len());
                assert_eq!(value(&mut c).is_ok(), fits, "{around} around, known: {known}");
            }
        }
    }

    #[test]
    fn children_are_found_up_to_where_their_container_breaks() {
        let all = |text: &str| {
            let content = Content::memory(text.as_bytes().to_vec().into());
            let mut children = Children::of(content.cursor(0..text.len()));
            let (mut found, mut broken) = (Vec::new(), None);
            while let Some(child) = children.next() {
                match child {
                    Child::Whole { name, value } => {
                        found.push((text[name].to_owned(), text[value].to_owned()))
                    }
                    Child::Broken { at, .. } => {
                        broken = Some(at);
                        break;
                    }
                }
            }
            (found, broken)
        };
        let own = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(all("[]"), (vec![], None));
        assert_eq!(all("[1, {\"a\": 2} ]"), (vec![own("", "1"), own("", "{\"a\": 2}")], None));
        assert_eq!(all("{\"x\":[1],\"y\" : 2}"), (vec![own("\"x\"", "[1]"), own("\"y\"", "2")], None));
        assert_eq!(all("[1, {\"a\""), (vec![own("", "1")], Some(4)));
        assert_eq!(all("[1 2]"), (vec![own("", "1")], Some(3)));
        assert_eq!(all("{\"x\":1,2}"), (vec![own("\"x\"", "1")], Some(7)));
    }

    proptest! {
        #[test]
        fn whatever_serde_reads_ends_where_serde_says(text in "([\\[\\]{},:]|\"[a-z\\\\\"]{0,3}\"|-?[0-9]{1,3}|true|null| |\\{\"a\":){0,30}") {
            let mut values = serde_json::Deserializer::from_str(&text).into_iter::<&serde_json::value::RawValue>();
            if let Some(Ok(raw)) = values.next() {
                let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
                prop_assert_eq!(end(&text), Ok(start + raw.get().len()));
            }
        }
    }
}
