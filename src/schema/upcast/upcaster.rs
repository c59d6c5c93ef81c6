use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

#[cfg(feature = "toml")]
use super::convert::plain;
#[cfg(feature = "toml")]
use super::op::Op;
#[cfg(feature = "toml")]
use super::pointer::Pointer;
#[cfg(feature = "toml")]
use super::tree::Tree;
use crate::panics::caught;

/// A type and the version of its payload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    pub(super) kind: Arc<str>,
    pub(super) version: u32,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.kind, self.version)
    }
}

/// Upcasters by type, then by version.
pub(super) type Kinds = HashMap<Arc<str>, BTreeMap<u32, Upcaster>>;

/// What an event becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    One(Shape),
    /// One of several, by a value of the payload as it was before the upcaster.
    #[cfg(feature = "toml")]
    Split {
        by: Pointer,
        cases: Vec<(String, Shape)>,
        otherwise: Option<Shape>,
    },
}

impl Target {
    pub(super) fn all(&self) -> impl Iterator<Item = &Shape> {
        let (one, cases, otherwise): (_, &[(String, Shape)], _) = match self {
            Self::One(shape) => (Some(shape), &[], None),
            #[cfg(feature = "toml")]
            Self::Split { cases, otherwise, .. } => (None, cases.as_slice(), otherwise.as_ref()),
        };
        one.into_iter().chain(cases.iter().map(|(_, shape)| shape)).chain(otherwise)
    }
}

type Function = Arc<dyn Fn(Value) -> Result<Value, String> + Send + Sync>;

#[derive(Clone)]
enum Work {
    Nothing,
    #[cfg(feature = "toml")]
    Operations(Vec<Op>),
    Function {
        revision: u32,
        function: Function,
    },
}

/// Brings events from one version of a type to the next version, or to another type.
///
/// Upcasters that only rearrange fields are better written in a file, where they can be read and checked without
/// running them (`docs/change.md`). A function can do anything else.
///
/// ```
/// use retold::schema::{Upcaster, Upcasts};
/// let upcaster = Upcaster::new("tool.invoked", 1).function(1, |mut payload| {
///     let args = payload["line"].as_str().ok_or("`line` is missing")?.split(' ').collect::<Vec<_>>();
///     payload["args"] = args.into();
///     Ok(payload)
/// });
/// let upcasts = Upcasts::new([upcaster])?;
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Upcaster {
    pub(super) from: Shape,
    pub(super) target: Target,
    work: Work,
    /// The file and line that define it, for messages.
    pub(super) origin: Option<Arc<str>>,
}

impl Upcaster {
    /// From this version of a type to the next one, with the same payload.
    pub fn new(kind: &str, version: u32) -> Self {
        let kind: Arc<str> = kind.into();
        let next = Shape { kind: kind.clone(), version: version.saturating_add(1) };
        Self { from: Shape { kind, version }, target: Target::One(next), work: Work::Nothing, origin: None }
    }

    /// To another type. Several upcasters may lead to the same.
    pub fn to(mut self, kind: &str, version: u32) -> Self {
        self.target = Target::One(Shape { kind: kind.into(), version });
        self
    }

    /// Transforms the payload, which has to be JSON. The function must be pure. `revision` identifies it in
    /// fingerprints: raise it when the function changes, so that projections rebuild. A panic in it is an error of
    /// that event.
    ///
    /// The whole payload passes through [`serde_json::Value`]: numbers become 64 bits or a double, which may change
    /// the last digit of a fraction, and names are sorted. Operations do not touch what they do not name.
    pub fn function(
        mut self,
        revision: u32,
        function: impl Fn(Value) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        self.work = Work::Function { revision, function: Arc::new(function) };
        self
    }

    #[cfg(feature = "toml")]
    pub(super) fn operations(mut self, operations: Vec<Op>) -> Self {
        self.work = Work::Operations(operations);
        self
    }

