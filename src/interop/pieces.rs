//! A file cut into its records, and what lies between them: nothing of a file is in neither.

use std::ops::Range;

use serde_json::value::RawValue;

use super::fields::Fields;

/// One record of a file.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// 1 for the first record.
    pub(crate) ordinal: usize,
    /// The line of the file that it begins on, from 1.
    pub(crate) line: usize,
    /// What stands between the record before and this one.
    pub(crate) gap: &'a str,
    /// The record's bytes, without space around them.
    pub(crate) range: Range<usize>,
    /// The record, or what is wrong with it.
    pub(crate) text: Result<&'a str, String>,
}

/// All records of a file.
#[derive(Debug, Default)]
pub(crate) struct Pieces<'a> {
    pub(crate) all: Vec<Piece<'a>>,
    /// What stands after the last record.
    pub(crate) tail: &'a str,
}

/// How deep an array of records may lie in other objects.
const MAX_WRAPPERS: u8 = 4;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Records one a line: blank lines are no records.
pub(crate) fn lines(bytes: &[u8]) -> Pieces<'_> {
    let mut pieces = Pieces::default();
    let (mut end, mut from) = (0, if bytes.starts_with(BOM) { BOM.len() } else { 0 });
    for (i, line) in bytes.get(from..).unwrap_or_default().split(|b| *b == b'\n').enumerate() {
        let record = line.trim_ascii();
        if !record.is_empty() {
            let start = from + (line.len() - line.trim_ascii_start().len());
            let range = start..start + record.len();
            let text = std::str::from_utf8(record)
                .map_err(|e| format!("is not UTF-8: byte {} of the record", e.valid_up_to() + 1));
            let gap = between(bytes, end..start);
            end = range.end;
            pieces.all.push(Piece { ordinal: pieces.all.len() + 1, line: i + 1, gap, range, text });
        }
        from += line.len() + 1;
    }
    pieces.tail = between(bytes, end..bytes.len());
    pieces
}

/// Records that are the elements of an array, bare or inside other objects, or a lone object, or else lines.
/// `is_record` tells a record from the objects around an array.
pub(crate) fn documents(bytes: &[u8], is_record: fn(&Fields<'_>) -> bool) -> Pieces<'_> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The array breaks off where the text does, and says so.
        Err(e) => bytes.get(..e.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default(),
    };
    let start = skip_space(text, if bytes.starts_with(BOM) { BOM.len() } else { 0 });
    match text.as_bytes().get(start) {
        Some(b'[') => return array(bytes, text, start, true),
        Some(b'{') => {}
        _ => return lines(bytes),
    }
    let first_line = text.get(start..).and_then(|t| t.lines().next()).unwrap_or_default();
    if Fields::parse(first_line).is_ok_and(|f| is_record(&f)) {
        return lines(bytes);
    }
    if let Some(at) = find_array(text, start, is_record, MAX_WRAPPERS) {
        return array(bytes, text, at, false);
    }
    let body = text.get(start..).unwrap_or_default();
    let record = body.trim_ascii_end();
    if text.len() == bytes.len() && Fields::parse(record).is_ok_and(|f| is_record(&f)) {
        let range = start..start + record.len();
        let line = line_at(bytes, start);
        let gap = between(bytes, 0..start);
        let tail = between(bytes, range.end..bytes.len());
        return Pieces { all: vec![Piece { ordinal: 1, line, gap, range, text: Ok(record) }], tail };
    }
    lines(bytes)
}

/// The elements of the array that opens at `at`. Those before a syntax error are kept.
fn array<'a>(bytes: &'a [u8], text: &'a str, at: usize, bare: bool) -> Pieces<'a> {
    let mut pieces = Pieces::default();
    let (mut end, mut next) = (0, skip_space(text, at + 1));
    let (mut line, mut counted) = (1, 0);
    let mut broken = None;
    if text.as_bytes().get(next) != Some(&b']') {
        loop {
            line += newlines(bytes, counted..next);
            counted = next;
            match value(text, next) {
                Ok(range) => {
                    let gap = between(bytes, end..next);
                    let record = text.get(range.clone()).unwrap_or_default();
                    (end, next) = (range.end, skip_space(text, range.end));
                    pieces.all.push(Piece {
                        ordinal: pieces.all.len() + 1,
                        line,
                        gap,
                        range,
                        text: Ok(record),
                    });
                }
                Err(reason) => {
                    broken = Some(reason);
                    break;
                }
            }
            match text.as_bytes().get(next) {
                Some(b',') => next = skip_space(text, next + 1),
                Some(b']') => break,
                _ => {
                    broken = Some("is followed by neither `,` nor `]`".to_owned());
                    break;
                }
            }
        }
    }
    if broken.is_none() && bare {
        let after = skip_space(text, next + 1);
        if after < bytes.len() {
            next = after;
            broken = Some("stands after the end of the array".to_owned());
        }
    }
    match broken {
        Some(reason) => {
            line += newlines(bytes, counted..next);
            let reason = match text.len() == bytes.len() {
                true => format!("{reason}; the array cannot be read from here on"),
                false => format!("is not UTF-8 at byte {} of the file; the array ends here", text.len() + 1),
            };
            let range = next.min(bytes.len())..bytes.len();
            let ordinal = pieces.all.len() + 1;
            pieces.all.push(Piece { ordinal, line, gap: "", range, text: Err(reason) });
        }
        None => pieces.tail = between(bytes, end..bytes.len()),
    }
    pieces
}

/// Where an array of records opens inside the object at `at`.
fn find_array(text: &str, at: usize, is_record: fn(&Fields<'_>) -> bool, depth: u8) -> Option<usize> {
    let mut next = skip_space(text, at + 1);
    while text.as_bytes().get(next) == Some(&b'"') {
        next = skip_space(text, value(text, next).ok()?.end);
        if text.as_bytes().get(next) != Some(&b':') {
            return None;
        }
        next = skip_space(text, next + 1);
        match text.as_bytes().get(next) {
            Some(b'[') => {
                let first = value(text, skip_space(text, next + 1)).ok();
                let record = first.and_then(|r| text.get(r)).and_then(|r| Fields::parse(r).ok());
                if record.is_some_and(|f| is_record(&f)) {
                    return Some(next);
                }
            }
            Some(b'{') if depth > 1 => {
                if let Some(found) = find_array(text, next, is_record, depth - 1) {
                    return Some(found);
                }
            }
            _ => {}
        }
        next = skip_space(text, value(text, next).ok()?.end);
        if text.as_bytes().get(next) != Some(&b',') {
            return None;
        }
        next = skip_space(text, next + 1);
    }
    None
}

/// The JSON value that begins at `at`.
fn value(text: &str, at: usize) -> Result<Range<usize>, String> {
    let rest = text.get(at..).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(raw)) => Ok(at..at + raw.get().len()),
        Some(Err(e)) if e.is_eof() => Err("breaks off".to_owned()),
        Some(Err(_)) => Err("is not JSON".to_owned()),
        None => Err("is missing".to_owned()),
    }
}

