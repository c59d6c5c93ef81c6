use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{Invalid, fresh};

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh one, ordered by time (UUIDv7).
            #[must_use]
            #[allow(clippy::new_without_default, reason = "a fresh id is not a default value")]
            pub fn new() -> Self {
                Self(fresh::uuid())
            }

            /// An id made elsewhere.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The same 16 bytes as a [`Uuid`].
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub(crate) const fn bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(s: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(s)
                    .map(Self)
                    .map_err(|_| Invalid::new($field, format!("`{}` is not a UUID", s.escape_debug())))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_type!(
    /// The permanent identity of an event: appending the same id again is deduplicated as a retry.
    EventId,
    "id"
);
uuid_type!(
    /// The identity of a store, assigned at its creation. Cursors carry it.
    StoreId,
    "store"
);

impl EventId {
    /// An id derived from a name (UUIDv5): the same name always gives the same id, so that importing the same
    /// source twice adds nothing.
    ///
    /// ```
    /// use retold::EventId;
    /// use retold::uuid::Uuid;
    /// let id = EventId::derived(Uuid::NAMESPACE_URL, b"https://example.com/runs/7");
    /// assert_eq!(id, EventId::derived(Uuid::NAMESPACE_URL, b"https://example.com/runs/7"));
    /// ```
    #[must_use]
    pub fn derived(namespace: Uuid, name: &[u8]) -> Self {
        Self(Uuid::new_v5(&namespace, name))
    }
}
