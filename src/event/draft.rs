use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::envelope;
use super::{EventId, Invalid, JSON, Record, Timestamp, check_kind};
use crate::limits::{MAX_METADATA_BYTES, MAX_METADATA_ENTRIES, MAX_TEXT_BYTES};

/// An event to append. It has its id from the start, so appending the same value again is a retry. Only the type is
/// required; everything else has a default. Nothing is checked until the append, which returns [`Invalid`] naming the
/// field.
///
/// ```
/// use retold::NewEvent;
/// let event = NewEvent::new("tool.completed")
///     .data(serde_json::json!({"tool": "grep", "ok": true}))
///     .source("runner")
///     .meta("attempt", "2");
/// assert_eq!((event.kind(), event.get_source()), ("tool.completed", Some("runner")));
/// assert_eq!(event.get_meta("attempt"), Some("2"));
/// ```
///
/// Getters of fields that have a setter start with `get_`. Its JSON has the names of a recorded event, without
/// those of its place:
///
/// ```
/// use retold::NewEvent;
/// let event: NewEvent = serde_json::from_str(r#"{"type": "tool.completed", "data": {"ok": true}}"#)?;
/// let again: NewEvent = serde_json::from_str(&serde_json::to_string(&event)?)?;
/// assert_eq!((again.id(), again.payload()), (event.id(), event.payload()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewEvent {
    pub(crate) id: EventId,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) version: u32,
    pub(crate) occurred: Timestamp,
    pub(crate) source: Cow<'static, str>,
    pub(crate) actor: Cow<'static, str>,
    pub(crate) correlation: Cow<'static, str>,
    pub(crate) causation: Option<EventId>,
    pub(crate) trace: Cow<'static, str>,
    pub(crate) priority: u8,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) payload: Bytes,
    /// The payload was serialized by serde, so it need not be parsed to know that it is JSON.
    trusted: bool,
}

