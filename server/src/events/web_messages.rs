//! What is said over a WebSocket: requests as JSON, CloudEvents back, and control messages in between.

use retold::Event;
use retold::wire;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::asked::From;
use super::feed::Feed;
use super::pick::PickText;
use super::watch::Begin;
use crate::input::{branch, session};
use crate::problem::Problem;

/// Bytes of a name of a subscription.
const NAME_BYTES: usize = 64;

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Request {
    /// Who asks, for clients that can't set headers. The first message, if any.
    Auth { token: String },
    /// Follow a branch, a session, or everything.
    Subscribe(Subscribe),
    /// Another filter from here on.
    Filter { id: String, filter: PickText },
    /// So many events more.
    Credit { id: String, events: u64 },
    /// No more of it.
    Unsubscribe { id: String },
}

impl Request {
    /// The subscription that it is about.
    pub(super) fn subscription(&self) -> Option<&str> {
        match self {
            Self::Auth { .. } => None,
            Self::Subscribe(Subscribe { id, .. })
            | Self::Filter { id, .. }
            | Self::Credit { id, .. }
            | Self::Unsubscribe { id } => Some(id),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    /// What the client calls it.
    pub(super) id: String,
    session: Option<String>,
    branch: Option<String>,
    cursor: Option<String>,
    from: Option<Value>,
    #[serde(default)]
    pub(super) filter: PickText,
    /// Events that may be sent before more are asked for; without it, all.
    pub(super) credit: Option<u64>,
    #[serde(default)]
    pub(super) raw: bool,
}

impl Subscribe {
    /// What is followed, and from where.
    pub(super) fn feed(&self) -> Result<(Feed, Begin), Problem> {
        if self.id.is_empty() || self.id.len() > NAME_BYTES {
            return Err(Problem::bad_request(format!(
                "the id of a subscription has 1 to {NAME_BYTES} bytes"
            )));
        }
        let feed = match (&self.session, &self.branch) {
            (Some(name), Some(of)) => Feed::Branch(branch(name, of)?),
            (Some(name), None) => Feed::Session(session(name)?),
            (None, None) => Feed::All,
            (None, Some(_)) => return Err(Problem::bad_request("a branch needs its session beside it")),
        };
        let begin = match (&self.cursor, &self.from) {
            (Some(_), Some(_)) => {
                return Err(Problem::bad_request("from can't be given together with cursor"));
            }
            (Some(cursor), None) => Begin::Cursor(cursor.clone()),
            (None, None) => Begin::From(From::Start),
            (None, Some(Value::String(text))) => Begin::From(From::parse(text)?),
            (None, Some(Value::Number(number))) => Begin::From(From::parse(&number.to_string())?),
            (None, Some(_)) => {
                return Err(Problem::bad_request("from is neither `start`, `end` nor a number"));
            }
        };
        Ok((feed, begin))
    }
}

/// A request in a text frame.
pub(super) fn request(text: &str) -> Result<Request, String> {
    serde_json::from_str(text).map_err(|e| format!("the message is not understood: {e}"))
}

/// An event as a CloudEvent, with the subscription and the cursor as two attributes more.
pub(super) fn event(event: &Event, subscription: &str, cursor: &str) -> String {
    let mut out = Vec::new();
    wire::cloud_event(event, &mut out);
    let mut text = String::from_utf8(out).unwrap_or_default();
    if text.pop() == Some('}') {
        for (name, value) in [("subscription", subscription), ("cursor", cursor)] {
            text.push_str(&format!(",{}:{}", json!(name), json!(value)));
        }
        text.push('}');
    }
    text
}

/// A message that is no event.
pub(super) fn control<const N: usize>(
    what: &str,
    subscription: Option<&str>,
    members: [(&str, Value); N],
) -> String {
    let mut message = Map::new();
    message.insert("control".to_owned(), what.into());
    if let Some(id) = subscription {
        message.insert("subscription".to_owned(), id.into());
    }
    message.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(message).to_string()
}

/// Something that can't be done; the connection goes on.
pub(super) fn error(subscription: Option<&str>, problem: &Problem) -> String {
    control("error", subscription, [("problem", problem.to_json())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_slips_are_not() {
        let good =
            r#"{"op":"subscribe","id":"a","session":"s","from":3,"filter":{"type":["tool.*"]},"credit":5}"#;
        let Request::Subscribe(subscribe) = request(good).unwrap() else { panic!("{good}") };
        assert_eq!(subscribe.filter.kinds, ["tool.*"]);
        let (feed, begin) = subscribe.feed().unwrap();
        assert_eq!(feed.to_string(), "session s");
        assert!(matches!(begin, Begin::From(From::Number(3))));
        for bad in [
            "",
            "[]",
            r#"{"op":"dance"}"#,
            r#"{"op":"credit","id":"a"}"#,
            r#"{"op":"credit","id":"a","events":-1}"#,
            r#"{"op":"subscribe","id":"a","sesion":"s"}"#,
            r#"{"op":"unsubscribe","id":"a","more":1}"#,
            r#"{"op":"filter","id":"a","filter":{"typ":[]}}"#,
        ] {
            assert!(request(bad).is_err(), "{bad}");
        }
        for bad in [
            r#"{"op":"subscribe","id":""}"#,
            r#"{"op":"subscribe","id":"a","branch":"b"}"#,
            r#"{"op":"subscribe","id":"a","session":"../etc"}"#,
            r#"{"op":"subscribe","id":"a","from":-1}"#,
            r#"{"op":"subscribe","id":"a","from":true}"#,
            r#"{"op":"subscribe","id":"a","from":1,"cursor":"x"}"#,
        ] {
            let Request::Subscribe(subscribe) = request(bad).unwrap() else { panic!("{bad}") };
            assert_eq!(subscribe.feed().unwrap_err().status(), 400, "{bad}");
        }
    }
}
