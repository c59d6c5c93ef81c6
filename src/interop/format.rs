use std::fmt;
use std::str::FromStr;

use crate::event::Invalid;

use super::content::Content;
use super::fields::Fields;
use super::{aios, claude_code, cloudevents, openhands, own, pieces, temporal};

/// A way in which sessions are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Our own: recorded events as JSON, one a line.
    Retold,
    /// CloudEvents 1.0 in JSON: one, a batch, or one a line.
    CloudEvents,
    /// `EventRecord` of the crate `aios-events` 0.3, one a line.
    Aios,
    /// Transcripts of Claude Code, one record a line.
    ClaudeCode,
    /// OpenHands: the older arrays of events, and the newer ones, one a line.
    OpenHands,
    /// Histories of Temporal workflows.
    Temporal,
}

/// Records that are looked at to tell a format: an unknown first line must not hide the rest.
const LOOK_AT: usize = 20;

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Retold, Self::CloudEvents, Self::Aios, Self::ClaudeCode, Self::OpenHands, Self::Temporal];

    /// The name as it is written on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retold => "retold",
            Self::CloudEvents => "cloudevents",
            Self::Aios => "aios",
            Self::ClaudeCode => "claude-code",
            Self::OpenHands => "openhands",
            Self::Temporal => "temporal",
        }
    }

    /// Whether events can be written in it, too.
    #[must_use]
    pub const fn is_printable(self) -> bool {
        matches!(self, Self::Retold | Self::CloudEvents | Self::Aios)
    }

    /// The format that a file's first records have. The name decides nothing: it is kept for formats that only
    /// differ there.
    #[must_use]
    pub fn detect(_name: &str, bytes: &[u8]) -> Option<Self> {
        Self::detect_in(&Content::memory(bytes::Bytes::copy_from_slice(bytes)))
    }

    pub(crate) fn detect_in(content: &Content) -> Option<Self> {
        let first = pieces::cut_first(content, |f| Self::of_record(f).is_some(), LOOK_AT);
        let records = first.iter().flatten().filter_map(|p| first.text(&p, content).ok());
        records.filter_map(|text| Self::of_record(&Fields::parse(&text).ok()?)).next()
    }

    pub(super) fn of_record(f: &Fields<'_>) -> Option<Self> {
        type Test = fn(&Fields<'_>) -> bool;
        let tests: [(Self, Test); 6] = [
            (Self::CloudEvents, cloudevents::is_record),
            (Self::Aios, aios::is_record),
            (Self::Temporal, temporal::is_record),
            (Self::Retold, own::is_record),
            (Self::OpenHands, openhands::is_record),
            (Self::ClaudeCode, claude_code::is_record),
        ];
        tests.iter().find(|(_, test)| test(f)).map(|(format, _)| *format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|f| f.name() == s).ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            Invalid::new("format", format!("`{}` is not known; there are {all}", s.escape_debug()))
        })
    }
}
