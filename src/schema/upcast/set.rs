use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::check::{check, check_gaps, check_order, refused};
#[cfg(feature = "toml")]
use super::parse;
use super::step::{Kinds, Shape, Step};
use crate::error::Result;
use crate::event::Filter;
use crate::limits::{MAX_PAYLOAD_BYTES, MAX_UPCAST_STEPS};

/// All steps that events go through while they are read, checked as a whole. Cloning is cheap.
///
/// Give it to [`Builder::upcasts`](crate::store::Builder::upcasts); every path that reads then has the new shapes.
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

/// The newest shape of an event that is stored in an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// Its type.
    pub kind: Arc<str>,
    /// The version of its payload.
    pub version: u32,
    /// Its payload; `None` when that is as it is stored.
    pub payload: Option<String>,
}

/// A step that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The type that the event had come to.
    pub kind: Arc<str>,
    /// The version that its payload had come to.
    pub version: u32,
    /// Why it goes no further, as a clause.
    pub reason: String,
}

impl Upcasts {
    /// Checks that the steps fit together.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a second step from the same version of a type, a version that
    /// no step leads on from although newer ones have steps, steps that go in a circle, and a name that is no type.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Result<Self> {
        let mut kinds = Kinds::new();
        let mut count = 0;
        for step in steps {
            count += 1;
            if count > MAX_UPCAST_STEPS {
                return Err(refused(&step, format!("has more than {MAX_UPCAST_STEPS} steps")));
            }
            check(&step)?;
            let of_kind = kinds.entry(step.from.kind.clone()).or_default();
            if let Some(first) = of_kind.get(&step.from.version) {
                let at = first.origin.as_deref().map(|o| format!(", at {o}")).unwrap_or_default();
                return Err(refused(&step, format!("there is a step from {} already{at}", step.from)));
            }
            of_kind.insert(step.from.version, step);
        }
        check_gaps(&kinds)?;
        check_order(&kinds)?;
        let mut set = Inner { kinds, fingerprint: 0 };
        set.fingerprint = fingerprint(set.steps());
        Ok(Self(Arc::new(set)))
    }

    /// Reads the steps of one file. `name` stands for it in messages.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) with the file's name and the line, and as [`Upcasts::new`].
    #[cfg(feature = "toml")]
    pub fn from_toml(name: &str, text: &str) -> Result<Self> {
        Self::new(parse::steps(name, text)?)
    }

    /// These steps and those of another set.
    ///
    /// # Errors
    /// As [`Upcasts::new`].
    pub fn and(&self, other: &Self) -> Result<Self> {
        Self::new(self.steps().chain(other.steps()).cloned())
    }

    /// Every step, by type and version.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.0.steps()
    }

    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.kinds.is_empty()
    }

    /// Whether events of this type and version have a newer shape.
    #[must_use]
    pub fn touches(&self, kind: &str, version: u32) -> bool {
        self.step(kind, version).is_some()
    }

    fn step(&self, kind: &str, version: u32) -> Option<&Step> {
        self.0.kinds.get(kind)?.get(&version)
    }

    /// The newest shape of an event; `None` when it has it already. `json` says whether its payload is JSON.
    ///
    /// # Errors
    /// [`Stuck`] when a step cannot be taken.
    pub fn apply(
        &self,
        kind: &str,
        version: u32,
        payload: &[u8],
        json: bool,
    ) -> Result<Option<Shaped>, Stuck> {
        let Some(first) = self.step(kind, version) else { return Ok(None) };
        let (mut next, mut made) = (Some(first), None::<String>);
        let mut at = &first.from;
        while let Some(step) = next {
            let stuck = |reason| Stuck { kind: at.kind.clone(), version: at.version, reason };
            at = match step.plain_target().filter(|_| !step.looks()) {
                Some(target) => target,
                None if !json => return Err(stuck("its payload is not JSON".into())),
                None => {
                    let text = match &made {
                        Some(text) => text,
                        None => std::str::from_utf8(payload)
                            .map_err(|e| stuck(format!("its payload is not UTF-8: {e}")))?,
                    };
                    let (target, text) = step.apply(text).map_err(stuck)?;
                    if text.len() > MAX_PAYLOAD_BYTES {
                        return Err(stuck(format!(
                            "its payload would have more than {MAX_PAYLOAD_BYTES} bytes"
                        )));
                    }
                    made = Some(text);
                    target
                }
            };
            next = self.step(&at.kind, at.version);
        }
        Ok(Some(Shaped { kind: at.kind.clone(), version: at.version, payload: made }))
    }

    /// Whether events of this type and version are of a wanted type, now or at any step of theirs.
    pub(crate) fn may_be(&self, kind: &str, version: u32, wanted: &dyn Fn(&str) -> bool) -> bool {
        if wanted(kind) {
            return true;
        }
        let Some(first) = self.step(kind, version) else { return false };
        let mut seen: Vec<&Shape> = Vec::new();
        let mut waiting = vec![first];
        while let Some(step) = waiting.pop() {
            for shape in step.target.all() {
                if wanted(&shape.kind) {
                    return true;
                }
                if seen.contains(&shape) {
                    continue;
                }
                seen.push(shape);
                waiting.extend(self.step(&shape.kind, shape.version));
            }
        }
        false
    }

    /// A number that stands for all steps: the same for the same steps, in every process and release; another when
    /// one of them changes.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// A number that stands for the steps through which an event comes to be taken by this filter, or ceases to be;
    /// 0 when there is none. State that was folded from what the filter takes is out of date when it changes.
    #[must_use]
    pub fn fingerprint_for(&self, interests: &Filter) -> u64 {
        let wanted = |kind: &str| interests.takes_kind(kind);
        let touching: Vec<&Step> =
            self.steps().filter(|s| self.may_be(&s.from.kind, s.from.version, &wanted)).collect();
        if touching.is_empty() { 0 } else { fingerprint(touching.into_iter()) }
    }
}

impl Inner {
    fn steps(&self) -> impl Iterator<Item = &Step> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, _)| *kind);
        kinds.into_iter().flat_map(|(_, steps)| steps.values())
    }
}

impl fmt::Debug for Upcasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps()).finish()
    }
}

fn fingerprint<'a>(steps: impl Iterator<Item = &'a Step>) -> u64 {
    let mut hash = Xxh3::new();
    for step in steps {
        hash.update(step.canonical().as_bytes());
        hash.update(b"\n");
    }
    hash.digest()
}
