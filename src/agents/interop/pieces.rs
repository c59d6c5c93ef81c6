//! Cuts a file into its records. A file is a series of JSON values, on lines of their own or not: records, or objects
//! and arrays with records further inside. What lies between records is left to the caller: each piece knows where it
//! begins and ends.

use std::ops::Range;

use crate::limits::MAX_WRAPPERS;

use super::collector::{Collector, Test};
use super::content::Content;
use super::outline::Outline;
use super::piece::{Pieces, Text};
use super::recover;
use super::scan::{self, Child, Children, Fault, is_space};

const BOM: &[u8] = b"\xef\xbb\xbf";
/// How the lines of server-sent events begin that contain a record …
const DATA: &[u8] = b"data:";
/// … and those that contain none.
const STREAM_FIELDS: [&[u8]; 4] = [b":", b"event:", b"id:", b"retry:"];
/// Bytes at the beginning of a line that tell what it is: `data: [DONE]` is the longest.
const STREAM_FIELD: usize = 12;
/// Members that name an object, the most reliable first.
const LABELS: [&str; 9] = [
    "instance_id",
    "run_id",
    "runId",
    "session_id",
    "sessionId",
    "conversation_id",
    "trajectory_id",
    "workflowId",
    "id",
];
/// The longest label in bytes. A longer text is not a label.
const MAX_LABEL: usize = 128;

/// Cuts a file into records.
///
/// `wrapped` says whether records may be inside other objects. If not, every object is a record. `salvaged` tells the
/// records in what is left of a damaged one, if anything does.
pub(crate) fn cut(content: &Content, is_record: Test, salvaged: Option<Test>, wrapped: bool) -> Pieces {
    walk(content, (is_record, salvaged), wrapped, usize::MAX)
}

/// The first records of a file, enough to detect its format.
pub(crate) fn cut_first(content: &Content, is_record: Test, wrapped: bool, limit: usize) -> Pieces {
    walk(content, (is_record, Some(is_record)), wrapped, limit)
}

fn walk(
    content: &Content,
    (is_record, salvaged): (Test, Option<Test>),
    wrapped: bool,
    limit: usize,
) -> Pieces {
    let records = Collector::new(content, is_record, salvaged);
    let mut walk = Walk { limit, wrapped, content, records, glued: Vec::new(), is_stream: false };
    walk.file();
    walk.finish()
}

struct Walk<'c> {
    content: &'c Content,
    records: Collector<'c>,
    limit: usize,
    /// Whether objects may have records inside. Next to an object that is a record itself they do not.
    wrapped: bool,
    /// Where a record follows another on the same line.
    glued: Vec<usize>,
    /// Whether it is a stream of server-sent events, whose records stand behind `data:`.
    is_stream: bool,
}