    #[cfg(feature = "toml")]
    pub(super) fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    #[cfg(feature = "toml")]
    pub(super) fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// The type it applies to.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.from.kind
    }

    /// The version it applies to.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.from.version
    }

    /// The types and versions that it can lead to.
    pub fn targets(&self) -> impl Iterator<Item = (&str, u32)> {
        self.target.all().map(|shape| (&*shape.kind, shape.version))
    }

    pub(super) fn count(&self) -> usize {
        match &self.work {
            Work::Nothing => 0,
            #[cfg(feature = "toml")]
            Work::Operations(operations) => operations.len(),
            Work::Function { .. } => 1,
        }
    }

    /// Whether it needs to see the payload.
    pub(super) fn looks(&self) -> bool {
        !matches!(self.target, Target::One(_)) || self.count() > 0
    }

    /// The new payload and type.
    pub(super) fn apply(&self, payload: &str) -> Result<(&Shape, String), String> {
        #[cfg(feature = "toml")]
        let mut tree = Tree::Raw(payload);
        #[cfg(feature = "toml")]
        let target = self.choose(&mut tree)?;
        #[cfg(not(feature = "toml"))]
        let Target::One(target) = &self.target;
        let payload = match &self.work {
            Work::Nothing => payload.to_owned(),
            #[cfg(feature = "toml")]
            Work::Operations(operations) => {
                operations.iter().try_for_each(|op| op.apply(&mut tree))?;
                let mut out = String::with_capacity(payload.len());
                tree.write(&mut out);
                out
            }
            Work::Function { function, .. } => {
                let value = serde_json::from_str(payload)
                    .map_err(|e| format!("its payload cannot be read as JSON: {e}"))?;
                let made = caught(|| function(value));
                made.map_err(|said| format!("the upcaster's function panicked: {said}"))??.to_string()
            }
        };
        Ok((target, payload))
    }

    /// The type that an event gets without looking at its payload.
    pub(super) fn plain_target(&self) -> Option<&Shape> {
        match &self.target {
            Target::One(shape) => Some(shape),
            #[cfg(feature = "toml")]
            Target::Split { .. } => None,
        }
    }

    #[cfg(feature = "toml")]
    fn choose(&self, tree: &mut Tree<'_>) -> Result<&Shape, String> {
        let (by, cases, otherwise) = match &self.target {
            Target::One(shape) => return Ok(shape),
            Target::Split { by, cases, otherwise } => (by, cases, otherwise),
        };
        let found = match tree.get(by)? {
            None => None,
            Some(value) => Some(match value.scalar() {
                Some(text) => plain(text)?,
                None => return Err(format!("{by} is {}; a type is chosen by a single value", value.sort())),
            }),
        };
        let case = found.as_ref().and_then(|found| cases.iter().find(|(value, _)| value == found));
        case.map(|(_, shape)| shape).or(otherwise.as_ref()).ok_or_else(|| match found {
            Some(value) => format!("{by} is {value:.40}, for which there is no type"),
            None => format!("{by} is missing, by which its type is chosen"),
        })
    }

    /// A canonical text, for fingerprints.
    pub(super) fn canonical(&self) -> String {
        let mut out = serde_json::json!([&*self.from.kind, self.from.version]).to_string();
        match &self.target {
            Target::One(to) => out += &serde_json::json!(["to", &*to.kind, to.version]).to_string(),
            #[cfg(feature = "toml")]
            Target::Split { by, cases, otherwise } => {
                out += &serde_json::json!(["split", by.to_string()]).to_string();
                for (value, to) in cases {
                    out += &serde_json::json!([value, &*to.kind, to.version]).to_string();
                }
                if let Some(to) = otherwise {
                    out += &serde_json::json!(["otherwise", &*to.kind, to.version]).to_string();
                }
            }
        }
        match &self.work {
            Work::Nothing => {}
            #[cfg(feature = "toml")]
            Work::Operations(operations) => operations.iter().for_each(|op| op.canonical(&mut out)),
            Work::Function { revision, .. } => out += &serde_json::json!(["function", revision]).to_string(),
        }
        out
    }
}

impl fmt::Debug for Upcaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upcaster")
            .field("from", &self.from)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
