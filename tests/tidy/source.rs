//! As much of Rust's grammar as the checks need: tokens with their lines, which of them are test code, and the
//! paths that a file names.

use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident,
    Text,
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Inside an item that only a test build has.
    pub(crate) test: bool,
}

/// A path as it was written, with `crate`, `self` and `super` resolved: its segments count from the crate root.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
}

/// A leaf of a `use` line.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    /// From the crate root where the line begins with `crate`, `self` or `super`; else as it was written.
    pub(crate) path: Path,
    pub(crate) rooted: bool,
    /// The name that it gets in the file: `*` for all of a module's.
    pub(crate) alias: Option<String>,
    /// `pub use`, however narrow: the name is handed on.
    pub(crate) handed_on: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
    /// Lines that belong to test items, as ranges of line numbers.
    pub(crate) test_lines: Vec<Range<usize>>,
    /// Paths into this crate.
    pub(crate) inner: Vec<Path>,
    /// The leaves of `use` lines that lead out of this crate, and every inline `a::b` path.
    pub(crate) outer: Vec<Path>,
    /// `mod name;` lines: the name, its line, and whether only a test build has it.
    pub(crate) mods: Vec<(String, usize, bool)>,
    /// The leaves of all `use` lines.
    pub(crate) imports: Vec<Import>,
    /// Inline `a::b` paths, and whether they are from the crate root; else as they were written.
    pub(crate) inline: Vec<(Path, bool)>,
    /// Names in code, paths and `use` lines apart, each with the first line that has it.
    pub(crate) names: BTreeMap<String, usize>,
}

impl Source {
    /// Reads a file. `module` is where it stands in the crate; `whole_file_is_test` comes from the `mod` line that
    /// names it.
    pub(crate) fn parse(text: &str, module: &[String], whole_file_is_test: bool) -> Self {
        let mut source = Self { tokens: tokens(text), ..Self::default() };
        source.mark_tests(whole_file_is_test, text.lines().count());
        source.find_paths(module);
        source
    }

    pub(crate) fn is(&self, i: usize, text: &str) -> bool {
        self.tokens.get(i).is_some_and(|t| t.kind != Kind::Text && t.text == text)
    }

    pub(crate) fn ident(&self, i: usize) -> Option<&Token> {
        self.tokens.get(i).filter(|t| t.kind == Kind::Ident)
    }

