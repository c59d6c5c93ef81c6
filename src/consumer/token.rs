use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

use crate::codec::TokenParts;
use crate::event::{Invalid, Position, StoreId};

/// Identifies one delivery, to resolve it from elsewhere: in another task, after a restart, from the command line.
/// Opaque: print it, store it, parse it. It is valid until the delivery is resolved, or the event is redelivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub(super) TokenParts);

impl Token {
    /// The position of the event that was delivered.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.0.position)
    }

    /// Why it cannot be a token of this consumer of this store.
    pub(super) fn foreign(&self, store: StoreId, consumer: [u8; 16]) -> Option<String> {
        if self.0.store != *store.bytes() {
            let other = StoreId::from_bytes(self.0.store);
            return Some(format!("the token belongs to store {other}; this is {store}"));
        }
        let other = self.0.consumer != consumer;
        other.then(|| "the token belongs to another consumer, or to an earlier one of the same name".into())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64URL_NOPAD.encode(&self.0.encode()))
    }
}

impl FromStr for Token {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        let no = |why: String| Invalid::new("token", why);
        let bytes = BASE64URL_NOPAD
            .decode(s.as_bytes())
            .map_err(|_| no("is not a delivery token, or is incomplete".into()))?;
        TokenParts::decode(&bytes).map(Self).map_err(|e| no(format!("is damaged: {e}")))
    }
}