impl Walk<'_> {
    fn file(&mut self) {
        let len = self.content.len();
        let mut at = if self.content.bytes(0..BOM.len()) == BOM { BOM.len() } else { 0 };
        let mut previous_end = None;
        while !self.is_full() {
            let mut c = self.content.cursor(at..len);
            // 0x1e precedes each text of a JSON sequence.
            let Some(first) = c.skip_while(|b| is_space(b) || b == b'\x1e') else { return };
            let start = c.at;
            if at <= BOM.len() && previous_end.is_none() {
                self.is_stream |= self.begins_stream(start);
            }
            if self.is_stream
                && let Some(next) = self.after_field(start)
            {
                at = next;
                continue;
            }
            let on_one_line = previous_end.is_some_and(|end| !self.has_newline(end..start));
            match first {
                b'{' | b'[' => match scan::value(&mut c) {
                    Ok(()) => {
                        at = c.at;
                        if on_one_line {
                            self.glued.push(start);
                        }
                        self.whole(start..at, first == b'[');
                        previous_end = Some(at);
                    }
                    Err(fault) => {
                        at = self.broken(start, &fault);
                        previous_end = None;
                    }
                },
                b',' if previous_end.is_some() => at = start + 1,
                0 if self.is_stream || self.is_after_nuls(start) => {
                    let _ = c.skip_while(|b| b == 0);
                    at = c.at;
                    self.records.lost(start..at, 0, format!("is damaged: {} NUL bytes", at - start));
                }
                _ => {
                    let end = self.line_end(start);
                    let what = match on_one_line {
                        true => "stands after the end of the record or array before it",
                        false => "is not JSON: expected a value",
                    };
                    let fault = Fault { at: start, what };
                    recover::rest(&mut self.records, start..end, 0, &fault);
                    (at, previous_end) = (end, None);
                }
            }
        }
    }

    /// Whether there is something to go on with after the NULs that begin here. If there is not, they are a part of what is
    /// damaged.
    fn is_after_nuls(&self, start: usize) -> bool {
        let mut c = self.content.cursor(start..self.content.len());
        let next = c.skip_while(|b| matches!(b, 0 | b' ' | b'\t' | b'\r'));
        matches!(next, None | Some(b'\n' | b'{' | b'[' | b','))
    }

    /// Whether a stream of server-sent events begins here. Without data it is any text.
    fn begins_stream(&self, mut start: usize) -> bool {
        while let Some(end) = self.after_field(start) {
            if self.content.bytes(start..start + DATA.len()) == DATA {
                return true;
            }
            start = self.after_space(end);
        }
        false
    }

    /// Where a field of a server-sent event that begins here leads to: to the record in it, or to the end of its line.
    fn after_field(&self, start: usize) -> Option<usize> {
        let field = self.content.bytes(start..start + STREAM_FIELD);
        if let Some(rest) = field.strip_prefix(DATA) {
            let is_end = rest.trim_ascii_start().starts_with(b"[DONE]");
            let value = start + DATA.len();
            return Some(if is_end { self.line_end(start) } else { value });
        }
        let is_field = STREAM_FIELDS.iter().any(|name| field.starts_with(name));
        is_field.then(|| self.line_end(start))
    }

    /// A complete value at the top level of the file.
    fn whole(&mut self, range: Range<usize>, is_array: bool) {
        if !is_array && (!self.wrapped || self.records.is_record(&range)) {
            self.wrapped = false;
            return self.records.record(range, 0);
        }
        let depth = if self.wrapped { MAX_WRAPPERS } else { 1 };
        if self.inside(range.clone(), depth, None) {
            return;
        }
        if !is_array {
            // No record is known inside. The format decides what it is.
            return self.records.record(range, 0);
        }
        let run = self.records.new_run(None);
        let mut children = Children::of(self.content.cursor(range));
        while let Some(Child::Whole { value, .. }) = children.next()
            && !self.is_full()
        {
            self.records.record(value, run);
        }
    }

    /// A broken value at the top level of the file. Returns where to continue.
    fn broken(&mut self, start: usize, fault: &Fault) -> usize {
        let end = self.line_end(start);
        if !self.records.spend(fault.at - start) {
            self.records.lost(
                start..self.content.len(),
                0,
                "is too damaged to be searched for records".to_owned(),
            );
            return self.content.len();
        }
        let is_line = fault.at <= self.after_space(end) || self.is_whole_line(end);
        // A document that spans lines has no next line to restart from.
        let end = if is_line { end } else { self.content.len() };
        let is_wrapper = self.wrapped || self.first(start) == Some(b'[');
        let depth = if self.wrapped { MAX_WRAPPERS } else { 1 };
        if !is_wrapper || !self.inside(start..end, depth, None) {
            recover::rest(&mut self.records, start..end, 0, fault);
        }
        end
    }

    /// Whether the next line is a whole object by itself.
    fn is_whole_line(&self, newline: usize) -> bool {
        let start = self.after_space(newline);
        let mut c = self.content.cursor(start..self.content.len());
        c.peek() == Some(b'{')
            && scan::value(&mut c).is_ok()
            && !self.has_newline(start..c.at)
            && matches!(c.skip_while(|b| matches!(b, b' ' | b'\t' | b'\r')), None | Some(b'\n'))
    }

    /// Records further inside a value that is not one itself. If it breaks, what can be saved after the break is
    /// saved too, but only if there were records before: otherwise nobody knows that records are here, and the answer
    /// is `false`.
    fn inside(&mut self, range: Range<usize>, depth: u8, label: Option<&str>) -> bool {
        let is_array = self.first(range.start) == Some(b'[');
        let own = if is_array { None } else { self.label(range.clone()) };
        let label = own.as_deref().or(label);
        // The elements of an array of records; or an object's members that are records themselves.
        let mut run = None;
        if is_array && self.has_record(range.clone()) {
            run = Some(self.records.new_run(label));
        }
        let is_pairs = is_array && run.is_none() && self.has_pairs(range.clone());
        if is_pairs {
            run = Some(self.records.new_run(label));
        }
        let (mut found, mut end) = (false, range.start);
        let mut children = Children::of(self.content.cursor(range.clone()));
        while let Some(child) = children.next() {
            match child {
                Child::Whole { value, .. } if is_array && let Some(run) = run => {
                    (found, end) = (true, value.end);
                    if is_pairs {
                        self.steps(value, run);
                    } else if !self.is_wrapper(&value, depth)
                        || depth == 1
                        || !self.inside(value.clone(), depth - 1, label)
                    {
                        self.records.record(value, run);
                    }
                }
                Child::Whole { value, .. } => {
                    let first = self.first(value.start);
                    if first == Some(b'{') && self.records.is_record(&value) {
                        let run = *run.get_or_insert_with(|| self.records.new_run(label));
                        (found, end) = (true, value.end);
                        self.records.record(value, run);
                    } else if depth > 1
                        && matches!(first, Some(b'{' | b'['))
                        && self.inside(value.clone(), depth - 1, label)
                    {
                        (found, end) = (true, value.end);
                    }
                }
                Child::Broken { at, fault } => {
                    let is_container = matches!(self.first(at), Some(b'{' | b'['));
                    let is_elsewhere = !is_array || run.is_none();
                    if is_elsewhere
                        && depth > 1
                        && is_container
                        && fault.at > at
                        && self.inside(at..range.end, depth - 1, label)
                    {
                        return true;
                    }
                    if found {
                        // A string may have swallowed the beginning of a record, so an object is searched from its
                        // last find.
                        let from = if is_array { at } else { end };
                        let run = run.unwrap_or_default();
                        recover::rest(&mut self.records, from..range.end, run, &fault);
                    }
                    return found;
                }
            }
            if self.is_full() {
                return found;
            }
        }
        found
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.limit
    }

    fn first(&self, at: usize) -> Option<u8> {
        self.content.bytes(at..at + 1).first().copied()
    }

    /// Whether this value has a run of records inside, and is not a record itself. A single record proves nothing: an
    /// unknown object may hold a copy of one.
    fn is_wrapper(&self, value: &Range<usize>, depth: u8) -> bool {
        let is_array = self.first(value.start) == Some(b'[');
        if is_array && self.has_record(value.clone()) {
            return true;
        }
        if depth == 0 || !is_array && self.records.is_record(value) {
            return false;
        }
        let mut children = Children::of(self.content.cursor(value.clone()));
        while let Some(Child::Whole { value, .. }) = children.next() {
            if matches!(self.first(value.start), Some(b'{' | b'[')) && self.is_wrapper(&value, depth - 1) {
                return true;
            }
        }
        false
    }

    /// Whether an array has a record among its elements.
    fn has_record(&self, range: Range<usize>) -> bool {
        let mut children = Children::of(self.content.cursor(range));
        while let Some(Child::Whole { value, .. }) = children.next() {
            if self.first(value.start) == Some(b'{') && self.records.is_record(&value) {
                return true;
            }
        }
        false
    }

    /// Whether an array has the steps of one run in pairs, `[[action, observation], …]`: each array in it has at most
    /// these two. Two runs would begin with the same number.
    fn has_pairs(&self, range: Range<usize>) -> bool {
        let (mut found, mut before) = (false, None);
        let mut pairs = Children::of(self.content.cursor(range));
        while let Some(Child::Whole { value: pair, .. }) = pairs.next() {
            if self.first(pair.start) != Some(b'[') {
                return false;
            }
            let mut members = ["action", "observation"].into_iter();
            let mut steps = Children::of(self.content.cursor(pair));
            while let Some(Child::Whole { value: step, .. }) = steps.next() {
                let (Some(member), Some(step)) = (members.next(), Outline::load(self.content, step)) else {
                    return false;
                };
                let Some(f) = step.fields().filter(|f| f.has(member)) else { return false };
                if member == "action" {
                    let id = f.scalar("id").map(|id| id.into_owned());
                    if id.is_some() && id == before {
                        return false;
                    }
                    before = id;
                } else {
                    found |= self.records.fits(&f);
                }
            }
        }
        found
    }

    fn steps(&mut self, pair: Range<usize>, run: usize) {
        let mut steps = Children::of(self.content.cursor(pair));
        while let Some(Child::Whole { value, .. }) = steps.next() {
            self.records.record(value, run);
        }
    }

    /// The name of an object, from one of its members.
    fn label(&self, range: Range<usize>) -> Option<String> {
        let mut best: Option<(usize, String)> = None;
        let mut children = Children::of(self.content.cursor(range));
        while let Some(Child::Whole { name, value }) = children.next() {
            if value.len() > MAX_LABEL || matches!(self.first(value.start), Some(b'{' | b'[')) {
                continue;
            }
            let (Ok(name), Ok(value)) = (Text::load(self.content, name), Text::load(self.content, value))
            else {
                continue;
            };
            let name = name.trim_matches('"');
            let value = value.trim_matches('"');
            let Some(rank) = LABELS.iter().position(|l| *l == name) else { continue };
            let is_text = !value.is_empty() && !matches!(value, "null" | "true" | "false");
            if is_text && !value.contains('\\') && best.as_ref().is_none_or(|(r, _)| rank < *r) {
                best = Some((rank, value.to_owned()));
            }
        }
        best.map(|(_, label)| label)
    }

    fn line_end(&self, at: usize) -> usize {
        let mut c = self.content.cursor(at..self.content.len());
        let _ = c.skip_while(|b| b != b'\n');
        c.at
    }

    fn after_space(&self, at: usize) -> usize {
        let mut c = self.content.cursor(at..self.content.len());
        let _ = c.skip_while(is_space);
        c.at
    }

    fn has_newline(&self, range: Range<usize>) -> bool {
        let mut c = self.content.cursor(range);
        c.skip_while(|b| b != b'\n').is_some()
    }

    fn finish(mut self) -> Pieces {
        if let (Some(first), n) = (self.glued.first().copied(), self.glued.len()) {
            let what = match n {
                1 => "a record stands behind another on one line".to_owned(),
                n => format!("a record stands behind another on one line, and {} more further on", n - 1),
            };
            self.records.note(first, &what);
        }
        self.records.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::interop::fields::Fields;
    use crate::agents::interop::piece::Piece;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn is_record(f: &Fields<'_>) -> bool {
        f.has("id")
    }

    struct Cut {
        pieces: Pieces,
        all: Vec<Piece>,
        content: Content,
    }

    impl Cut {
        fn new(bytes: impl AsRef<[u8]>) -> Self {
            let content = Content::memory(Bytes::copy_from_slice(bytes.as_ref()));
            Self::of(cut(&content, is_record, Some(is_record), true), content)
        }

        fn of(pieces: Pieces, content: Content) -> Self {
            let all = pieces.iter().map(Result::unwrap).collect();
            Self { pieces, all, content }
        }

        fn text(&self, i: usize) -> Result<String, String> {
            self.pieces.text(&self.all[i], &self.content).map(|t| t.to_string())
        }

        /// Each record, or its problem in brackets.
        fn drawn(&self) -> Vec<String> {
            (0..self.all.len()).map(|i| self.text(i).unwrap_or_else(|e| format!("<{e}>"))).collect()
        }

        /// The ids of each run.
        fn runs(&self) -> Vec<(Option<&str>, Vec<u64>)> {
            let ids = |run| {
                let own = self.all.iter().enumerate().filter(|(_, p)| p.run == run);
                own.filter_map(|(i, _)| {
                    let value: serde_json::Value = serde_json::from_str(&self.text(i).ok()?).ok()?;
                    value["id"].as_u64()
                })
                .collect()
            };
            let runs = self.pieces.runs_with_records();
            runs.into_iter().map(|r| (self.pieces.runs[r].label.as_deref(), ids(r))).collect()
        }
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
            "{\"id\":1},\n{ \"id\": 2 },\n",
            "\u{1e}{\"id\":1}\n\u{1e}{ \"id\": 2 }\n",
        ] {
            assert_eq!(Cut::new(file).drawn(), two, "{file}");
        }
        assert_eq!(Cut::new("{\n\"id\":1\n}\n").drawn(), ["{\n\"id\":1\n}"]);
        assert!(Cut::new("[ ]").drawn().is_empty());
        assert!(Cut::new("").drawn().is_empty());
    }

    #[test]
    fn runs_that_share_a_file_stay_apart() {
        for file in [
            "[{\"id\":1},{\"id\":2}]\n[{\"id\":3}]\n",
            "{\"e\":[{\"id\":1},{\"id\":2}]}\n{\"e\":[{\"id\":3}]}\n",
            "[{\"e\":[{\"id\":1},{\"id\":2}]},{\"x\":{\"e\":[{\"id\":3}]}}]",
            "[[{\"id\":1},{\"id\":2}],[{\"id\":3}]]",
            "{\"a\":{\"e\":[{\"id\":1},{\"id\":2}]},\"b\":{\"e\":[{\"id\":3}]}}",
            "{\"a\":{\"x\":{\"id\":1},\"y\":{\"id\":2}},\"b\":{\"z\":{\"id\":3}}}",
            "{\n\"e\": [\n{\"id\":1},\n{\"id\":2}]}\n{\n\"e\": [{\"id\":3}]}\n",
        ] {
            assert_eq!(Cut::new(file).runs(), [(None, vec![1, 2]), (None, vec![3])], "{file}");
        }
        let named =
            Cut::new("{\"e\":[{\"id\":1}],\"instance_id\":\"a\"}\n{\"run_id\":7,\"x\":{\"e\":[{\"id\":2}]}}");
        assert_eq!(named.runs(), [(Some("a"), vec![1]), (Some("7"), vec![2])]);
        // An array without records is not a run; one with a record is, whatever else is in it.
        assert_eq!(
            Cut::new("{\"tags\":[1,{\"x\":2}],\"e\":[{\"id\":1},{\"x\":2},3]}").drawn(),
            ["{\"id\":1}", "{\"x\":2}", "3"]
        );
    }

    #[test]
    fn an_array_that_breaks_keeps_what_came_before() {
        let cut = Cut::new("[\n{\"id\":1},\n{\"id\":2},\n{\"id\":");
        assert_eq!(cut.runs(), [(None, vec![1, 2])]);
        let last = cut.all.last().unwrap();
        assert_eq!((last.ordinal, last.line), (3, 4));
        assert!(cut.text(2).unwrap_err().starts_with("breaks off"));
        let cut = Cut::new(b"[{\"id\":1},{\"id\":\"\xff\"}]");
        assert!(cut.text(1).unwrap_err().contains("UTF-8"));
        let cut = Cut::new("[{\"id\":1}] x");
        assert!(cut.text(1).unwrap_err().contains("after the end"));
        let cut = Cut::new("[{\"id\":1},");
        assert!(cut.text(1).unwrap_err().starts_with("breaks off"), "{:?}", cut.drawn());
    }

    #[test]
    fn the_last_of_several_runs_may_break_and_they_stay_apart() {
        let cut = Cut::new("[{\"e\":[{\"id\":1}]},\n{\"e\":[{\"id\":2},{\"id\":3},{\"id\"");
        assert_eq!(cut.runs(), [(None, vec![1]), (None, vec![2, 3])]);
        assert_eq!(cut.all.len(), 4);
        let cut = Cut::new("{\"e\":[{\"id\":1},{\"id\":tru},{\"id\":2}],\"x\":1}\n{\"e\":[{\"id\":3}]}\n");
        assert_eq!(cut.runs(), [(None, vec![1, 2]), (None, vec![3])]);
        assert_eq!(cut.all.len(), 4);
    }

    #[test]
    fn whole_records_of_a_damaged_line_are_found() {
        for (line, want) in [
            ("{\"id\":1}{\"id\":2}", vec!["{\"id\":1}", "{\"id\":2}"]),
            ("{\"id\":1} {\"x\":2}", vec!["{\"id\":1}", "{\"x\":2}"]),
            (
                "{\"x\":\"a{\"id\":1,\"b\":\"c\"}",
                vec!["<is not JSON: expected `,` or `}` at byte 19 of the file>", "{\"id\":1,\"b\":\"c\"}"],
            ),
            ("\0\0\0{\"x\":1}", vec!["<is damaged: 3 NUL bytes>", "{\"x\":1}"]),
            ("\0\"x\":1}", vec!["<is not JSON: expected a value>"]),
            (
                "{\"x\":1\0\0{\"id\":1}",
                vec!["<is not JSON: expected `,` or `}` at byte 17 of the file>", "{\"id\":1}"],
            ),
            (
                "{\"id\":1}]} oops {\"id\":2}",
                vec!["{\"id\":1}", "<stands after the end of the record or array before it>", "{\"id\":2}"],
            ),
            ("data: {\"id\":1}", vec!["<is not JSON: expected a value>", "{\"id\":1}"]),
            ("{\"x\":", vec!["<breaks off at byte 16 of the file>"]),
            ("hello", vec!["<is not JSON: expected a value>"]),
        ] {
            let cut = Cut::new(format!("{{\"id\":0}}\n{line}\n{{\"id\":9}}\n"));
            let mut drawn = cut.drawn();
            assert_eq!(
                (drawn.remove(0), drawn.pop().unwrap()),
                ("{\"id\":0}".to_owned(), "{\"id\":9}".to_owned())
            );
            assert_eq!(drawn.len(), want.len(), "{line:?}: {drawn:?}");
            for (got, want) in drawn.iter().zip(&want) {
                let start = want.split(" at byte ").next().unwrap();
                assert!(
                    got == want || got.starts_with(start) && want.starts_with('<'),
                    "{line:?}: {got} is not {want}"
                );
            }
            assert!(cut.all.iter().all(|p| p.run == 0 && p.line <= 3), "{line:?}");
        }
        assert_eq!(Cut::new("{\"id\":1}{\"id\":2}{\"id\":3}").pieces.notes.len(), 1);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_broken_alone() {
        let cut = Cut::new(b"{\"id\":1}\n\xff\xfe\n{\"id\":2}\n{\"id\":\"\xff\"}");
        assert_eq!(cut.all.len(), 4);
        assert!(cut.text(1).is_err() && cut.text(3).unwrap_err().contains("UTF-8"));
        assert_eq!(cut.all[2].line, 3);
    }

    #[test]
    fn what_is_made_to_be_slow_is_given_up() {
        let part = "{\"a\":[\"{\",";
        for file in [part.repeat(40_000), "[{\"a\":\n".repeat(40_000), "{\"a\": {".repeat(60_000)] {
            let begun = std::time::Instant::now();
            let cut = Cut::new(&file);
            assert!(!cut.all.is_empty());
            // Without a limit it takes hours.
            assert!(begun.elapsed().as_secs() < 300, "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn a_record_between_runs_hides_none_of_theirs() {
        let cut = Cut::new("[{\"e\":[{\"id\":1},{\"id\":2}]},{\"id\":77},{\"e\":[{\"id\":3}]},{\"x\":4}]");
        assert_eq!(cut.runs(), [(None, vec![77]), (None, vec![1, 2]), (None, vec![3])]);
        assert_eq!(cut.drawn().last().unwrap(), "{\"x\":4}");
        // The objects inside a record belong to it, and an unknown object may hold a copy of a record.
        let file = "[{\"id\":1},{\"note\":\"x\",\"cause\":{\"id\":2}},{\"id\":3}]";
        assert_eq!(
            Cut::new(file).drawn(),
            ["{\"id\":1}", "{\"note\":\"x\",\"cause\":{\"id\":2}}", "{\"id\":3}"]
        );
        let whole = "{\"id\":1,\"e\":[{\"id\":2}]}";
        assert_eq!(Cut::new(format!("[{whole},{{\"id\":3}}]")).drawn(), [whole, "{\"id\":3}"]);
    }

    fn shapes() -> impl Strategy<Value = (String, Vec<u64>)> {
        let sizes = prop::collection::vec(1usize..5, 1..5);
        let space = prop::sample::select(vec!["", " ", "\n", "\r\n  "]);
        (sizes, space, 0u8..5).prop_map(|(sizes, space, shape)| {
            let mut id = 0;
            let mut runs = Vec::new();
            for n in sizes {
                let records: Vec<String> = (0..n)
                    .map(|_| {
                        id += 1;
                        format!("{{\"id\":{id},{space}\"t\":\"{{\\\"id\\\":0}}\"}}")
                    })
                    .collect();
                runs.push(records);
            }
            let one_line = |t: &String| t.replace(['\r', '\n'], "");
            let array = |r: &Vec<String>| format!("[{space}{}{space}]", r.join(&format!("{space},")));
            let file = match shape {
                0 => runs.iter().flatten().map(|r| one_line(r) + "\n").collect(),
                1 => runs.iter().map(|r| one_line(&array(r)) + "\n").collect(),
                2 => runs.iter().map(|r| format!("{{\"e\":{},\"x\":[1]}}\n", one_line(&array(r)))).collect(),
                3 => format!(
                    "[{}]",
                    runs.iter().map(|r| format!("{{\"e\":{}}}", array(r))).collect::<Vec<_>>().join(",")
                ),
                _ => array(&runs.concat()),
            };
            (file, (1..=id).collect())
        })
    }

    #[test]
    fn what_only_looks_like_a_stream_is_not_left_out() {
        for text in [":", "id: 7\n", "event: x\n: y\nhello"] {
            assert!(Cut::new(text).text(0).is_err(), "{text}");
        }
        assert_eq!(Cut::new(": x\n\nid: 7\ndata: {\"id\":7}\n").drawn(), ["{\"id\":7}"]);
    }

    #[test]
    fn a_comma_behind_an_empty_array_separates_nothing_and_is_no_record() {
        assert!(Cut::new(b"[],").all.is_empty());
        assert!(!Cut::new(b",[]").all.is_empty());
    }

    proptest! {
        #[test]
        fn every_record_of_every_shape_is_found_once((file, ids) in shapes()) {
            let cut = Cut::new(&file);
            let found: Vec<u64> = cut.runs().into_iter().flat_map(|(_, ids)| ids).collect();
            prop_assert_eq!(found, ids);
        }

        #[test]
        fn damage_costs_no_record_that_is_whole((file, ids) in shapes(), at: prop::sample::Index, what in 0u8..4, other in "\\PC{0,9}") {
            let mut damaged = file.clone().into_bytes();
            let at = at.index(file.len());
            match what {
                0 => damaged.splice(at..at, vec![0; 20]).count(),
                1 => damaged.splice(at..at, b"{\"id\":77}".to_vec()).count(),
                2 => damaged.splice(at..(at + 5).min(file.len()), other.into_bytes()).count(),
                _ => damaged.drain(at..).count(),
            };
            let cut = Cut::new(&damaged);
            let found: std::collections::BTreeSet<u64> = cut.runs().into_iter().flat_map(|(_, ids)| ids).collect();
            // An independent check: a record of the file that is still there byte for byte.
            for id in ids {
                let start = file.find(&format!("{{\"id\":{id},")).unwrap();
                let end = start + file[start..].find("}\"}").unwrap() + 3;
                let is_whole = end <= at || what == 3 && end <= damaged.len();
                if is_whole { prop_assert!(found.contains(&id), "{} is lost: {:?}", id, cut.drawn()); }
            }
        }

        #[test]
        fn pieces_lie_one_after_another_and_no_bytes_panic(bytes: Vec<u8>, text in "([ \r\n\t]|\\{\\}|x|\\[|\\]|,|\"|\\{\"id\":[0-9]\\}|\\{\"a\":){0,40}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let cut = Cut::new(bytes);
                let mut end = 0;
                for piece in &cut.all {
                    prop_assert!(end <= piece.range.start && piece.range.end <= bytes.len());
                    end = piece.range.end;
                }
                // What is in no piece separates records, or wraps some.
                if cut.all.is_empty() {
                    let is_empty = |bytes: &[u8]| bytes.iter().all(|b| b" \r\n\t[]\x1e\xef\xbb\xbf".contains(b));
                    // A comma separates only what stands behind a value.
                    let mut parts = bytes.split(|b| *b == b',');
                    let first = parts.next().unwrap_or_default();
                    prop_assert!(parts.all(is_empty) && is_empty(first), "{:?}", bytes);
                    prop_assert!(!bytes.contains(&b',') || first.contains(&b']'), "{:?}", bytes);
                }
            }
        }
    }
}
