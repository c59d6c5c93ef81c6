//! Programs that write as another one does, or nearly so. Their files are not taken for that program's, which would name the
//! wrong source for every event, unless somebody says so.

use crate::event::Invalid;

use super::fields::{self, Fields};
use super::format::Format;

/// Such a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lookalike {
    program: &'static str,
    /// The folders of a home where it keeps its sessions.
    folders: &'static [&'static str],
    /// The formats that its files are taken for.
    like: &'static [Format],
}

const TABNINE: Lookalike =
    Lookalike { program: "Tabnine", folders: &[".tabnine"], like: &[Format::GeminiCli] };
const OPENCLAW: Lookalike =
    Lookalike { program: "OpenClaw", folders: &[".openclaw", ".moltbot", ".clawdbot"], like: &[Format::Pi] };
/// Its first releases wrote chats as Gemini CLI does.
const QWEN: Lookalike =
    Lookalike { program: "Qwen Code", folders: &[".qwen"], like: &[Format::GeminiCli, Format::ClaudeCode] };
const ALL: [&Lookalike; 3] = [&TABNINE, &OPENCLAW, &QWEN];

/// Members that records of Qwen Code have and those of Claude Code have not.
const OF_QWEN: [&str; 3] = ["systemPayload", "toolCallResult", "usageMetadata"];

/// Whether a record is one of Qwen Code. It has the members of one of Claude Code, but messages of parts.
pub(crate) fn is_of_qwen(f: &Fields<'_>) -> bool {
    let is_in_a_tree = f.has("uuid") && f.has("sessionId") && f.raw("parentUuid").is_some();
    let is_result = || f.value("type").and_then(fields::string).is_some_and(|what| what == "tool_result");
    is_in_a_tree
        && (f.object("message").has("parts") || OF_QWEN.iter().any(|name| f.has(name)) || is_result())
}

/// Whether a file of this format, or of none, may be of a program that writes nearly so.
pub(crate) fn has_relatives(format: Option<Format>) -> bool {
    ALL.into_iter().any(|program| program.looks_like(format))
}

/// The program that only can have written such a record.
pub(crate) fn told_by(f: &Fields<'_>) -> Option<&'static Lookalike> {
    let is_own = |name: &str| f.word(name).is_some_and(|kind| kind.starts_with("openclaw"));
    match () {
        () if is_of_qwen(f) => Some(&QWEN),
        () if is_own("customType") && f.has("id") && f.raw("parentId").is_some() => Some(&OPENCLAW),
        () => None,
    }
}

/// The program that keeps its sessions in a folder that this file is in.
pub(crate) fn told_by_path(path: &str) -> Option<&'static Lookalike> {
    let mut folders = path.split(['/', '\\']);
    folders.find_map(|folder| ALL.into_iter().find(|program| program.folders.contains(&folder)))
}

impl Lookalike {
    /// Whether its files are taken for files of this format; or for none.
    pub(crate) fn looks_like(&self, format: Option<Format>) -> bool {
        format.is_none_or(|format| self.like.contains(&format))
    }

    /// Why a file of it is not taken for this format, and how it is read all the same.
    pub(crate) fn refusal(&self, file: &str, format: Option<Format>) -> Invalid {
        let (file, program) = (file.escape_debug(), self.program);
        // A part of one of its files may be told by the program, and by no format.
        let format = format.or(if *self == QWEN { None } else { self.like.first().copied() });
        let reason = match format {
            Some(format) => format!(
                "{file} is a session of {program}, which writes as {format} does; --from {format} reads it, and names \
                 {format} as the source"
            ),
            None => format!(
                "{file} is a session of {program}, which there is no reader for; its records are read with --from ndjson \
                 --map session=/sessionId,type=/type,time=/timestamp,id=/uuid,causation=/parentUuid; --from claude-code \
                 reads them too, with branches, but finds no text in them"
            ),
        };
        Invalid::new("file", reason)
    }
}
