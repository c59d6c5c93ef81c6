use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::{Invalid, Pattern, Role, TypeInfo, TypeSpec, distance, payload, slips, snake};
use crate::limits::MAX_USER_TYPES;

/// All known types, by name, by alias (their names in other systems), and by pattern. Cloning shares it.
///
/// ```
/// use retold::event::Catalogue;
/// let catalogue = Catalogue::builtin();
/// let info = catalogue.find("CoderStarted").unwrap();
/// assert_eq!(info.name(), "coder.started");
/// assert!(catalogue.find("coder.strated").is_none());
/// assert_eq!(catalogue.nearest("coder.strated"), Some("coder.started"));
/// ```
#[derive(Clone, Debug)]
pub struct Catalogue(Arc<Index>);

#[derive(Clone, Debug, Default)]
struct Index {
    /// Built-in types by domain, then the user's.
    types: Vec<TypeInfo>,
    by_name: HashMap<Box<str>, usize>,
    /// Names and aliases in one spelling.
    by_spelling: HashMap<Box<str>, usize>,
    patterns: Vec<usize>,
}

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
    let mut index = Index::default();
    for info in payload::all() {
        index.add(info);
    }
    Catalogue(Arc::new(index))
});

impl Index {
    /// Adds a type. For a name that is already used, the last one counts.
    fn add(&mut self, info: TypeInfo) {
        let at = match self.by_name.get(&*info.name) {
            Some(at) => *at,
            None => self.types.len(),
        };
        if info.pattern.is_some() {
            self.patterns.push(at);
        } else {
            self.by_name.insert(info.name.as_ref().into(), at);
            for name in std::iter::once(&info.name).chain(&info.aliases) {
                self.by_spelling.entry(snake(name).into()).or_insert(at);
            }
        }
        match self.types.get_mut(at) {
            Some(old) => *old = info,
            None => self.types.push(info),
        }
    }
}

impl Catalogue {
    /// The types built into this crate.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILT_IN
    }

    /// This catalogue with additional types. One with the name of a built-in type replaces it.
    ///
    /// # Errors
    /// [`Invalid`] for an invalid name, a name or an alias used twice, an alias that is another type's name, and more
    /// than [`MAX_USER_TYPES`].
    pub fn with(&self, types: impl IntoIterator<Item = TypeSpec>) -> Result<Self, Invalid> {
        let mut index = (*self.0).clone();
        let mut names: HashMap<String, String> = HashMap::new();
        for spec in types {
            let info = spec.info()?;
            for name in std::iter::once(&info.name).chain(&info.aliases) {
                if snake(name).is_empty() {
                    let reason =
                        format!("`{}` of `{}` has no letter or digit", name.escape_debug(), info.name);
                    return Err(Invalid::new("aliases", reason));
                }
                let taken = names.insert(name.to_string(), info.name.to_string());
                let other = taken.or_else(|| {
                    let at = index.by_name.get(&**name).filter(|_| *name != info.name)?;
                    index.types.get(*at).map(|t| t.name.to_string())
                });
                if let Some(other) = other {
                    let reason = format!("`{name}` is taken: it already names `{other}`");
                    return Err(Invalid::new("type", reason));
                }
            }
            if names.len() > MAX_USER_TYPES {
                return Err(Invalid::new(
                    "types",
                    format!("are too many; the limit is {MAX_USER_TYPES} names"),
                ));
            }
            index.add(info);
        }
        Ok(Self(Arc::new(index)))
    }

    /// The known type of a recorded event: by its name, by an alias, or by the first pattern that matches.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&TypeInfo> {
        let index = &*self.0;
        let at = match index.by_name.get(name) {
            Some(at) => Some(at),
            None => index.by_spelling.get(&*snake(name)),
        };
        let by_pattern = || {
            index
                .patterns
                .iter()
                .find(|at| index.types.get(**at).and_then(TypeInfo::pattern).is_some_and(|p| p.matches(name)))
        };
        at.or_else(by_pattern).and_then(|at| index.types.get(*at))
    }

    /// The role of a type, if it is known and not empty.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.find(name).map(TypeInfo::role).filter(|r| !r.is_empty())
    }

    /// Names that this pattern does not match, of types that it matches under another name.
    pub(super) fn other_names<'a>(&'a self, pattern: &'a Pattern) -> impl Iterator<Item = &'a str> {
        let types = self.types().filter(|_| pattern.names_something());
        let over_all = pattern.may_mean_aliases();
        let some = types.filter(move |t| {
            pattern.matches(t.name()) || (over_all && t.recorded_names().any(|n| pattern.matches(n)))
        });
        some.flat_map(TypeInfo::recorded_names).filter(|n| !pattern.matches(n))
    }

    /// Every type: the built-in ones by domain, then users' types in the order of registration.
    pub fn types(&self) -> impl Iterator<Item = &TypeInfo> {
        self.0.types.iter()
    }

    /// Every domain, in the order of [`Catalogue::types`].
    #[must_use]
    pub fn domains(&self) -> Vec<&str> {
        let mut domains: Vec<&str> = Vec::new();
        for info in self.types() {
            if !domains.contains(&info.domain()) {
                domains.push(info.domain());
            }
        }
        domains
    }

    /// The known name closest to an unknown one, if any is close enough.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let meant = snake(name);
        let all = self.types().filter(|t| t.pattern().is_none());
        let names = all.flat_map(|t| std::iter::once(t.name()).chain(t.aliases()).map(move |n| (t, n)));
        let near = names.map(|(t, n)| (distance(&snake(n), &meant), t));
        let (distance, info) = near.min_by_key(|(distance, _)| *distance)?;
        (distance <= slips(&meant)).then(|| info.name())
    }
}

