//! Chats of Gemini CLI: `session-*.jsonl`, whose lines are the session, its messages, and changes of them; and the older
//! `session-*.json`, one document with all messages.
//!
//! - The session is the `sessionId` of the file.
//! - A message that has grown is written again as a whole, under its own id. An event is made of each version: new
//!   calls of tools make it a call, and everything else an update, so that no text counts as said twice.
//! - `$rewindTo` takes back a message and everything after it: what follows begins a branch before that message. If the
//!   message is unknown, everything was taken back.
//! - A message contains the calls of its tools with their results, and is one event all the same.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::event::{EventId, Invalid, NewEvent, SessionId};

use super::builder::{Added, Builder, Draft};
use super::fields::Fields;
use super::history::History;
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source, times};

/// Their records that mean the same as one of our types.
pub(super) const KINDS: [(&str, &str); 10] = [
    ("session", "session.created"),
    ("user", "message.user"),
    ("gemini", "message.assistant"),
    ("thoughts", "message.thinking"),
    ("call", "tool.invoked"),
    ("result", "tool.completed"),
    ("result_error", "tool.errored"),
    ("again", "message.updated"),
    ("error", "error.raised"),
    ("checkpoint", "context.compacted"),
];

/// The kinds of messages; `model` is an older name.
const MESSAGES: [&str; 6] = ["user", "gemini", "model", "info", "error", "warning"];
/// The states of a call that has ended.
const ENDED: [&str; 3] = ["success", "error", "cancelled"];

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    is_message(f) || is_session(f) || is_object(f, "$set") || f.word("$rewindTo").is_some()
}

/// Other programs have messages of users, errors and `$set` too: only a chat has the first line of one, answers of
/// this model, and rewinds.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let is_rewind = f.word("$rewindTo").is_some() && f.iter().count() == 1;
    let is_answer = is_message(f) && f.text("type").is_some_and(|what| what == "gemini");
    is_rewind
        || is_answer
        || is_session(f) && (f.has("projectHash") || f.has("directories"))
        || is_document(f)
}

/// One of the older documents.
fn is_document(f: &Fields<'_>) -> bool {
    let is_message =
        |message: &serde_json::value::RawValue| Fields::parse(message.get()).is_ok_and(|f| is_message(&f));
    f.has("sessionId") && f.has("startTime") && f.list("messages").into_iter().any(is_message)
}

fn is_message(f: &Fields<'_>) -> bool {
    let is_known = f.text("type").is_some_and(|what| MESSAGES.contains(&&*what));
    is_known && f.has("timestamp") && (f.has("content") || f.has("toolCalls")) && !f.has("sessionId")
}

/// The first line of a chat, which in the older documents is around the messages.
fn is_session(f: &Fields<'_>) -> bool {
    f.has("sessionId") && f.has("startTime") && !f.has("messages") && !f.has("type")
}

fn is_object(f: &Fields<'_>, name: &str) -> bool {
    f.value(name).is_some_and(|v| v.starts_with('{'))
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut chats: Vec<Chat> = sessions(input)?.into_iter().map(Chat::new).collect();
    let mut plan = input.builder();
    for ref piece in input.pieces() {
        let Some(chat) = chats.get_mut(piece.run) else { continue };
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => chat.record(&mut plan, piece, text, &f),
            Err(reason) => plan.skip(piece, reason),
        }
    }
    for chat in &chats {
        chat.history.finish(&mut plan);
    }
    Ok(plan.finish())
}

/// The session of each run: the one that was asked for, else that of the document around it or of its first line.
fn sessions(input: &Input<'_>) -> Result<Vec<SessionId>, Invalid> {
    let fallbacks = input.sessions()?;
    if input.options.session.is_some() {
        return Ok(fallbacks);
    }
    let mut names: Vec<Option<String>> = input.pieces.runs.iter().map(|run| run.label.clone()).collect();
    for piece in input.pieces() {
        if let Some(name @ None) = names.get_mut(piece.run)
            && let Ok(text) = input.text(&piece)
            && let Ok(f) = Fields::parse(&text)
        {
            *name = f.word("sessionId").map(Cow::into_owned);
        }
    }
    let name = |(name, fallback): (Option<String>, SessionId)| match name {
        Some(name) => names::session(&name),
        None => Ok(fallback),
    };
    names.into_iter().zip(fallbacks).map(name).collect()
}

struct Chat {
    history: History,
    /// Whether the session's own record was read.
    is_named: bool,
    messages: HashMap<String, Message>,
    /// The event before each message, for rewinding.
    prompt: Option<EventId>,
    unnamed: ids::Occurrences,
}

