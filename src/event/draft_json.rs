//! New events from and to JSON, with the names of a recorded event.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

use super::{EventId, Invalid, JSON, NewEvent, Timestamp, envelope};

/// A new event as JSON, with or without its branch. `D` is its payload, which is borrowed when writing. Everything
/// but the type has a default; unknown members are refused rather than lost.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "D: Deserialize<'de>"))]
pub(crate) struct EventJson<'a, D> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: Cow<'a, BTreeMap<String, String>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    data: Option<D>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    datacontenttype: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The members of an event without a branch, for the error message.
const FIELDS: [&str; 14] = [
    envelope::ID,
    envelope::TYPE,
    envelope::VERSION,
    envelope::TIME,
    envelope::SOURCE,
    envelope::ACTOR,
    envelope::CORRELATION,
    envelope::CAUSATION,
    envelope::TRACEPARENT,
    envelope::PRIORITY,
    envelope::METADATA,
    envelope::DATA,
    envelope::DATACONTENTTYPE,
    envelope::DATA_BASE64,
];

fn is_zero(n: &u8) -> bool {
    *n == 0
}

fn none<D>() -> Option<D> {
    None
}

/// `null` is a payload like any other.
fn some<'de, D: Deserialize<'de>, From: Deserializer<'de>>(from: From) -> Result<Option<D>, From::Error> {
    D::deserialize(from).map(Some)
}

/// A JSON payload as it is; `None` if it would not survive byte for byte because of white space around it, or would
/// break a line of JSON into several.
fn plain(event: &NewEvent) -> Option<&RawValue> {
    if !event.is_json() || event.payload.iter().any(|b| matches!(b, b'\n' | b'\r')) {
        return None;
    }
    let value: &RawValue = serde_json::from_slice(&event.payload).ok()?;
    (value.get().len() == event.payload.len()).then_some(value)
}

impl<'a> EventJson<'a, &'a RawValue> {
    /// # Errors
    /// [`Invalid`] naming the field of an event that no store would accept.
    pub(crate) fn of(event: &'a NewEvent) -> Result<Self, Invalid> {
        event.check()?;
        let data = plain(event);
        Ok(Self {
            id: Some(event.id),
            session: None,
            branch: None,
            kind: (&*event.kind).into(),
            version: Some(event.version),
            time: Some(event.occurred.to_string()),
            source: (&*event.source).into(),
            actor: (&*event.actor).into(),
            correlation: (&*event.correlation).into(),
            causation: event.causation,
            traceparent: (&*event.trace).into(),
            priority: event.priority,
            metadata: Cow::Borrowed(&event.metadata),
            datacontenttype: (&*event.content_type).into(),
            data_base64: data.is_none().then(|| BASE64.encode(&event.payload)),
            data,
        })
    }
}

impl EventJson<'_, Box<RawValue>> {
    /// # Errors
    /// [`Invalid`] for anything that no store would accept.
    pub(crate) fn into_event(self) -> Result<NewEvent, Invalid> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let mut event = NewEvent::new(own(self.kind))
            .version(self.version.unwrap_or(1))
            .source(own(self.source))
            .actor(own(self.actor))
            .correlation(own(self.correlation))
            .trace(own(self.traceparent))
            .priority(self.priority);
        event.id = self.id.unwrap_or(event.id);
        if let Some(time) = self.time {
            event.occurred = time.parse::<Timestamp>()?;
        }
        event.causation = self.causation;
        event.metadata = self.metadata.into_owned();
        let content_type = self.datacontenttype;
        let event = match (self.data, self.data_base64) {
            (Some(_), Some(_)) => {
                let reason = "cannot be combined with data_base64; use one of them";
                return Err(Invalid::new(envelope::DATA, reason));
            }
            (_, None) if !content_type.is_empty() && content_type != JSON => {
                let reason = format!("has the content type {content_type}, so it belongs in data_base64");
                return Err(Invalid::new(envelope::DATA, reason));
            }
            (Some(data), None) => event.json_text(Box::<str>::from(data).into_string()),
            (None, Some(coded)) => {
                let bytes = BASE64
                    .decode(coded.as_bytes())
                    .map_err(|e| Invalid::new(envelope::DATA_BASE64, format!("is not base64: {e}")))?;
                event.bytes(own(content_type), bytes)
            }
            (None, None) => event,
        };
        event.check()?;
        Ok(event)
    }
}

impl Serialize for NewEvent {
    /// An event that no store would accept is an error.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        EventJson::of(self).map_err(ser::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for NewEvent {
    /// Only `type` is required; by default the id is fresh, the time is now, and the payload is `null`.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = EventJson::deserialize(from)?;
        for (field, value) in [(envelope::SESSION, &json.session), (envelope::BRANCH, &json.branch)] {
            if value.is_some() {
                return Err(de::Error::unknown_field(field, &FIELDS));
            }
        }
        json.into_event().map_err(de::Error::custom)
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
        assert!(!json.contains(['\n', '\r']), "{json}");
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
        assert!(refused(r#"{"type": "a", "datacontenttype": "text/plain"}"#).contains("data_base64"));
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
