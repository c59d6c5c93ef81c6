use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::check::{check, check_gaps, check_order, refused};
#[cfg(feature = "toml")]
use super::parse;
use super::upcaster::{Kinds, Shape, Upcaster};
use crate::error::Result;
use crate::event::Filter;
use crate::limits::{MAX_PAYLOAD_BYTES, MAX_UPCASTERS};

/// The upcasters that events go through as they are read, checked as a whole. Cloning is cheap. Pass it to
/// [`Builder::upcasts`](crate::store::Builder::upcasts), and every read path returns the newest shapes.
///
/// ```
/// use retold::{NewEvent, Query, Store, schema::Upcasts};
/// let upcasts = Upcasts::from_toml("upcast.toml", r#"
///     [[step]]
///     type = "tool.invoked"
///     version = 1
///     to = "tool.called"
///     do = [{ rename = "/ms", to = "seconds" }, { convert = "/seconds", divide = 1000 }]
/// "#)?;
/// let store = Store::builder().upcasts(upcasts).in_memory()?;
/// store.append("run-7", NewEvent::new("tool.invoked").data(serde_json::json!({"tool": "grep", "ms": 1500})))?;
/// let event = &store.read(&Query::branch("run-7")?)?.events[0];
/// assert_eq!((event.kind(), event.version()), ("tool.called", 1));
/// assert_eq!(event.payload(), br#"{"seconds":1.5,"tool":"grep"}"#);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone)]
pub struct Upcasts(Arc<Inner>);

struct Inner {
    kinds: Kinds,
    fingerprint: u64,
}

/// The newest shape of an event stored in an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// Its type.
    pub kind: Arc<str>,
    /// The version of its payload.
    pub version: u32,
    /// Its payload; `None` if it is as stored.
    pub payload: Option<String>,
}

/// An upcaster that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The type that the event had reached.
    pub kind: Arc<str>,
    /// The version that its payload had reached.
    pub version: u32,
    /// Why it could go no further, as a clause.
    pub reason: String,
}

impl Upcasts {
    /// Checks that the upcasters fit together.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a second upcaster from the same version of a type, a gap between
    /// versions, a cycle, and an invalid type name.
    pub fn new(upcasters: impl IntoIterator<Item = Upcaster>) -> Result<Self> {
        let mut kinds = Kinds::new();
        let mut count = 0;
        for upcaster in upcasters {
            count += 1;
            if count > MAX_UPCASTERS {
                return Err(refused(
                    &upcaster,
                    format!("is one too many: the limit is {MAX_UPCASTERS} upcasters"),
                ));
            }
            check(&upcaster)?;
            let of_kind = kinds.entry(upcaster.from.kind.clone()).or_default();
            if let Some(first) = of_kind.get(&upcaster.from.version) {
                let at = first.origin.as_deref().map(|o| format!(", at {o}")).unwrap_or_default();
                return Err(refused(
                    &upcaster,
                    format!("there is already an upcaster from {}{at}", upcaster.from),
                ));
            }
            of_kind.insert(upcaster.from.version, upcaster);
        }
        check_gaps(&kinds)?;
        check_order(&kinds)?;
        let mut set = Inner { kinds, fingerprint: 0 };
        set.fingerprint = fingerprint(set.upcasters());
        Ok(Self(Arc::new(set)))
    }

    /// Parses the upcasters of one file. `name` identifies the file in messages.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) with the file's name and the line, and as [`Upcasts::new`].
    #[cfg(feature = "toml")]
    pub fn from_toml(name: &str, text: &str) -> Result<Self> {
        Self::new(parse::steps(name, text)?)
    }

    /// These upcasters and those of another set.
    ///
    /// # Errors
    /// As [`Upcasts::new`].
    pub fn and(&self, other: &Self) -> Result<Self> {
        Self::new(self.upcasters().chain(other.upcasters()).cloned())
    }

    /// Every upcaster, sorted by type and version.
    pub fn upcasters(&self) -> impl Iterator<Item = &Upcaster> {
        self.0.upcasters()
    }