/// A message as it was written last.
struct Message {
    /// The event before its first version.
    before: Option<EventId>,
    content: EventId,
    calls: EventId,
}

impl Chat {
    fn new(session: SessionId) -> Self {
        let (messages, unnamed) = (HashMap::new(), ids::Occurrences::default());
        Self { history: History::new(session), is_named: false, messages, prompt: None, unnamed }
    }

    fn record(&mut self, plan: &mut Builder<'_>, piece: &Piece, text: &str, f: &Fields<'_>) {
        let given = f.word("id").filter(|_| f.has("type"));
        let known = given.as_deref().and_then(|id| self.messages.get(id));
        let (content, calls) = (hash(f, "content"), hash(f, "toolCalls"));
        let name = match known {
            Some(before) if before.content == content && before.calls == calls => Cow::Borrowed("again"),
            Some(before) if before.content == content && f.list("toolCalls").is_empty() => {
                Cow::Borrowed("again")
            }
            _ => self.name(f),
        };
        let session = self.history.session().as_str().as_bytes();
        let mut event = NewEvent::new(names::kind(&KINDS, "gemini_cli", &name));
        event.id = match &given {
            Some(id) => ids::derived(ids::GEMINI_CLI, &[session, id.as_bytes()]),
            None => self.unnamed.next(ids::derived(ids::GEMINI_CLI, &[session, b"", text.as_bytes()])),
        };
        event.source = "gemini-cli".into();
        event.actor = match f.text("type").as_deref() {
            Some("user") => "user",
            Some("gemini" | "model") => "assistant",
            _ => "",
        }
        .into();
        let call =
            f.list("toolCalls").last().and_then(|call| Fields::parse(call.get()).ok()).unwrap_or_default();
        event.correlation =
            call.word("id").or(given.clone()).map_or_else(String::new, |c| names::label(&c)).into();
        event.causation = self.prompt;
        for (key, value) in [(source::ID, given.clone()), ("tool", call.word("name"))] {
            if let Some(value) = value {
                event.metadata.insert(key.to_owned(), names::label(&value));
            }
        }
        let time = times::in_member(f, "timestamp")
            .or_else(|| times::in_member(f, "startTime"))
            .or_else(|| times::in_member(&f.object("$set"), "lastUpdated"));
        let is_prompt = event.kind() == "message.user";
        let before = self.history.last();
        let added = self.history.push(plan, piece, Draft::new(event, time, Body::Record));
        if matches!(added, Added::Refused) {
            return;
        }
        self.is_named |= is_session(f);
        if let Some(id) = given {
            let message = self.messages.entry(id.into_owned()).or_insert(Message { before, content, calls });
            (message.content, message.calls) = (content, calls);
        }
        let (Added::New(id) | Added::Variant(id)) = added else { return };
        if is_prompt {
            self.prompt = Some(id);
        }
        if let Some(to) = f.word("$rewindTo") {
            self.history.go_back(self.messages.get(&*to).and_then(|m| m.before));
            self.prompt = None;
        }
    }

    fn name<'a>(&self, f: &Fields<'a>) -> Cow<'a, str> {
        if !f.has("type") {
            return Cow::Borrowed(match () {
                () if is_session(f) && !self.is_named => "session",
                () if f.object("$set").has("messages") => "checkpoint",
                () if f.has("$set") => "changed",
                () if f.has("$rewindTo") => "rewound",
                () => "record",
            });
        }
        let what = f.text("type").unwrap_or_default();
        if what != "gemini" && what != "model" {
            return what;
        }
        let calls: Vec<_> =
            f.list("toolCalls").into_iter().filter_map(|c| Fields::parse(c.get()).ok()).collect();
        let status = |call: &Fields<'_>| call.text("status").unwrap_or_default().into_owned();
        let is_empty = f.value("content").is_none_or(|c| matches!(c, "\"\"" | "[]"));
        Cow::Borrowed(match () {
            () if calls.iter().any(|c| !ENDED.contains(&&*status(c))) => "call",
            () if calls.iter().any(|c| status(c) != "success") => "result_error",
            () if !calls.is_empty() => "result",
            () if is_empty && !f.list("thoughts").is_empty() => "thoughts",
            () => "gemini",
        })
    }
}

fn hash(f: &Fields<'_>, name: &str) -> EventId {
    ids::derived(ids::GEMINI_CLI, &[f.value(name).unwrap_or_default().as_bytes()])
}

