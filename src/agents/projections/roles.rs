//! What events mean to the built-in projections: roles by type, each looked up once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::parsed::parsed;
use crate::event::{Catalogue, Event, Mode, Role};
use crate::limits::{MAX_CACHED_ROLES, MAX_LABEL_BYTES};
use crate::sync::{RwLock, read, write};

/// The roles of a catalogue.
#[derive(Debug)]
pub(super) struct Roles {
    catalogue: Catalogue,
    shape: u64,
    known: RwLock<HashMap<Box<str>, Option<Arc<Role>>>>,
    /// Kinds of entity for which some type reports progress.
    advancing: HashSet<String>,
    /// Kinds of entity for which some type sums up what they used.
    summing: HashSet<String>,
}

/// Kind and id of what an event is about, and whether it stands for the session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct About {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) whole: bool,
}

/// An event whose type has a role.
#[derive(Debug)]
pub(super) struct RoleReading {
    pub(super) role: Arc<Role>,
    pub(super) data: Arc<Value>,
    pub(super) about: About,
}

/// The kind of the session itself.
pub(super) const SESSION: &str = "session";

impl Roles {
    pub(super) fn new(catalogue: &Catalogue) -> Arc<Self> {
        let (mut advancing, mut summing) = (HashSet::new(), HashSet::new());
        for role in catalogue.types().map(crate::event::TypeInfo::role) {
            let kind = role.entity.as_ref().map_or(SESSION, |e| e.kind.as_str());
            if role.progress.is_some() {
                advancing.insert(kind.to_owned());
            }
            if role.usage.iter().any(|f| f.mode == Mode::Sum) {
                summing.insert(kind.to_owned());
            }
        }
        let shape = shape_of(catalogue);
        Arc::new(Self { catalogue: catalogue.clone(), shape, known: RwLock::default(), advancing, summing })
    }

    /// A hash of what the types mean: it changes with any role, name or pattern.
    pub(super) fn shape(&self) -> u64 {
        self.shape
    }

    pub(super) fn tells_progress(&self, kind: &str) -> bool {
        self.advancing.contains(kind)
    }

    pub(super) fn sums_up(&self, kind: &str) -> bool {
        self.summing.contains(kind)
    }

    fn role(&self, kind: &str) -> Option<Arc<Role>> {
        if let Some(role) = read(&self.known).get(kind) {
            return role.clone();
        }
        let role = self.catalogue.role(kind).map(|role| Arc::new(role.clone()));
        let mut known = write(&self.known);
        if known.len() < MAX_CACHED_ROLES {
            known.insert(kind.into(), role.clone());
        }
        role
    }

    /// The role of an event, with its data, if the role has the part that is asked for. If the payload is not JSON,
    /// only the type counts.
    pub(super) fn read(&self, event: &Event, asked: impl FnOnce(&Role) -> bool) -> Option<RoleReading> {
        let role = self.role(event.kind()).filter(|role| asked(role))?;
        let data = parsed(event);
        let about = match &role.entity {
            Some(entity) => About {
                kind: entity.kind.clone(),
                id: clip(entity.id(&data, event.correlation())),
                whole: entity.whole,
            },
            None => About { kind: SESSION.to_owned(), id: String::new(), whole: true },
        };
        Some(RoleReading { role, data, about })
    }
}

pub(crate) fn shape_of(catalogue: &Catalogue) -> u64 {
    let mut hash = Xxh3::new();
    let mut word = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for info in catalogue.types() {
        word(info.name().as_bytes());
        word(info.pattern().map_or(String::new(), ToString::to_string).as_bytes());
        info.aliases().for_each(|alias| word(alias.as_bytes()));
        word(&serde_json::to_vec(info.role()).unwrap_or_default());
    }
    hash.digest()
}

/// A text to be kept. Long ones are cut, so that no payload decides how large a state is.
pub(super) fn clip(mut text: String) -> String {
    if text.len() > MAX_LABEL_BYTES {
        text.truncate(text.floor_char_boundary(MAX_LABEL_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TypeSpec;

    #[test]
    fn a_shape_is_another_when_a_role_a_name_or_the_order_of_patterns_is() {
        let own = |types: Vec<TypeSpec>| Roles::new(&Catalogue::builtin().with(types).unwrap()).shape();
        let mut spec = TypeSpec::named("parcel.sent");
        let plain = own(vec![spec.clone()]);
        assert_eq!(plain, own(vec![spec.clone()]));
        spec.role = serde_json::from_str(r#"{"phase": "running"}"#).unwrap();
        let with_role = own(vec![spec.clone()]);
        spec.aliases.push("ParcelGone".into());
        let with_alias = own(vec![spec]);
        let patterns = |a, b| own(vec![TypeSpec::matching(a), TypeSpec::matching(b)]);
        let all =
            [Roles::new(Catalogue::builtin()).shape(), plain, with_role, with_alias, patterns("a.*", "a.**")];
        for (i, shape) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(shape), "{i}");
        }
        assert_ne!(patterns("a.*", "a.**"), patterns("a.**", "a.*"));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let cut = clip("ü".repeat(MAX_LABEL_BYTES));
        assert!(cut.len() <= MAX_LABEL_BYTES && cut.ends_with("ü…"));
        assert_eq!(clip("short".into()), "short");
    }
}