impl Default for Catalogue {
    /// The built-in one.
    fn default() -> Self {
        Self::builtin().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase;

    fn names(spec: TypeSpec, aliases: &[&str]) -> TypeSpec {
        TypeSpec { aliases: aliases.iter().map(|a| (*a).to_owned()).collect(), ..spec }
    }

    #[test]
    fn a_type_is_found_by_every_spelling_of_its_names() {
        for name in ["coder.started", "coder_started", "CoderStarted", "CODER_STARTED", "coder-started"] {
            assert_eq!(Catalogue::builtin().find(name).map(TypeInfo::name), Some("coder.started"), "{name}");
        }
    }

    #[test]
    fn names_win_over_patterns_and_earlier_patterns_over_later() {
        let own = Catalogue::builtin()
            .with([TypeSpec::matching("acme.*"), TypeSpec::matching("acme.**"), TypeSpec::named("acme.one")])
            .unwrap();
        let found = |name| own.find(name).map(TypeInfo::name);
        assert_eq!(found("acme.one"), Some("acme.one"));
        assert_eq!(found("acme.two"), Some("acme.*"));
        assert_eq!(found("acme.two.three"), Some("acme.**"));
        assert_eq!(found("acne.two"), None);
        assert_eq!(Catalogue::builtin().find("acme.one").map(TypeInfo::name), None);
    }

    #[test]
    fn a_users_type_takes_the_place_of_a_built_in_one() {
        let mut own = TypeSpec::named("coder.started");
        own.version = Some(2);
        let catalogue = Catalogue::builtin().with([own]).unwrap();
        let info = catalogue.find("CoderStarted").unwrap();
        assert_eq!((info.version(), info.is_built_in(), info.role().fixed_phase), (2, false, None));
        assert_eq!(catalogue.types().count(), Catalogue::builtin().types().count());
        let role = Catalogue::builtin().role("coder.started").unwrap();
        assert_eq!(role.fixed_phase, Some(Phase::Running));
    }

    #[test]
    fn what_two_types_claim_is_refused_by_name() {
        let refused = |types: Vec<TypeSpec>| Catalogue::builtin().with(types).unwrap_err().to_string();
        let two = refused(vec![TypeSpec::named("a.b"), TypeSpec::named("a.b")]);
        assert_eq!(two, "type `a.b` is taken: it already names `a.b`");
        let alias = refused(vec![names(TypeSpec::named("a.b"), &["coder.started"])]);
        assert_eq!(alias, "type `coder.started` is taken: it already names `coder.started`");
        assert!(refused(vec![TypeSpec::default()]).contains("neither a name nor a pattern"));
        assert!(refused(vec![TypeSpec::named("Bad Name")]).contains("Bad Name"));
        assert!(refused(vec![TypeSpec::matching("a..b")]).contains("a..b"));
        assert!(refused(vec![names(TypeSpec::named("a.b"), &["…"])]).contains("no letter or digit"));
    }

    #[test]
    fn a_name_that_is_like_nothing_has_no_nearest() {
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.nearest("coder.complete"), Some("coder.completed"));
        assert_eq!(catalogue.nearest("zebra.crossing.seen"), None);
        assert_eq!(catalogue.nearest(""), None);
    }
}
