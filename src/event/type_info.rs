use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Invalid, Pattern, Role, check_kind, snake};

/// What the catalogue says of a type, or of all types that match a user's pattern.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    pub(super) name: Cow<'static, str>,
    pub(super) pattern: Option<Pattern>,
    pub(super) domain: Cow<'static, str>,
    pub(super) line: Cow<'static, str>,
    pub(super) version: u32,
    pub(super) aliases: Vec<Cow<'static, str>>,
    /// The names under which an event of this type may be recorded: its own, and aliases in a spelling that is legal.
    pub(super) recorded: Vec<Box<str>>,
    pub(super) role: Role,
    pub(super) schema: Schema,
    pub(super) example: Option<Value>,
    pub(super) built_in: bool,
}

/// Where a schema comes from.
#[derive(Clone)]
pub(super) enum Schema {
    None,
    Given(Arc<Value>),
    /// Derived from a payload struct; made when it is asked for.
    #[cfg(feature = "schema")]
    Derived(fn() -> Value),
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Given(value) => fmt::Debug::fmt(value, f),
            #[cfg(feature = "schema")]
            Self::Derived(_) => f.write_str("Derived"),
        }
    }
}

/// The schema of a payload struct, where schemas are compiled in.
macro_rules! schema_of {
    ($payload:ty) => {{
        #[cfg(feature = "schema")]
        let schema = $crate::event::type_info::Schema::Derived(|| schemars::schema_for!($payload).to_value());
        #[cfg(not(feature = "schema"))]
        let schema = $crate::event::type_info::Schema::None;
        schema
    }};
}
pub(super) use schema_of;

impl TypeInfo {
    /// A row of one of our tables.
    pub(super) fn built_in(
        (name, domain, line): (&'static str, &'static str, &'static str),
        version: u32,
        aliases: &[&'static str],
        role: Role,
        schema: Schema,
        example: Value,
    ) -> Self {
        let aliases = aliases.iter().map(|a| Cow::Borrowed(*a)).collect();
        let (aliases, recorded) = names(name, aliases);
        Self {
            recorded,
            name: name.into(),
            pattern: None,
            domain: domain.into(),
            line: line.trim().trim_end_matches('.').into(),
            version,
            aliases,
            role,
            schema,
            example: Some(example),
            built_in: true,
        }
    }

    /// The dotted name, or the pattern as it was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pattern, for what a user registered for many types at once.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// The part of the catalogue that it belongs to: `coder`, `tool`, `monitoring`, …
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What it means, in a line.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The newest version of the payload's schema.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Other names of the same type. Each stands for all of its spellings: `coder_started` for `CoderStarted` too.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().map(|a| &**a)
    }

    pub(super) fn recorded_names(&self) -> impl Iterator<Item = &str> {
        self.recorded.iter().map(|n| &**n)
    }

    /// What it means to projections.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The JSON Schema of the payload. Built-in types have one when the feature `schema` is on.
    #[must_use]
    pub fn schema(&self) -> Option<Arc<Value>> {
        match &self.schema {
            Schema::None => None,
            Schema::Given(value) => Some(value.clone()),
            #[cfg(feature = "schema")]
            Schema::Derived(make) => Some(Arc::new(make())),
        }
    }

    /// A payload as it may be. Every built-in type has one.
    #[must_use]
    pub fn example(&self) -> Option<&Value> {
        self.example.as_ref()
    }

    /// Whether it comes with this crate.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }
}

/// The aliases of a type, with its name as systems write it that have no dots; and all names that can be recorded.
fn names(name: &str, mut aliases: Vec<Cow<'static, str>>) -> (Vec<Cow<'static, str>>, Vec<Box<str>>) {
    let plain = snake(name);
    if plain != name && !aliases.iter().any(|a| snake(a) == plain) {
        aliases.insert(0, plain.into());
    }
    let legal = |alias: &str| if check_kind(alias).is_ok() { alias.into() } else { snake(alias).into() };
    let recorded = std::iter::once(name.into()).chain(aliases.iter().map(|a| legal(a))).collect();
    (aliases, recorded)
}

/// A type that a user registers: what one `[[type]]` of a TOML file, or one item of `types` in a JSON file, says.
///
/// ```
/// use retold::event::{Catalogue, Phase, TypeSpec};
/// let role = serde_json::from_str(r#"{"entity": {"kind": "parcel", "id": "/parcel"}, "phase": "running"}"#)?;
/// let shipped = TypeSpec::named("parcel.shipped")
///     .line("A parcel left the house")
///     .alias("ParcelShipped")
///     .role(role);
/// let catalogue = Catalogue::builtin().with([shipped])?;
/// let info = catalogue.find("PARCEL_SHIPPED").unwrap();
/// assert_eq!((info.name(), info.domain()), ("parcel.shipped", "parcel"));
/// assert_eq!(info.role().phase(&serde_json::Value::Null), Some(Phase::Running));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TypeSpec {
    /// The dotted name. Either this or `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A glob over names, for many types at once. A type's own name wins over a pattern, an earlier pattern over a
    /// later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The domain; the first part of the name unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What it means, in a line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub line: String,
    /// The newest version of the payload's schema; 1 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Other names of the same type, in any spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What it means to projections.
    #[serde(skip_serializing_if = "Role::is_empty")]
    pub role: Role,
    /// JSON Schema of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// A payload as it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
}

