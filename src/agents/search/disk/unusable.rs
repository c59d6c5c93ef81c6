use std::io;

/// Why an index cannot be used or changed. The answer comes from elsewhere then.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) reason: String,
    /// It is not as it was written, so it has to be made anew. Otherwise it is out of reach.
    pub(crate) is_damaged: bool,
}

impl Unusable {
    /// It is damaged.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_damaged: true }
    }
}

impl From<io::Error> for Unusable {
    fn from(e: io::Error) -> Self {
        // A file that the manifest names is not there, or is too short.
        let is_damaged = matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof);
        Self { reason: e.to_string(), is_damaged }
    }
}
