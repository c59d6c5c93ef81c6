//! Whether payloads of an old JSON Schema can be read as those of a new one. What cannot be decided from the two
//! schemas counts as incompatible: better an unnecessary upcaster than an unreadable event.

mod difference;
mod fix;
mod skeleton;
#[cfg(test)]
mod tests;
mod walk;
mod words;

use serde_json::Value;

use crate::event::Invalid;

pub use difference::{Difference, Verdict};

/// The comparison of two schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaDiff {
    /// The differences, ordered by path.
    pub differences: Vec<Difference>,
}

impl SchemaDiff {
    /// Whether every payload of the old schema fits the new one.
    #[must_use]
    pub fn is_compatible(&self) -> bool {
        self.differences.iter().all(|d| d.verdict == Verdict::Compatible)
    }

    /// A draft of an `upcast.toml` that brings old payloads to the new schema, as far as that can be guessed. Review
    /// every guess; what could not be guessed is a comment.
    #[must_use]
    pub fn upcast(&self, kind: &str, version: u32) -> String {
        skeleton::write(&self.differences, kind, version)
    }
}

/// Compares two JSON Schemas, as schemars and people write them: types, properties, items, enumerations, alternatives,
/// bounds, local references. Annotations do not count.
///
/// ```
/// use retold::schema::{Verdict, compare_schemas};
/// use serde_json::json;
/// let old = json!({"type": "object", "properties": {"ms": {"type": "integer"}}});
/// let new = json!({"type": "object", "properties": {"ms": {"type": "integer"}, "tool": {"type": "string"}}, "required": ["tool"]});
/// let diff = compare_schemas(&old, &new)?;
/// assert_eq!((diff.differences[0].path.as_str(), diff.differences[0].verdict), ("/tool", Verdict::Breaking));
/// # Ok::<(), retold::Invalid>(())
/// ```
///
/// # Errors
/// [`Invalid`] for an invalid schema, or one that exceeds a limit on nesting or on pairs of parts to compare.
pub fn compare_schemas(old: &Value, new: &Value) -> Result<SchemaDiff, Invalid> {
    let mut walk = walk::Walk::new(old, new);
    walk.compare("", old, new, 0)?;
    let mut differences = walk.found;
    differences.sort_by(|a, b| (&a.path, b.verdict).cmp(&(&b.path, a.verdict)));
    differences.dedup();
    Ok(SchemaDiff { differences })
}