impl NewEvent {
    /// An event of this type with the payload `null`, a fresh id, and the current time.
    pub fn new(kind: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: EventId::new(),
            kind: kind.into(),
            version: 1,
            occurred: Timestamp::now(),
            source: Cow::Borrowed(""),
            actor: Cow::Borrowed(""),
            correlation: Cow::Borrowed(""),
            causation: None,
            trace: Cow::Borrowed(""),
            priority: 0,
            metadata: BTreeMap::new(),
            content_type: Cow::Borrowed(""),
            payload: Bytes::from_static(b"null"),
            trusted: true,
        }
    }

    /// The JSON payload.
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.payload = Bytes::from(data.to_string());
        self.content_type = Cow::Borrowed("");
        self.trusted = true;
        self
    }

    /// Any serializable value as the JSON payload.
    ///
    /// # Errors
    /// [`Invalid`] with the field `data` if serde refuses it, for instance a map whose keys are not strings.
    pub fn json<T: Serialize + ?Sized>(mut self, data: &T) -> Result<Self, Invalid> {
        let text = serde_json::to_vec(data)
            .map_err(|e| Invalid::new(envelope::DATA, format!("is not JSON: {e}")))?;
        self.payload = text.into();
        self.content_type = Cow::Borrowed("");
        self.trusted = true;
        Ok(self)
    }

    /// JSON text, kept byte for byte. The append checks that it is valid JSON.
    pub fn json_text(mut self, text: impl Into<Bytes>) -> Self {
        self.payload = text.into();
        self.content_type = Cow::Borrowed("");
        self.trusted = false;
        self
    }

    /// Any bytes with their media type. For `application/json` the append checks that they are JSON.
    pub fn bytes(mut self, content_type: impl Into<Cow<'static, str>>, payload: impl Into<Bytes>) -> Self {
        self = self.json_text(payload);
        self.content_type = content_type.into();
        if self.content_type == JSON {
            self.content_type = Cow::Borrowed("");
        }
        self
    }

    /// Sets an id made elsewhere.
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = id;
        self
    }

    /// Version of the payload's schema; 1 by default.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// When it happened; now by default.
    pub fn occurred(mut self, time: Timestamp) -> Self {
        self.occurred = time;
        self
    }

    /// The component that writes the event.
    pub fn source(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = source.into();
        self
    }

    /// The person, agent or service that acted.
    pub fn actor(mut self, actor: impl Into<Cow<'static, str>>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Ties it to related events.
    pub fn correlation(mut self, correlation: impl Into<Cow<'static, str>>) -> Self {
        self.correlation = correlation.into();
        self
    }

    /// The event that caused it.
    pub fn causation(mut self, cause: EventId) -> Self {
        self.causation = Some(cause);
        self
    }

    /// W3C traceparent.
    pub fn trace(mut self, traceparent: impl Into<Cow<'static, str>>) -> Self {
        self.trace = traceparent.into();
        self
    }

    /// Higher is more urgent; 0 by default. [`Priority`](super::Priority) has names for some of the numbers.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// A metadata entry; the last value of a key counts.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The id of the event.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The type of the event.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The version of the payload's schema.
    #[must_use]
    pub fn get_version(&self) -> u32 {
        self.version
    }

    /// When it happened.
    #[must_use]
    pub fn get_occurred(&self) -> Timestamp {
        self.occurred
    }

    /// The component that writes the event.
    #[must_use]
    pub fn get_source(&self) -> Option<&str> {
        said(&self.source)
    }

    /// The person, agent or service that acted.
    #[must_use]
    pub fn get_actor(&self) -> Option<&str> {
        said(&self.actor)
    }

    /// Ties it to related events.
    #[must_use]
    pub fn get_correlation(&self) -> Option<&str> {
        said(&self.correlation)
    }

    /// The event that caused it.
    #[must_use]
    pub fn get_causation(&self) -> Option<EventId> {
        self.causation
    }

    /// W3C traceparent.
    #[must_use]
    pub fn get_trace(&self) -> Option<&str> {
        said(&self.trace)
    }

    /// Its priority; 0 is the default.
    #[must_use]
    pub fn get_priority(&self) -> u8 {
        self.priority
    }

    /// All metadata, sorted by key.
    pub fn get_metadata(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The metadata under one key.
    #[must_use]
    pub fn get_meta(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The payload's media type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        said(&self.content_type).unwrap_or(JSON)
    }

    /// Whether the payload's content type is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.content_type.is_empty()
    }

    /// Checks everything that can be checked without a store. The payload's size is up to the caller, who
    /// knows the limit.
    ///
    /// # Errors
    /// [`Invalid`] naming the field, as an append would return it.
    pub fn check(&self) -> Result<(), Invalid> {
        check_kind(&self.kind)?;
        for (field, text) in [
            (envelope::SOURCE, &self.source),
            (envelope::ACTOR, &self.actor),
            (envelope::CORRELATION, &self.correlation),
            (envelope::TRACEPARENT, &self.trace),
            (envelope::DATACONTENTTYPE, &self.content_type),
        ] {
            check_text(field, text)?;
        }
        if !self.occurred.is_printable() {
            let reason = format!("is {} µs, outside the years 0000 to 9999", self.occurred.micros());
            return Err(Invalid::new(envelope::TIME, reason));
        }
        self.check_metadata()?;
        if self.content_type.is_empty() && !self.trusted {
            // Skipped values are not checked, so a string that is not UTF-8 would pass.
            let text = std::str::from_utf8(&self.payload)
                .map_err(|e| Invalid::new(envelope::DATA, format!("is not JSON: it is not UTF-8 ({e})")))?;
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|e| Invalid::new(envelope::DATA, format!("is not JSON: {e}")))?;
        }
        Ok(())
    }

    fn check_metadata(&self) -> Result<(), Invalid> {
        let entries = self.metadata.len();
        if entries > MAX_METADATA_ENTRIES {
            let reason = format!("has {entries} entries; the limit is {MAX_METADATA_ENTRIES}");
            return Err(Invalid::new(envelope::METADATA, reason));
        }
        let bytes: usize = self.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        if bytes > MAX_METADATA_BYTES {
            let reason = format!("has {bytes} bytes; the limit is {MAX_METADATA_BYTES}");
            return Err(Invalid::new(envelope::METADATA, reason));
        }
        match self.metadata.keys().find(|k| k.is_empty() || k.chars().any(char::is_control)) {
            Some(k) => {
                Err(Invalid::new(envelope::METADATA, format!("has a key that is not plain text: {k:?}")))
            }
            None => Ok(()),
        }
    }
}

