//! The session itself.

use serde_json::Value;

use super::words::*;

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
        role plain().by(&["/by", "/role"]);
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
}
