//! An event that is yet to be recorded as JSON, both ways, with the names of a recorded one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

use super::{EventId, JSON, NewEvent, Timestamp};

/// Everything but the type has a default. What is unknown is refused, rather than lost.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    source: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    actor: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    correlation: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<EventId>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    traceparent: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: u8,
    #[serde(default, skip_serializing_if = "is_none")]
    metadata: Cow<'a, BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    data: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    datacontenttype: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

fn is_none(metadata: &BTreeMap<String, String>) -> bool {
    metadata.is_empty()
}

/// A `null` is a payload like any other.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// A JSON payload as it is; `None` where it could not come back byte for byte: with white space around it.
fn plain(event: &NewEvent) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(&event.payload).ok().filter(|_| event.is_json())?;
    RawValue::from_string(text.to_owned()).ok().filter(|value| value.get().len() == text.len())
}

impl Serialize for NewEvent {
    /// An event that no store would take is an error.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.check().map_err(ser::Error::custom)?;
        let data = plain(self);
        let draft = Draft {
            id: Some(self.id),
            kind: (&*self.kind).into(),
            version: Some(self.version),
            time: Some(self.occurred.to_string()),
            source: (&*self.source).into(),
            actor: (&*self.actor).into(),
            correlation: (&*self.correlation).into(),
            causation: self.causation,
            traceparent: (&*self.trace).into(),
            priority: self.priority,
            metadata: Cow::Borrowed(&self.metadata),
            datacontenttype: (&*self.content_type).into(),
            data_base64: data.is_none().then(|| BASE64.encode(&self.payload)),
            data,
        };
        draft.serialize(to)
    }
}

impl<'de> Deserialize<'de> for NewEvent {
    /// Only `type` is required: the id is fresh, the time now, and the payload `null` unless said.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let draft = Draft::deserialize(from)?;
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let mut event = Self::new(own(draft.kind))
            .version(draft.version.unwrap_or(1))
            .source(own(draft.source))
            .actor(own(draft.actor))
            .correlation(own(draft.correlation))
            .trace(own(draft.traceparent))
            .priority(draft.priority);
        event.id = draft.id.unwrap_or(event.id);
        if let Some(time) = draft.time {
            event.occurred = time.parse::<Timestamp>().map_err(de::Error::custom)?;
        }
        event.causation = draft.causation;
        event.metadata = draft.metadata.into_owned();
        let content_type = draft.datacontenttype;
        let event = match (draft.data, draft.data_base64) {
            (Some(_), Some(_)) => {
                return Err(de::Error::custom("data stands beside data_base64; an event has one of them"));
            }
            (Some(_), None) if !content_type.is_empty() && content_type != JSON => {
                let reason =
                    format!("data has the content type {content_type}, so it belongs in data_base64");
                return Err(de::Error::custom(reason));
            }
            (Some(data), None) => event.json_text(data.get().to_owned()),
            (None, Some(coded)) => {
                let bytes = BASE64.decode(coded.as_bytes());
                let bytes =
                    bytes.map_err(|e| de::Error::custom(format!("data_base64 is not base64: {e}")))?;
                event.bytes(own(content_type), bytes)
            }
            (None, None) => event,
        };
        event.check().map_err(de::Error::custom)?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::encode_record;
    use crate::limits::MAX_PAYLOAD_BYTES;
    use crate::testkit;

    fn there_and_back(event: &NewEvent) {
        let json = serde_json::to_string(event).unwrap();
        let encoded = |e| encode_record(e, MAX_PAYLOAD_BYTES).unwrap().encoded().clone();
        let read = serde_json::from_str(&json).unwrap();
        assert_eq!(encoded(event), encoded(&read), "{json}");
        // A `Value` does not hold every number that JSON can say.
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&json) {
            assert_eq!(serde_json::from_value::<NewEvent>(value).unwrap().id(), event.id());
        }
    }

    fn refused(json: &str) -> String {
        serde_json::from_str::<NewEvent>(json).unwrap_err().to_string()
    }

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        let event = || NewEvent::new("a.b").occurred(Timestamp::from_micros(-7));
        for text in ["null", " null", "{\"a\":\n1}", "{ \"a\" : 1.50, \"a\":2 }", "1e999"] {
            there_and_back(&event().json_text(text));
        }
        there_and_back(&event().bytes("text/plain", &b"\xff\n\0"[..]));
        there_and_back(&event().bytes("text/plain", ""));
    }

    #[test]
    fn only_the_type_is_required() {
        let event: NewEvent = serde_json::from_str(r#"{"type": "a.b"}"#).unwrap();
        assert_eq!((event.kind(), event.get_version(), &event.payload()[..]), ("a.b", 1, &b"null"[..]));
        assert!(refused("{}").contains("missing field `type`"));
    }

    #[test]
    fn what_no_store_would_take_is_refused_both_ways() {
        assert!(refused(r#"{"type": ""}"#).contains("type"));
        assert!(refused(r#"{"type": "a", "time": "noon"}"#).contains("RFC 3339"));
        assert!(refused(r#"{"type": "a", "session": "s"}"#).contains("unknown field `session`"));
        assert!(refused(r#"{"type": "a", "data": 1, "data_base64": ""}"#).contains("one of them"));
        assert!(
            refused(r#"{"type": "a", "data": 1, "datacontenttype": "text/plain"}"#).contains("data_base64")
        );
        assert!(refused(r#"{"type": "a", "data_base64": "?"}"#).contains("not base64"));
        assert!(serde_json::to_string(&NewEvent::new("a").json_text("{")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_event_comes_back_as_it_was(event in testkit::strategies::event()) {
            there_and_back(&event);
        }
    }
}