    /// Whether there are no upcasters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.kinds.is_empty()
    }

    /// Whether events of this type and version have a newer shape.
    #[must_use]
    pub fn touches(&self, kind: &str, version: u32) -> bool {
        self.upcaster(kind, version).is_some()
    }

    fn upcaster(&self, kind: &str, version: u32) -> Option<&Upcaster> {
        self.0.kinds.get(kind)?.get(&version)
    }

    /// The newest shape of an event; `None` if it already has it. `json` says whether its payload is JSON.
    ///
    /// # Errors
    /// [`Stuck`] if an upcaster fails.
    pub fn apply(
        &self,
        kind: &str,
        version: u32,
        payload: &[u8],
        json: bool,
    ) -> Result<Option<Shaped>, Stuck> {
        let Some(first) = self.upcaster(kind, version) else { return Ok(None) };
        let (mut next, mut made) = (Some(first), None::<String>);
        let mut at = &first.from;
        while let Some(upcaster) = next {
            let stuck = |reason| Stuck { kind: at.kind.clone(), version: at.version, reason };
            at = match upcaster.plain_target().filter(|_| !upcaster.looks()) {
                Some(target) => target,
                None if !json => return Err(stuck("its payload is not JSON".into())),
                None => {
                    let text = match &made {
                        Some(text) => text,
                        None => std::str::from_utf8(payload)
                            .map_err(|e| stuck(format!("its payload is not UTF-8: {e}")))?,
                    };
                    let (target, text) = upcaster.apply(text).map_err(stuck)?;
                    if text.len() > MAX_PAYLOAD_BYTES {
                        return Err(stuck(format!(
                            "its payload would have more than {MAX_PAYLOAD_BYTES} bytes"
                        )));
                    }
                    made = Some(text);
                    target
                }
            };
            next = self.upcaster(&at.kind, at.version);
        }
        Ok(Some(Shaped { kind: at.kind.clone(), version: at.version, payload: made }))
    }

    /// Whether events of this type and version have a wanted type, now or after any of their upcasters.
    pub(crate) fn may_be(&self, kind: &str, version: u32, wanted: &dyn Fn(&str) -> bool) -> bool {
        if wanted(kind) {
            return true;
        }
        let Some(first) = self.upcaster(kind, version) else { return false };
        let mut seen: Vec<&Shape> = Vec::new();
        let mut waiting = vec![first];
        while let Some(upcaster) = waiting.pop() {
            for shape in upcaster.target.all() {
                if wanted(&shape.kind) {
                    return true;
                }
                if seen.contains(&shape) {
                    continue;
                }
                seen.push(shape);
                waiting.extend(self.upcaster(&shape.kind, shape.version));
            }
        }
        false
    }

    /// A number that identifies all upcasters: the same for the same upcasters, in every process and release;
    /// different when one of them changes.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// A number that identifies the upcasters that can affect which events match this filter; 0 if there are none.
    /// State that was folded from matching events is out of date when it changes.
    #[must_use]
    pub fn fingerprint_for(&self, interests: &Filter) -> u64 {
        let wanted = |kind: &str| interests.takes_kind(kind);
        let touching: Vec<&Upcaster> =
            self.upcasters().filter(|s| self.may_be(&s.from.kind, s.from.version, &wanted)).collect();
        if touching.is_empty() { 0 } else { fingerprint(touching.into_iter()) }
    }
}

impl Inner {
    fn upcasters(&self) -> impl Iterator<Item = &Upcaster> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, _)| *kind);
        kinds.into_iter().flat_map(|(_, upcasters)| upcasters.values())
    }
}

impl fmt::Debug for Upcasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.upcasters()).finish()
    }
}

fn fingerprint<'a>(upcasters: impl Iterator<Item = &'a Upcaster>) -> u64 {
    let mut hash = Xxh3::new();
    for upcaster in upcasters {
        hash.update(upcaster.canonical().as_bytes());
        hash.update(b"\n");
    }
    hash.digest()
}
