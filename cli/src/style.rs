//! Colors, each with one meaning.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use anstyle::{AnsiColor, Style};

use super::escape::visible_lines;

pub(super) const HEADER: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const HINT: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const NOTICE: Style = AnsiColor::Yellow.on_default();
pub(super) const PLAIN: Style = Style::new();

/// The text with its color; colors are removed again where they are off.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    let (begin, end) = (own(style.render().to_string()), own(style.render_reset().to_string()));
    format!("{begin}{text}{end}")
}

/// Marks the escapes that `paint` has added, so that nothing else can add any: known only to this process.
fn mark() -> &'static str {
    static MARK: LazyLock<String> = LazyLock::new(|| {
        let secret = RandomState::new().build_hasher().finish();
        format!("\u{1b}[{secret};")
    });
    &MARK
}

fn own(code: String) -> String {
    if code.is_empty() { code } else { code.replace("\u{1b}[", mark()) }
}

/// A painted text as printed: hidden characters are escaped, and the marks of `paint` become colors.
pub(super) fn shown(text: &str) -> String {
    let mut parts = text.split(mark());
    let mut out = visible_lines(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let (code, rest) = part.split_once('m').unwrap_or((part, ""));
        out.push_str("\u{1b}[");
        out.push_str(code);
        out.push('m');
        out.push_str(&visible_lines(rest));
    }
    out
}

/// The color of an event's type, by the outcome that its last part names.
pub(super) fn of_kind(kind: &str) -> Style {
    match kind.rsplit('.').next() {
        Some("errored" | "failed" | "denied" | "crashed" | "rejected" | "cancelled" | "timed_out") => BAD,
        Some("completed" | "passed" | "succeeded" | "approved") => GOOD,
        _ => NAME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the texts are, a terminal is told the two colours and nothing else.
        #[test]
        fn only_what_was_painted_is_coloured(before in "\\PC{0,9}|\u{1b}\\[31m|[\u{80}-\u{9f}\u{200b}-\u{200f}\0-\u{1f}]{0,9}", text: String) {
            let line = shown(&format!("{before}{}{text}", paint(BAD, &text)));
            let hidden = line.chars().filter(|c| super::super::escape::is_hidden(*c) && *c != '\n');
            prop_assert_eq!(hidden.collect::<String>(), "\u{1b}\u{1b}");
            let has_both = line.contains("\u{1b}[31m") && line.contains("\u{1b}[0m");
            prop_assert!(has_both, "{}", line);
        }
    }
}
