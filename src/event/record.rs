use std::sync::Arc;

use bytes::Bytes;

use super::{EventId, Timestamp};

/// The default content type of a payload.
pub const JSON: &str = "application/json";

/// The span of a field before the payload in an encoded record. Empty if the event has no such field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSpan {
    pub(crate) start: u16,
    pub(crate) len: u16,
}

/// The offset of the id in every encoded record: after the layout byte.
pub(crate) const ID_START: usize = 1;

/// Key and value pairs, sorted by key, each key once.
pub type Metadata = Arc<[(Box<str>, Box<str>)]>;

/// The part of an event that its producer provides: the validated envelope and the payload, as a view of their
/// encoded bytes. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Record {
    bytes: Bytes,
    parts: RecordParts,
}

/// The fields of a record as the codec found them; the spans point into `bytes`.
#[derive(Clone, Debug)]
pub struct RecordParts {
    pub(crate) occurred: Timestamp,
    pub(crate) version: u32,
    /// The offset of the payload, which extends to the end of the record.
    pub(crate) payload: u32,
    pub(crate) kind: FieldSpan,
    pub(crate) source: FieldSpan,
    pub(crate) actor: FieldSpan,
    pub(crate) correlation: FieldSpan,
    pub(crate) trace: FieldSpan,
    pub(crate) content_type: FieldSpan,
    /// The offset of the cause's id; 0 if there is none.
    pub(crate) causation: u16,
    pub(crate) priority: u8,
    pub(crate) metadata: Option<Metadata>,
}

impl Record {
    #[inline]
    pub(crate) fn new(bytes: Bytes, parts: RecordParts) -> Self {
        Self { bytes, parts }
    }

    /// The record as stored.
    #[inline]
    pub(crate) fn encoded(&self) -> &Bytes {
        &self.bytes
    }

    #[inline]
    fn slice(&self, span: FieldSpan) -> &[u8] {
        let start = usize::from(span.start);
        self.bytes.get(start..start + usize::from(span.len)).unwrap_or_default()
    }

    #[inline]
    fn id_at(&self, start: usize) -> &[u8; 16] {
        let id = self.bytes.get(start..).and_then(|rest| rest.first_chunk());
        debug_assert!(id.is_some(), "the codec checks that it is there");
        id.unwrap_or(&[0; 16])
    }

    #[inline]
    fn text(&self, span: FieldSpan) -> &str {
        let text = std::str::from_utf8(self.slice(span));
        debug_assert!(text.is_ok(), "the codec checks every text");
        text.unwrap_or_default()
    }

    #[inline]
    fn optional(&self, span: FieldSpan) -> Option<&str> {
        (span.len > 0).then(|| self.text(span))
    }

    /// Identity of the event.
    #[must_use]
    #[inline]
    pub fn id(&self) -> EventId {
        EventId::from_bytes(*self.id_bytes())
    }

    #[inline]
    pub(crate) fn id_bytes(&self) -> &[u8; 16] {
        self.id_at(ID_START)
    }

    /// Type name.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> &str {
        self.text(self.parts.kind)
    }

    /// Version of the payload's schema.
    #[must_use]
    #[inline]
    pub fn version(&self) -> u32 {
        self.parts.version
    }

    /// When it happened, according to its writer.
    #[must_use]
    pub fn occurred(&self) -> Timestamp {
        self.parts.occurred
    }

    /// The component that wrote it.
    #[must_use]
    #[inline]
    pub fn source(&self) -> Option<&str> {
        self.optional(self.parts.source)
    }

    /// The person, agent or service that acted.
    #[must_use]
    #[inline]
    pub fn actor(&self) -> Option<&str> {
        self.optional(self.parts.actor)
    }

    /// What ties it to other events of the same undertaking.
    #[must_use]
    pub fn correlation(&self) -> Option<&str> {
        self.optional(self.parts.correlation)
    }

    /// The event that caused it.
    #[must_use]
    pub fn causation(&self) -> Option<EventId> {
        let at = usize::from(self.parts.causation);
        (at > 0).then(|| EventId::from_bytes(*self.id_at(at)))
    }

    /// W3C traceparent.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.optional(self.parts.trace)
    }

    /// 0 is the default; higher is more urgent.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.parts.priority
    }

    /// All metadata, sorted by key.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.parts.metadata.as_deref().unwrap_or_default().iter().map(|(k, v)| (&**k, &**v))
    }

    /// The metadata under one key.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<&str> {
        let pairs = self.parts.metadata.as_deref()?;
        pairs.binary_search_by(|(k, _)| (**k).cmp(key)).ok().and_then(|i| pairs.get(i)).map(|(_, v)| &**v)
    }

    /// The payload's media type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.optional(self.parts.content_type).unwrap_or(JSON)
    }

    /// Whether the payload was checked to be JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.parts.content_type.len == 0
    }

    /// The payload, byte for byte as it was appended.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.parts.payload as usize..).unwrap_or_default()
    }

    /// The payload, sharing the memory of this record.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.bytes.slice((self.parts.payload as usize).min(self.bytes.len())..)
    }
}

impl Record {
    /// Whether both are equal except for the time of occurrence, since a retry may have a new timestamp.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        let plain = |r: &Self| (r.id(), r.version(), r.priority(), r.causation());
        let texts = |r: &Self| {
            let p = &r.parts;
            [p.kind, p.source, p.actor, p.correlation, p.trace, p.content_type]
        };
        let same = |(a, b)| self.slice(a) == other.slice(b);
        plain(self) == plain(other)
            && texts(self).into_iter().zip(texts(other)).all(same)
            && self.parts.metadata == other.parts.metadata
            && self.payload() == other.payload()
    }
}

impl PartialEq for Record {
    /// Two records are equal if their encoded bytes are: equal contents have equal encodings.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Record {}