fn skip_space(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count()
}

fn between(bytes: &[u8], range: Range<usize>) -> &str {
    bytes.get(range).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
}

fn newlines(bytes: &[u8], range: Range<usize>) -> usize {
    bytes.get(range).unwrap_or_default().iter().filter(|b| **b == b'\n').count()
}

fn line_at(bytes: &[u8], at: usize) -> usize {
    1 + newlines(bytes, 0..at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_record(f: &Fields<'_>) -> bool {
        f.has("id")
    }

    fn texts<'a>(pieces: &Pieces<'a>) -> Vec<&'a str> {
        pieces.all.iter().filter_map(|p| p.text.as_ref().ok().copied()).collect()
    }

    #[test]
    fn every_shape_of_file_gives_its_records() {
        let two = vec![r#"{"id":1}"#, r#"{ "id": 2 }"#];
        for file in [
            "{\"id\":1}\n{ \"id\": 2 }\n",
            "\u{feff}\n {\"id\":1} \r\n\r\n{ \"id\": 2 }",
            "[{\"id\":1},{ \"id\": 2 }]",
            "[\n  {\"id\":1} ,\n  { \"id\": 2 }\n]\n",
            "{\"a\":[],\"h\":{\"e\":\n[{\"id\":1}, { \"id\": 2 }], \"x\":1},\"y\":null}",
        ] {
            assert_eq!(texts(&documents(file.as_bytes(), is_record)), two, "{file}");
        }
        assert_eq!(texts(&documents(b"{\n\"id\":1\n}\n", is_record)), ["{\n\"id\":1\n}"]);
        assert!(documents(b"[ ]", is_record).all.is_empty());
        assert!(documents(b"", is_record).all.is_empty());
    }

    #[test]
    fn an_array_that_breaks_keeps_what_came_before() {
        let pieces = documents(b"[\n{\"id\":1},\n{\"id\":2},\n{\"id\":", is_record);
        assert_eq!(texts(&pieces).len(), 2);
        let last = pieces.all.last().unwrap();
        assert_eq!((last.ordinal, last.line), (3, 4));
        assert!(last.text.as_ref().unwrap_err().starts_with("breaks off"));
        let pieces = documents(b"[{\"id\":1},{\"id\":\"\xff\"}]", is_record);
        assert!(pieces.all.last().unwrap().text.as_ref().unwrap_err().contains("UTF-8"));
        let pieces = documents(b"[{\"id\":1}] x", is_record);
        assert!(pieces.all.last().unwrap().text.as_ref().unwrap_err().contains("after the end"));
    }

    #[test]
    fn a_line_that_is_not_utf8_is_broken_alone() {
        let pieces = lines(b"{}\n\xff\xfe\n{}\n");
        assert_eq!(pieces.all.len(), 3);
        assert!(pieces.all[1].text.is_err());
        assert_eq!(pieces.all[2].line, 3);
    }

    proptest! {
        #[test]
        fn nothing_of_a_text_is_lost(text in "([ \r\n\t]|\\{\\}|x|\\[|\\]|,|\\{\"id\":[0-9]\\}){0,40}") {
            for pieces in [lines(text.as_bytes()), documents(text.as_bytes(), is_record)] {
                let mut all = String::new();
                for p in &pieces.all {
                    all.push_str(p.gap);
                    all.push_str(&text[p.range.clone()]);
                }
                all.push_str(pieces.tail);
                if pieces.all.iter().all(|p| p.text.is_ok()) {
                    prop_assert_eq!(all, text.clone());
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = lines(&bytes);
            let _ = documents(&bytes, is_record);
        }
    }
}
