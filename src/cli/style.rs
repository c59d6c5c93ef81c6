//! Colours, each with one meaning.

use anstyle::{AnsiColor, Style};

pub(super) const HEADER: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const HINT: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const NOTICE: Style = AnsiColor::Yellow.on_default();
pub(super) const PLAIN: Style = Style::new();

/// The text with its colour; where there are no colours they are taken out again.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The colour of an event's type: by how the last part says that it went.
pub(super) fn of_kind(kind: &str) -> Style {
    match kind.rsplit('.').next() {
        Some("errored" | "failed" | "denied" | "crashed" | "rejected" | "cancelled" | "timed_out") => BAD,
        Some("completed" | "passed" | "succeeded" | "approved") => GOOD,
        _ => NAME,
    }
}