    /// The index after the bracket that closes the one at `open`.
    pub(crate) fn after_group(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for i in open..self.tokens.len() {
            if ["(", "[", "{"].iter().any(|b| self.is(i, b)) {
                depth += 1;
            } else if [")", "]", "}"].iter().any(|b| self.is(i, b)) {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
        }
        self.tokens.len()
    }

    fn mark_tests(&mut self, whole: bool, lines: usize) {
        let inner_attribute = |s: &Self, i| s.is(i, "#") && s.is(i + 1, "!") && s.is(i + 2, "[");
        let mut i = 0;
        let mut ranges = Vec::new();
        let mut all = whole;
        while i < self.tokens.len() {
            if inner_attribute(self, i) {
                let end = self.after_group(i + 2);
                all |= self.is_test_attribute(i + 3..end);
                i = end;
            } else if self.is(i, "#") && self.is(i + 1, "[") {
                let end = self.after_group(i + 1);
                if self.is_test_attribute(i + 2..end) {
                    let item = i..self.after_item(end);
                    i = item.end;
                    ranges.push(item);
                } else {
                    i = end;
                }
            } else {
                i += 1;
            }
        }
        if all {
            self.tokens.iter_mut().for_each(|t| t.test = true);
            self.test_lines.push(1..lines + 1);
            return;
        }
        for range in ranges {
            let Some(part) = self.tokens.get_mut(range) else { continue };
            if let [first, .., last] = part {
                self.test_lines.push(first.line..last.line + 1);
            }
            part.iter_mut().for_each(|t| t.test = true);
        }
    }

    /// `#[test]`, `#[x::test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`: what only a test build has. `any(test, …)`
    /// and `not(test)` are not.
    fn is_test_attribute(&self, range: Range<usize>) -> bool {
        let words: Vec<&str> = range.filter_map(|i| self.ident(i)).map(|t| t.text.as_str()).collect();
        match words.as_slice() {
            ["test"] | [_, "test"] => true,
            ["cfg", rest @ ..] => rest.contains(&"test") && !rest.contains(&"any") && !rest.contains(&"not"),
            _ => false,
        }
    }

    /// The index after the item (or field, or statement) that starts at `i`, its further attributes included.
    fn after_item(&self, mut i: usize) -> usize {
        while self.is(i, "#") && self.is(i + 1, "[") {
            i = self.after_group(i + 1);
        }
        let mut word = i;
        if self.is(word, "pub") {
            word += 1;
            if self.is(word, "(") {
                word = self.after_group(word);
            }
        }
        const ITEMS: [&str; 15] = [
            "use",
            "mod",
            "fn",
            "struct",
            "enum",
            "impl",
            "const",
            "static",
            "trait",
            "type",
            "unsafe",
            "async",
            "extern",
            "macro_rules",
            "let",
        ];
        let is_item = ITEMS.iter().any(|k| self.is(word, k));
        let ends_with_semicolon = ["use", "let"].iter().any(|k| self.is(word, k));
        while i < self.tokens.len() {
            if self.is(i, ";") || (self.is(i, ",") && !is_item) {
                return i + 1;
            }
            if ["}", ")", "]"].iter().any(|b| self.is(i, b)) {
                return i;
            }
            if self.is(i, "{") {
                i = self.after_group(i);
                if !ends_with_semicolon {
                    return i;
                }
            } else if self.is(i, "(") || self.is(i, "[") {
                i = self.after_group(i);
            } else {
                i += 1;
            }
        }
        i
    }

    fn find_paths(&mut self, file: &[String]) {
        // Inline modules around the current token, each with the depth of braces outside it.
        let mut around: Vec<(String, usize)> = Vec::new();
        let mut depth = 0_usize;
        let mut inline = Vec::new();
        let mut imports = Vec::new();
        let mut mentioned = BTreeMap::new();
        let mut i = 0;
        while let Some(token) = self.tokens.get(i) {
            let (line, test) = (token.line, token.test);
            if self.is(i, "{") {
                depth += 1;
            } else if self.is(i, "}") {
                depth = depth.saturating_sub(1);
                around.pop_if(|(_, outside)| *outside == depth);
            }
            let module =
                || file.iter().chain(around.iter().map(|(name, _)| name)).cloned().collect::<Vec<_>>();
            if self.is(i, "mod") {
                if let Some(name) = self.ident(i + 1).map(|t| t.text.clone()) {
                    if self.is(i + 2, "{") {
                        around.push((name, depth));
                    } else {
                        self.mods.push((name, line, test));
                    }
                    i += 2;
                    continue;
                }
            } else if self.is(i, "use") && !self.is(i + 1, "<") {
                let handed_on = i > 0 && (self.is(i - 1, "pub") || self.is(i - 1, ")"));
                i = self.use_tree(i + 1, &[], &mut |names, alias, line| {
                    imports.push((module(), names, alias, line, test, handed_on));
                });
                continue;
            } else if token.kind == Kind::Ident && self.is(i + 1, "::") {
                let mut names = vec![token.text.clone()];
                while let (true, Some(next)) = (self.is(i + 1, "::"), self.ident(i + 2)) {
                    names.push(next.text.clone());
                    i += 2;
                }
                inline.push((module(), names, line, test));
            } else if token.kind == Kind::Ident && !test {
                mentioned.entry(token.text.clone()).or_insert(line);
            }
            i += 1;
        }
        // A module taken whole by `use crate::top_module` may be gone on from: `top_module::inner::Name`.
        let mut layers = BTreeMap::new();
        self.names = mentioned;
        for (module, names, alias, line, test, handed_on) in imports {
            let resolved = resolve(&module, &names);
            let rooted = resolved.is_some();
            let path = Path { segments: resolved.clone().unwrap_or_else(|| names.clone()), line, test };
            self.imports.push(Import { path, rooted, alias: alias.clone(), handed_on });
            match resolved {
                Some(segments) => {
                    if let ([_], Some(alias)) = (segments.as_slice(), alias) {
                        layers.insert(alias, segments.clone());
                    }
                    self.inner.push(Path { segments, line, test });
                }
                None => self.outer.push(Path { segments: names, line, test }),
            }
        }
        for (module, names, line, test) in inline {
            let resolved = resolve(&module, &names);
            let segments = resolved.clone().unwrap_or_else(|| names.clone());
            self.inline.push((Path { segments, line, test }, resolved.is_some()));
            let from_module = names.split_first().and_then(|(first, rest)| {
                Some(layers.get(first)?.iter().chain(rest).cloned().collect::<Vec<_>>())
            });
            match resolved.or(from_module) {
                Some(segments) => self.inner.push(Path { segments, line, test }),
                None => self.outer.push(Path { segments: names, line, test }),
            }
        }
    }

    /// Hands every leaf of a use tree to `leaf`, with the name that it gets; answers the index after the tree.
    fn use_tree(
        &self,
        mut i: usize,
        prefix: &[String],
        leaf: &mut dyn FnMut(Vec<String>, Option<String>, usize),
    ) -> usize {
        let mut names = prefix.to_vec();
        let line = self.tokens.get(i).map_or(0, |t| t.line);
        if self.is(i, "::") {
            i += 1;
        }
        loop {
            if self.is(i, "{") {
                i += 1;
                while i < self.tokens.len() && !self.is(i, "}") {
                    i = self.use_tree(i, &names, leaf);
                    if self.is(i, ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            let Some(token) = self.tokens.get(i) else { return i };
            i += 1;
            // `a::{self}` is `a`.
            if token.text != "self" || names.is_empty() {
                names.push(token.text.clone());
            }
            if self.is(i, "::") {
                i += 1;
                continue;
            }
            let mut alias = names.last().cloned();
            if self.is(i, "as") {
                alias = self.ident(i + 1).map(|t| t.text.clone());
                i += 2;
            }
            leaf(names, alias, line);
            return i;
        }
    }
}

/// The path from the crate root, for a path that starts with `crate`, `self` or `super`.
fn resolve(module: &[String], names: &[String]) -> Option<Vec<String>> {
    let mut at = match names.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    let mut rest = names.iter().peekable();
    while let Some(word) = rest.next_if(|w| ["crate", "self", "super"].contains(&w.as_str())) {
        if word == "super" {
            at.pop();
        }
    }
    at.extend(rest.cloned());
    Some(at)
}

/// Tokens without comments. Strings are kept whole, `::` is one token, a lifetime is no character.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (kind, len) = next(rest, first);
        let (head, tail) = rest.split_at(len.clamp(1, rest.len()));
        if let Some(kind) = kind {
            let text = if kind == Kind::Ident { head.trim_start_matches("r#") } else { head };
            found.push(Token { kind, text: text.to_owned(), line, test: false });
        }
        line += head.matches('\n').count();
        rest = tail;
    }
    found
}

/// The sort and the length in bytes of what `rest` starts with; no sort for blanks and comments.
fn next(rest: &str, first: char) -> (Option<Kind>, usize) {
    let word = |s: &str| s.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(s.len());
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    for prefix in ["", "b", "c", "r", "br", "cr"] {
        let Some(after) = rest.strip_prefix(prefix) else { continue };
        if prefix.ends_with('r') {
            let hashes = after.len() - after.trim_start_matches('#').len();
            if let Some(body) = after.trim_start_matches('#').strip_prefix('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let end = body.find(&close).map_or(body.len(), |n| n + close.len());
                return (Some(Kind::Text), rest.len() - body.len() + end);
            }
        } else if let Some(body) = after.strip_prefix('"') {
            return (Some(Kind::Text), rest.len() - body.len() + quoted(body, '"'));
        } else if let Some(body) = after.strip_prefix('\'').filter(|b| prefix == "b" || is_char(b)) {
            return (Some(Kind::Text), rest.len() - body.len() + quoted(body, '\''));
        }
    }
    if let Some(raw) = rest.strip_prefix("r#").filter(|r| word(r) > 0) {
        return (Some(Kind::Ident), 2 + word(raw));
    }
    if first.is_alphabetic() || first == '_' {
        return (Some(Kind::Ident), word(rest));
    }
    if first.is_ascii_digit() {
        return (Some(Kind::Other), word(rest));
    }
    if let Some(lifetime) = rest.strip_prefix('\'') {
        return (Some(Kind::Other), 1 + word(lifetime));
    }
    (Some(Kind::Other), if rest.starts_with("::") { 2 } else { first.len_utf8() })
}

/// Whether what follows a quote is a character rather than a lifetime.
fn is_char(body: &str) -> bool {
    let mut chars = body.chars();
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|r| !r.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Source {
        Source::parse(text, &["store".into(), "append".into()], false)
    }

    fn inner(text: &str) -> Vec<String> {
        read(text).inner.iter().map(|p| p.segments.join("::")).collect()
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        let s = read(
            "/* a /* b */ c */ let x = \"use crate::a\"; // use crate::b\nlet y = r#\"crate::c \" \"#; let z = '\"'; fn f<'a>(q: &'a str) {} b'\\''",
        );
        let idents: Vec<&str> =
            s.tokens.iter().filter(|t| t.kind == Kind::Ident).map(|t| t.text.as_str()).collect();
        assert_eq!(idents, ["let", "x", "let", "y", "let", "z", "fn", "f", "q", "str"]);
        assert!(s.inner.is_empty());
    }

    #[test]
    fn grouped_imports_over_several_lines_are_taken_apart() {
        let s = read(
            "pub(crate) use crate::{\n    event::{Event, name::{self, Place as P}},\n    limits::*,\n};",
        );
        let found: Vec<_> = s.inner.iter().map(|p| (p.segments.join("::"), p.line)).collect();
        let expected = [("event::Event", 2), ("event::name", 2), ("event::name::Place", 2), ("limits::*", 3)];
        assert_eq!(found, expected.map(|(p, n)| (p.to_owned(), n)));
    }

    #[test]
    fn self_and_super_are_resolved_through_inline_modules() {
        assert_eq!(inner("use super::Tail;"), ["store::Tail"]);
        assert_eq!(inner("use super::super::follow::Stream;"), ["follow::Stream"]);
        assert_eq!(
            inner("mod a { mod b { fn f() { super::x(); } } use super::y; } use self::z;"),
            ["store::append::y", "store::append::z", "store::append::a::x"]
        );
        assert_eq!(inner("macro_rules! m { () => { $crate::event::Event } }"), ["event::Event"]);
    }

    #[test]
    fn paths_through_an_imported_module_are_resolved() {
        assert_eq!(
            inner("use crate::codec as c;\nfn f() { c::chunk::read() }"),
            ["codec", "codec::chunk::read"]
        );
    }

    #[test]
    fn only_what_a_test_build_alone_has_is_test_code() {
        let test = |text: &str| read(text).tokens.iter().any(|t| t.test && t.text == "x");
        assert!(test("#[cfg(test)] mod tests { fn x() {} }"));
        assert!(test("#[cfg(all(test, unix))] use a::{x};"));
        assert!(test("#[tokio::test] async fn x() {}"));
        assert!(test("#![cfg(test)]\nfn x() {}"));
        assert!(test("struct S { #[cfg(test)] x: u8, y: u8 }"));
        assert!(!test("struct S { #[cfg(test)] y: u8, x: u8 }"));
        assert!(!test("#[cfg(any(test, feature = \"testkit\"))] fn x() {}"));
        assert!(!test("#[cfg(not(test))] fn x() {}"));
        assert!(!test("#[cfg(test)] mod tests { fn y(a: [u8; 2]) {} } fn x() {}"));
        assert!(!test("#[cfg(test)] const A: [u8; 2] = [1, 2]; fn x() {}"));
        assert!(!test("#[cfg(test)] mod tests; fn x() {}"));
    }
}