impl TypeSpec {
    /// A type with this name and nothing else.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// All types that match this glob.
    #[must_use]
    pub fn matching(pattern: impl Into<String>) -> Self {
        Self { pattern: Some(pattern.into()), ..Self::default() }
    }

    /// Sets the domain; the first part of the name unless said.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Says what it means, in a line.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.line = line.into();
        self
    }

    /// Sets the newest version of the payload's schema; 1 unless said.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Adds another name of the same type, in any spelling.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// Sets what it means to projections.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Sets the JSON Schema of the payload.
    #[must_use]
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets a payload as it may be.
    #[must_use]
    pub fn example(mut self, example: Value) -> Self {
        self.example = Some(example);
        self
    }

    pub(super) fn info(self) -> Result<TypeInfo, Invalid> {
        let (name, pattern) = match (self.name, self.pattern) {
            (Some(name), None) => {
                check_kind(&name)?;
                (name, None)
            }
            (None, Some(glob)) => {
                let pattern = Pattern::new(&glob)?;
                if !self.aliases.is_empty() {
                    let reason = format!(
                        "of `{glob}`: a pattern has none; register the type that has them by its name"
                    );
                    return Err(Invalid::new("aliases", reason));
                }
                (glob, Some(pattern))
            }
            (Some(name), Some(_)) => {
                return Err(Invalid::new(
                    "type",
                    format!("`{name}` has a name and a pattern; it takes one of them"),
                ));
            }
            (None, None) => return Err(Invalid::new("type", "has neither a name nor a pattern")),
        };
        if self.version == Some(0) {
            return Err(Invalid::new("version", format!("of `{name}` is 0; versions begin with 1")));
        }
        let first = name.split('.').next().filter(|part| !part.contains(['*', ':'])).unwrap_or("custom");
        let domain = self.domain.unwrap_or_else(|| first.to_owned());
        let aliases: Vec<_> = self.aliases.into_iter().map(Cow::Owned).collect();
        let (aliases, recorded) =
            if pattern.is_some() { (aliases, Vec::new()) } else { names(&name, aliases) };
        Ok(TypeInfo {
            recorded,
            aliases,
            domain: domain.into(),
            line: self.line.into(),
            version: self.version.unwrap_or(1),
            role: self.role,
            schema: self.schema.map_or(Schema::None, |s| Schema::Given(Arc::new(s))),
            example: self.example,
            built_in: false,
            name: name.into(),
            pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_the_catalogue_says() {
        let role: Role = serde_json::from_str(r#"{"phase": "running"}"#).unwrap();
        let (schema, example) = (serde_json::json!({"type": "object"}), serde_json::json!({"a": 1}));
        let spec = TypeSpec::named("parcel.shipped")
            .domain("post")
            .line("It left")
            .version(3)
            .alias("sent")
            .alias("posted")
            .role(role.clone())
            .schema(schema.clone())
            .example(example.clone());
        let info = spec.info().unwrap();
        assert_eq!((info.domain(), info.line(), info.version()), ("post", "It left", 3));
        assert_eq!(info.aliases().collect::<Vec<_>>(), ["parcel_shipped", "sent", "posted"]);
        assert_eq!((info.role(), info.schema().as_deref()), (&role, Some(&schema)));
        assert_eq!(info.example(), Some(&example));
    }
}
