use serde_json::Value;

use crate::agents::telling;
use crate::event::Speaker;

/// What programs write in the user's name begins so.
const INJECTED: [&str; 12] = [
    "<local-command",
    "<command-name>",
    "<command-message>",
    "<bash-",
    "<system-reminder>",
    "<environment_context>",
    "<user_instructions>",
    "<permissions",
    "<turn_aborted>",
    "# AGENTS.md instructions",
    "Caveat:",
    "[Request interrupted",
];

/// Something that one speaker says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// Who says it.
    pub speaker: Speaker,
    /// The text: mostly Markdown, and for a tool call its arguments as JSON.
    pub text: String,
    /// The tool that is called or that answers, if it is named.
    pub tool: Option<String>,
    /// What tells a call from others of the same tool, on one line: its command, its path, what it searches.
    pub subject: Option<String>,
    /// The id of the call, which its result has too.
    pub call: Option<String>,
    /// The tool failed.
    pub is_error: bool,
}

impl Part {
    /// Whether a program has written this in the user's name: context, the output of a local command.
    #[must_use]
    pub fn is_injected(&self) -> bool {
        self.speaker == Speaker::User
            && INJECTED.iter().any(|begin| self.text.trim_start().starts_with(begin))
    }

    pub(super) fn said(speaker: Speaker, text: String) -> Self {
        Self { speaker, text, tool: None, subject: None, call: None, is_error: false }
    }

    /// A call of a tool. Arguments can be JSON within a text.
    pub(super) fn call(tool: Option<String>, arguments: Option<&Value>, id: Option<String>) -> Self {
        let inner = arguments.and_then(Value::as_str).and_then(within);
        let arguments = inner.as_ref().or(arguments).filter(|arguments| !arguments.is_null());
        let text = match arguments {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(arguments) => serde_json::to_string_pretty(arguments).unwrap_or_default(),
        };
        let subject = arguments.and_then(telling);
        Self { tool, subject, call: id, ..Self::said(Speaker::ToolCall, text) }
    }
}

/// The object or list that a text is.
pub(super) fn within(text: &str) -> Option<Value> {
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok()).flatten()
}
