//! Who says something, as it is written on the command line.

use retold::event::roles::Speaker;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Who {
    User,
    Assistant,
    Thinking,
    Tool,
    System,
}

impl Who {
    pub(super) fn speakers(self) -> &'static [Speaker] {
        match self {
            Self::User => &[Speaker::User],
            Self::Assistant => &[Speaker::Assistant],
            Self::Thinking => &[Speaker::Thinking],
            Self::Tool => &[Speaker::ToolCall, Speaker::ToolResult],
            Self::System => &[Speaker::System],
        }
    }

    pub(super) fn is(self, speaker: Speaker) -> bool {
        self.speakers().contains(&speaker)
    }
}
