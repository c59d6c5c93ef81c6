use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Pointers;

/// What people read of the events of a type: who says something, and where it stands.
///
/// What the pointers lead to may be a text, or content as the programs of others write it: a list of blocks, each a text, a
/// thought, a call of a tool, or its result.
///
/// ```
/// use retold::event::roles::{MessageRole, Speaker};
/// let role: MessageRole = serde_json::from_str(r#"{"speaker": "tool_call", "arguments": ["/args", "/input"]}"#)?;
/// assert_eq!(role.speaker, Speaker::ToolCall);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MessageRole {
    /// Who says it.
    pub speaker: Speaker,
    /// Where the payload itself names the speaker; a known word found there takes precedence over `speaker`.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub who: Pointers,
    /// Where the text is. For a tool call this is what the model says beside it.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub text: Pointers,
    /// Where the thoughts are that came before.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub thought: Pointers,
    /// Where the calls of tools are that the same event makes.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub calls: Pointers,
    /// For a tool call: where that is what the tool was given.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub arguments: Pointers,
}

impl MessageRole {
    /// Who says it in this payload.
    #[must_use]
    pub fn speaker(&self, payload: &Value) -> Speaker {
        let named = self.who.iter().filter_map(|at| at.find(payload)?.as_str()).find_map(Speaker::of_word);
        named.unwrap_or(self.speaker)
    }

    /// Somebody who says something, and nothing else.
    #[must_use]
    pub fn of(speaker: Speaker) -> Self {
        let none = Pointers::default;
        Self { speaker, who: none(), text: none(), thought: none(), calls: none(), arguments: none() }
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Speaker {
    /// The person, or program, that the agent works for.
    User,
    /// The model.
    Assistant,
    /// The model, to itself.
    Thinking,
    /// The model, to a tool.
    ToolCall,
    /// A tool.
    ToolResult,
    /// The program around the model.
    System,
}

impl Speaker {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::User, Self::Assistant, Self::Thinking, Self::ToolCall, Self::ToolResult, Self::System];

    /// The speaker that programs call by this word, in any case.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "user" | "human" => Self::User,
            "assistant" | "agent" | "model" | "ai" => Self::Assistant,
            "thinking" | "reasoning" | "thought" => Self::Thinking,
            "tool_call" => Self::ToolCall,
            "tool" | "function" | "tool_result" => Self::ToolResult,
            "system" | "developer" => Self::System,
            _ => return None,
        })
    }

    /// As it is written in TOML and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Thinking => "thinking",
            Self::ToolCall => "tool_call",
            Self::ToolResult => "tool_result",
            Self::System => "system",
        }
    }
}

impl std::fmt::Display for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speaker_is_written_as_it_is_called() {
        for speaker in Speaker::ALL {
            assert_eq!(serde_json::to_value(speaker).unwrap(), speaker.as_str());
            assert_eq!(Speaker::of_word(speaker.as_str()), Some(speaker));
        }
    }

    #[test]
    fn a_payload_can_name_its_speaker() {
        let role = MessageRole {
            who: Pointers::new(&["/role", "/from"]).unwrap(),
            ..MessageRole::of(Speaker::User)
        };
        for (payload, speaker) in [
            (serde_json::json!({"role": "Assistant"}), Speaker::Assistant),
            (serde_json::json!({"role": "nobody", "from": "system"}), Speaker::System),
            (serde_json::json!({"role": 3}), Speaker::User),
            (serde_json::json!(null), Speaker::User),
        ] {
            assert_eq!(role.speaker(&payload), speaker, "{payload}");
        }
    }
}