impl From<NewEvent> for Vec<NewEvent> {
    fn from(event: NewEvent) -> Self {
        vec![event]
    }
}

impl From<&Record> for NewEvent {
    /// The same event, with the same id, to be appended again.
    fn from(record: &Record) -> Self {
        let text = |t: Option<&str>| Cow::Owned(t.unwrap_or_default().to_owned());
        Self {
            id: record.id(),
            kind: Cow::Owned(record.kind().to_owned()),
            version: record.version(),
            occurred: record.occurred(),
            source: text(record.source()),
            actor: text(record.actor()),
            correlation: text(record.correlation()),
            causation: record.causation(),
            trace: text(record.trace()),
            priority: record.priority(),
            metadata: record.metadata().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            content_type: text((!record.is_json()).then(|| record.content_type())),
            payload: record.payload_bytes(),
            trusted: true,
        }
    }
}

fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn check_text(field: &'static str, text: &str) -> Result<(), Invalid> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Invalid::new(field, format!("has {} bytes; the limit is {MAX_TEXT_BYTES}", text.len())));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(Invalid::new(field, format!("contains the control character {c:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(event: NewEvent) -> &'static str {
        event.check().unwrap_err().field
    }

    #[test]
    fn every_refusal_names_its_field() {
        let ok = || NewEvent::new("a.b");
        ok().check().unwrap();
        assert_eq!(field(NewEvent::new("")), "type");
        assert_eq!(field(ok().json_text("{")), "data");
        assert_eq!(field(ok().json_text("")), "data");
        assert_eq!(field(ok().json_text(&b"\"\xff\""[..])), "data");
        assert_eq!(field(ok().bytes(JSON, "x")), "data");
        assert_eq!(field(ok().source("a\nb")), "source");
        assert_eq!(field(ok().actor("x".repeat(1_025))), "actor");
        assert_eq!(field(ok().occurred(Timestamp::from_micros(i64::MAX))), "time");
        assert_eq!(field(ok().meta("", "v")), "metadata");
        assert_eq!(field(ok().meta("k", "x".repeat(16 * 1_024))), "metadata");
        let many = (0..65).fold(ok(), |e, i| e.meta(i.to_string(), "v"));
        assert_eq!(field(many), "metadata");
    }

    #[test]
    fn what_is_set_can_be_read() {
        let cause = EventId::new();
        let event = NewEvent::new("a.b")
            .version(3)
            .occurred(Timestamp::from_micros(7))
            .source("s")
            .actor("a")
            .correlation("c")
            .causation(cause)
            .trace("t")
            .priority(9)
            .meta("k", "v")
            .bytes("text/plain", "x");
        assert_eq!((event.get_version(), event.get_occurred().micros(), event.get_priority()), (3, 7, 9));
        let texts = [event.get_source(), event.get_actor(), event.get_correlation(), event.get_trace()];
        assert_eq!(texts, [Some("s"), Some("a"), Some("c"), Some("t")]);
        assert_eq!(
            (event.get_causation(), event.get_meta("k"), event.get_meta("x")),
            (Some(cause), Some("v"), None)
        );
        assert_eq!(event.get_metadata().collect::<Vec<_>>(), [("k", "v")]);
        assert_eq!((event.content_type(), event.is_json()), ("text/plain", false));
        let plain = NewEvent::new("a.b");
        assert_eq!((plain.get_source(), plain.content_type(), plain.is_json()), (None, JSON, true));
    }

    #[test]
    fn bytes_of_another_type_are_not_read_as_json() {
        NewEvent::new("a").bytes("text/plain", "{").check().unwrap();
    }
}
