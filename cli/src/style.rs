//! Colors, each with one meaning.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use anstyle::{Ansi256Color, Style};

use super::escape::visible_lines;

pub(super) const HEADER: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const NAME: Style = color(31);
pub(super) const GOOD: Style = color(28);
pub(super) const BAD: Style = color(196);
pub(super) const ERROR: Style = color(196).bold();
pub(super) const HINT: Style = color(31).bold();
pub(super) const NOTICE: Style = color(166);
pub(super) const PLAIN: Style = Style::new();
/// Those of branches in a graph, neighbours well apart.
const BRANCHES: [u8; 6] = [31, 166, 133, 64, 33, 167];

/// One of the 256 colors of xterm, which look the same on every terminal: the first 16 are what a theme makes of them, and yellow on
/// white or blue on black cannot be read on most. All that are used here can be read on both.
const fn color(number: u8) -> Style {
    Ansi256Color(number).on_default()
}

/// The color of the nth branch of a graph.
pub(super) fn of_branch(n: usize) -> Style {
    BRANCHES.get(n % BRANCHES.len()).map_or(NAME, |number| color(*number))
}

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

    /// How much of the light of a white surface a color gives back: relative luminance, as WCAG 2 defines it.
    fn luminance(style: Style) -> f64 {
        let Some(anstyle::Color::Ansi256(Ansi256Color(number))) = style.get_fg_color() else {
            panic!("a theme decides what that is: {style:?}");
        };
        // Behind the first 16 comes a cube of 6 by 6 by 6.
        let n = usize::from(number) - 16;
        let level = |n: usize| [0.0, 95.0, 135.0, 175.0, 215.0, 255.0][n % 6] / 255.0;
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(level(n / 36)) + 0.7152 * linear(level(n / 6)) + 0.0722 * linear(level(n))
    }

    #[test]
    fn every_color_can_be_read_on_black_and_on_white() {
        for style in [NAME, GOOD, BAD, ERROR, HINT, NOTICE].into_iter().chain((0..6).map(of_branch)) {
            let light = luminance(style);
            let (on_white, on_black) = (1.05 / (light + 0.05), (light + 0.05) / 0.05);
            assert!(on_white >= 3.5 && on_black >= 3.5, "{style:?}: {on_white:.2}, {on_black:.2}");
        }
    }

    proptest! {
        /// Whatever the texts are, a terminal is told the two colours and nothing else.
        #[test]
        fn only_what_was_painted_is_coloured(before in "\\PC{0,9}|\u{1b}\\[31m|[\u{80}-\u{9f}\u{200b}-\u{200f}\0-\u{1f}]{0,9}", text: String) {
            let line = shown(&format!("{before}{}{text}", paint(BAD, &text)));
            let hidden = line.chars().filter(|c| super::super::escape::is_hidden(*c) && *c != '\n');
            prop_assert_eq!(hidden.collect::<String>(), "\u{1b}\u{1b}");
            let has_both = line.contains("\u{1b}[38;5;196m") && line.contains("\u{1b}[0m");
            prop_assert!(has_both, "{}", line);
        }
    }
}
