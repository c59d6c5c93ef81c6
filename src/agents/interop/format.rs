use std::fmt;
use std::str::FromStr;

use crate::event::Invalid;

/// A format in which sessions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Our own: recorded events as JSON, one per line.
    Retold,
    /// CloudEvents 1.0 in JSON: one, a batch, or one per line.
    CloudEvents,
    /// `EventRecord` of the crate `aios-events` 0.3, one per line.
    Aios,
    /// Transcripts of Claude Code, one record per line.
    ClaudeCode,
    /// OpenHands: the older arrays of events, and the newer events, one per line.
    OpenHands,
    /// Histories of Temporal workflows.
    Temporal,
    /// Rollouts of Codex, one record per line.
    Codex,
    /// Chats of Gemini CLI.
    GeminiCli,
    /// What `claude -p --output-format stream-json` prints.
    ClaudeStream,
    /// Sessions of pi, one entry per line.
    Pi,
    /// Events of Copilot CLI, one per line.
    CopilotCli,
    /// Event streams of AG-UI.
    AgUi,
    /// Records of no known format, with a [`Mapping`](super::Mapping). Never detected.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 13] = [
        Self::Retold,
        Self::CloudEvents,
        Self::Aios,
        Self::ClaudeCode,
        Self::OpenHands,
        Self::Temporal,
        Self::Codex,
        Self::GeminiCli,
        Self::ClaudeStream,
        Self::Pi,
        Self::CopilotCli,
        Self::AgUi,
        Self::Ndjson,
    ];

    /// The name that is used on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retold => "retold",
            Self::CloudEvents => "cloudevents",
            Self::Aios => "aios",
            Self::ClaudeCode => "claude-code",
            Self::OpenHands => "openhands",
            Self::Temporal => "temporal",
            Self::Codex => "codex",
            Self::GeminiCli => "gemini-cli",
            Self::ClaudeStream => "claude-stream",
            Self::Pi => "pi",
            Self::CopilotCli => "copilot-cli",
            Self::AgUi => "ag-ui",
            Self::Ndjson => "ndjson",
        }
    }

    /// Whether events can also be written in it.
    #[must_use]
    pub const fn is_printable(self) -> bool {
        matches!(self, Self::Retold | Self::CloudEvents | Self::Aios)
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
