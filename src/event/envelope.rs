//! The names of an event's fields in JSON and in errors, for everything that prints, reads or refuses one.

pub(crate) const ID: &str = "id";
pub(crate) const SESSION: &str = "session";
pub(crate) const BRANCH: &str = "branch";
pub(crate) const SEQUENCE: &str = "sequence";
pub(crate) const POSITION: &str = "position";
pub(crate) const TYPE: &str = "type";
pub(crate) const VERSION: &str = "version";
pub(crate) const TIME: &str = "time";
pub(crate) const RECORDED: &str = "recorded";
pub(crate) const SOURCE: &str = "source";
pub(crate) const ACTOR: &str = "actor";
pub(crate) const CORRELATION: &str = "correlation";
pub(crate) const CAUSATION: &str = "causation";
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const PRIORITY: &str = "priority";
pub(crate) const METADATA: &str = "metadata";
pub(crate) const DATA: &str = "data";
pub(crate) const DATACONTENTTYPE: &str = "datacontenttype";
pub(crate) const DATA_BASE64: &str = "data_base64";

/// Every name that an event can have.
pub(crate) const ALL: [&str; 19] = [
    ID,
    SESSION,
    BRANCH,
    SEQUENCE,
    POSITION,
    TYPE,
    VERSION,
    TIME,
    RECORDED,
    SOURCE,
    ACTOR,
    CORRELATION,
    CAUSATION,
    TRACEPARENT,
    PRIORITY,
    METADATA,
    DATA,
    DATACONTENTTYPE,
    DATA_BASE64,
];