#[cfg(test)]
mod tests {
    use crate::agents::interop::Format;
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};

    const HEAD: &str = "{\"sessionId\":\"g-1\",\"projectHash\":\"h\",\"startTime\":\"2026-01-02T03:04:05.000Z\",\"lastUpdated\":\"2026-01-02T03:04:05.000Z\"}\n";

    fn message(id: &str, what: &str, rest: &str) -> String {
        format!("{{\"id\":\"{id}\",\"timestamp\":\"2026-01-02T03:04:06.000Z\",\"type\":\"{what}\",{rest}}}\n")
    }

    #[test]
    fn a_message_that_grew_is_said_once() {
        let call = |status: &str| {
            format!(
                "\"content\":\"looking\",\"toolCalls\":[{{\"id\":\"c1\",\"name\":\"ls\",\"status\":\"{status}\"}}]"
            )
        };
        let file = HEAD.to_owned()
            + &message("u1", "user", "\"content\":\"hi\"")
            + "{\"$set\":{\"lastUpdated\":\"2026-01-02T03:04:07.000Z\"}}\n"
            + &message("a1", "gemini", "\"content\":\"looking\"")
            + &message("a1", "gemini", "\"content\":\"looking\",\"tokens\":{\"input\":7}")
            + &message("a1", "gemini", &call("executing"))
            + &message("a1", "gemini", &call("error"))
            + &message("a2", "gemini", "\"content\":\"\",\"thoughts\":[{}]")
            + &message("e1", "error", "\"content\":\"quota\"");
        let plan = plan_of("chats/session-1.jsonl", &file);
        assert_eq!(plan.format, Format::GeminiCli);
        assert_eq!(
            drawn(&plan),
            [
                "g-1/main: session.created message.user gemini_cli.changed message.assistant message.updated tool.invoked tool.errored message.thinking error.raised"
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((&*all[5].correlation, &*all[5].metadata["tool"]), ("c1", "ls"));
        assert_eq!(all[3].causation, Some(all[1].id));
        assert_eq!(all[2].occurred.to_string(), "2026-01-02T03:04:07.000000Z");
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_rewind_begins_a_branch_before_its_message() {
        let said = |id: &str, what: &str| message(id, what, &format!("\"content\":\"{id}\""));
        let file = HEAD.to_owned()
            + &said("u1", "user")
            + &said("a1", "gemini")
            + &said("u2", "user")
            + &said("a2", "gemini")
            + "{\"$rewindTo\":\"u2\"}\n"
            + &said("u3", "user");
        let plan = plan_of("session-1.jsonl", &file);
        let drawn = drawn(&plan);
        assert_eq!(drawn.len(), 4, "{drawn:?}");
        assert_eq!(drawn[0], "g-1/main: session.created message.user message.assistant");
        assert!(drawn[1].starts_with("g-1/side-") && drawn[1].ends_with(" < main"), "{drawn:?}");
        assert!(drawn[2].ends_with(": message.user message.assistant gemini_cli.rewound"), "{drawn:?}");
        assert_eq!(drawn[3], "g-1/main: message.user");
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_rewind_to_an_unknown_message_leaves_nothing() {
        let file = HEAD.to_owned()
            + &message("u1", "user", "\"content\":\"a\"")
            + "{\"$rewindTo\":\"gone\"}\n"
            + &message("u2", "user", "\"content\":\"b\"");
        let drawn = drawn(&plan_of("session-1.jsonl", &file));
        assert!(drawn.iter().any(|d| d.ends_with(" at nothing")), "{drawn:?}");
        assert_eq!(drawn.last().unwrap(), "g-1/main: message.user");
    }

    #[test]
    fn an_older_document_gives_its_messages_under_the_session_that_it_names() {
        let file = r#"{
  "sessionId": "g-2", "projectHash": "h", "startTime": "2026-01-02T03:04:05.000Z",
  "messages": [
    {"id": "u1", "timestamp": "2026-01-02T03:04:06.000Z", "type": "user", "content": "hi"},
    {"type": "model", "timestamp": "2026-01-02T03:04:07.000Z", "content": [{"text": "hello"}]}
  ],
  "lastUpdated": "2026-01-02T03:04:07.000Z"
}
"#;
        let plan = plan_of("session-2.json", file);
        assert_eq!(plan.format, Format::GeminiCli);
        assert_eq!(drawn(&plan), ["g-2/main: message.user message.assistant"]);
        assert_eq!(restored(&plan), file);
        let two = format!("{}\n{}\n", file.replace('\n', ""), file.replace('\n', "").replace("g-2", "g-3"));
        let plan = plan_of("all.jsonl", &two);
        assert_eq!(drawn(&plan).len(), 2);
        assert_eq!(restored(&plan), two);
    }
}
