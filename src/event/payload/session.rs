//! The session itself.

use serde_json::Value;

use super::words::*;
use crate::event::Invalid;
use crate::limits::{MAX_LABEL_BYTES, MAX_LABEL_KEY_BYTES, MAX_NOTE_BYTES};

fn session() -> Role {
    whole("session", &[])
}

types! { "session";
    /// A session was opened
    SessionCreated = "session.created" also ["session_started"] {
        may {
            name: String, title: String, config: Value,
            /// Who did it.
            by: String,
        }
        role session().called(&["/name", "/title", "/kind/name"]).to(Created).by(&["/by"]);
        example {"title": "login with umlauts", "by": "mara"}
    }
    /// A message was sent in a session
    SessionMessageSent = "session.message_sent" also ["session_message"] {
        may {
            message_id: String, role: String, text: Value, content: Value, to: String,
            /// Who did it.
            by: String,
        }
        role plain().by(&["/by", "/role"]).says(User, &["/text", "/content"]).named_at(&["/role"]);
        example {"message_id": "m-1", "role": "user", "text": "Login fails for names with an umlaut."}
    }
    /// A session was resumed
    SessionResumed = "session.resumed" {
        may {
            reason: String, after: u64,
            /// Who did it.
            by: String,
        }
        role session().to(Running).why().by(&["/by"]);
        example {"reason": "the machine was restarted"}
    }
    /// A session was closed
    SessionClosed = "session.closed" also ["session_ended"] {
        may {
            reason: String,
            /// Who did it.
            by: String,
        }
        role session().to(Completed).why().by(&["/by"]);
        example {"reason": "done"}
    }
    /// A session was given a label
    SessionLabelled = "session.labelled" also ["session.labeled"] {
        needs {
            key: String,
            /// It replaces the previous value of the key.
            value: String,
        }
        may {
            /// Who did it.
            by: String,
        }
        role plain().by(&["/by"]);
        example {"key": "team", "value": "search"}
    }
    /// A label of a session was removed
    SessionUnlabelled = "session.unlabelled" also ["session.unlabeled"] {
        needs { key: String }
        may {
            /// Who did it.
            by: String,
        }
        role plain().by(&["/by"]);
        example {"key": "team"}
    }
    /// A note was added to a session
    SessionNoted = "session.noted" also ["session.note_added"] {
        needs { text: String }
        may {
            /// Who wrote it.
            by: String,
        }
        role plain().by(&["/by"]);
        example {"text": "the cause is in normalize()", "by": "mara"}
    }
}

impl SessionLabelled {
    /// A label. It replaces the value that the key had.
    ///
    /// # Errors
    /// [`Invalid`] with the field `label` for a key that is empty, longer than [`MAX_LABEL_KEY_BYTES`] or contains `=`,
    /// for a value longer than [`MAX_LABEL_BYTES`], and for control characters in either.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Result<Self, Invalid> {
        let (key, value) = (label_key(key.into())?, value.into());
        if value.len() > MAX_LABEL_BYTES {
            let reason =
                format!("{key} has a value of {} bytes; the limit is {MAX_LABEL_BYTES}", value.len());
            return Err(Invalid::new("label", reason));
        }
        if value.contains(char::is_control) {
            return Err(Invalid::new("label", format!("{key} has a control character in its value")));
        }
        Ok(Self { key, value, ..Self::default() })
    }
}

impl SessionUnlabelled {
    /// The removal of a label.
    ///
    /// # Errors
    /// As [`SessionLabelled::new`].
    pub fn new(key: impl Into<String>) -> Result<Self, Invalid> {
        Ok(Self { key: label_key(key.into())?, ..Self::default() })
    }
}

impl SessionNoted {
    /// A note.
    ///
    /// # Errors
    /// [`Invalid`] with the field `note` for one that is blank, or longer than [`MAX_NOTE_BYTES`].
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(Invalid::new("note", "is empty"));
        }
        if text.len() > MAX_NOTE_BYTES {
            let reason = format!("has {} bytes; the limit is {MAX_NOTE_BYTES}", text.len());
            return Err(Invalid::new("note", reason));
        }
        Ok(Self { text, ..Self::default() })
    }
}

fn label_key(key: String) -> Result<String, Invalid> {
    let reason = match key.len() {
        0 => "has an empty key".to_owned(),
        n if n > MAX_LABEL_KEY_BYTES => {
            format!("has a key of {n} bytes; the limit is {MAX_LABEL_KEY_BYTES}")
        }
        _ if key.contains('=') || key.contains(char::is_control) => {
            format!("{} has `=` or a control character in its key", key.escape_debug())
        }
        _ => return Ok(key),
    };
    Err(Invalid::new("label", reason))
}
