use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use crate::event::{Catalogue, Invalid, NewEvent, TypeInfo};

/// A validator for each type that has a schema, compiled once: for users' types when the store is opened, so that an
/// invalid schema is reported there; for built-in types on first use.
#[derive(Default)]
pub(super) struct Validators(HashMap<Box<str>, OnceLock<Option<Validator>>>);

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validators({})", self.0.len())
    }
}

impl Validators {
    pub(super) fn new(catalogue: &Catalogue) -> Result<Self, Invalid> {
        let mut all = HashMap::new();
        for info in catalogue.types() {
            let cell = OnceLock::new();
            if !info.is_built_in()
                && let Some(schema) = info.schema()
            {
                let _ = cell.set(Some(compile(info.name(), &schema)?));
            }
            all.insert(info.name().into(), cell);
        }
        Ok(Self(all))
    }

    /// Validates a payload against the schema of its type. Payloads that are not JSON or have a different version
    /// than the schema, and types without a schema, pass.
    pub(super) fn check(&self, info: &TypeInfo, event: &NewEvent) -> Result<(), Invalid> {
        if event.version != info.version() || !event.is_json() {
            return Ok(());
        }
        match self.of(info) {
            Some(validator) => fits(info.name(), validator, &payload(event)?),
            None => Ok(()),
        }
    }

    /// The validator of a type that has a schema.
    pub(super) fn of(&self, info: &TypeInfo) -> Option<&Validator> {
        let cell = self.0.get(info.name())?;
        cell.get_or_init(|| compile(info.name(), &*info.schema()?).ok()).as_ref()
    }
}

/// The payload of an event whose content type is JSON.
pub(super) fn payload(event: &NewEvent) -> Result<Value, Invalid> {
    serde_json::from_slice(&event.payload).map_err(|e| Invalid::new("data", format!("is not JSON: {e}")))
}

/// Validates a payload against the schema of this type.
pub(super) fn fits(kind: &str, validator: &Validator, payload: &Value) -> Result<(), Invalid> {
    let mut errors = validator.iter_errors(payload);
    let Some(first) = errors.next() else { return Ok(()) };
    let place = match first.instance_path().as_str() {
        "" => "at its root".to_owned(),
        path => format!("at `{path}`"),
    };
    let rule = first.kind().keyword();
    let more = match errors.count() {
        0 => String::new(),
        n => format!("; {n} more"),
    };
    let what = first.masked();
    let reason = format!("{place} does not fit the schema of `{kind}`: {what} (rule `{rule}`){more}");
    Err(Invalid::new("data", reason))
}

/// Compiles a schema. References to other documents are not followed.
pub(super) fn compile(name: &str, schema: &Value) -> Result<Validator, Invalid> {
    jsonschema::validator_for(schema).map_err(|e| {
        let place = match e.instance_path().as_str() {
            "" => String::new(),
            path => format!(" at `{path}`"),
        };
        Invalid::new("schema", format!("of `{name}` is not a JSON Schema{place}: {e}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TypeSpec;
    use serde_json::json;

    fn checked(kind: &'static str, payload: Value) -> Result<(), String> {
        let catalogue = Catalogue::builtin();
        let validators = Validators::new(catalogue).unwrap();
        let event = NewEvent::new(kind).data(payload);
        validators.check(catalogue.find(kind).unwrap(), &event).map_err(|e| e.to_string())
    }

    #[test]
    fn every_built_in_schema_is_one_and_takes_its_example() {
        let validators = Validators::new(Catalogue::builtin()).unwrap();
        for info in Catalogue::builtin().types() {
            let (Some(schema), Some(example)) = (info.schema(), info.example()) else {
                panic!("{} has no schema or no example", info.name());
            };
            compile(info.name(), &schema).unwrap();
            let event = NewEvent::new(info.name().to_owned()).data(example.clone());
            validators.check(info, &event).unwrap();
            let not_it = NewEvent::new(info.name().to_owned()).data(json!(17));
            assert!(validators.check(info, &not_it).is_err(), "{} takes a number", info.name());
        }
    }

    #[test]
    fn a_refusal_names_path_rule_and_how_many_more() {
        let e = checked("coder.progress", json!({"progress": "forty", "stage": 3})).unwrap_err();
        assert!(
            e.starts_with("data at `/progress` does not fit the schema of `coder.progress`: value is not of"),
            "{e}"
        );
        assert!(e.ends_with("(rule `type`); 1 more"), "{e}");
        assert!(!e.contains("forty"), "the payload is nobody's business in a log: {e}");
        let e = checked("coder.output", json!({})).unwrap_err();
        assert!(
            e.contains("at its root") && e.contains("\"output\" is a required") && e.contains("`required`"),
            "{e}"
        );
    }

    #[test]
    fn members_that_are_not_known_are_welcome() {
        checked("coder.progress", json!({"progress": 3, "mood": {"of": ["any", "shape"]}})).unwrap();
    }

    #[test]
    fn bytes_and_other_versions_pass() {
        let catalogue = Catalogue::builtin();
        let validators = Validators::new(catalogue).unwrap();
        let info = catalogue.find("coder.progress").unwrap();
        let wrong = || NewEvent::new("coder.progress").data(json!(1));
        assert!(validators.check(info, &wrong()).is_err());
        validators.check(info, &wrong().version(2)).unwrap();
        validators.check(info, &NewEvent::new("coder.progress").bytes("text/plain", "1")).unwrap();
    }

    #[test]
    fn an_invalid_schema_is_reported_with_its_place() {
        let refused = |schema: Value| {
            let mut spec = TypeSpec::named("acme.one");
            spec.schema = Some(schema);
            let catalogue = Catalogue::builtin().with([spec]).unwrap();
            Validators::new(&catalogue).unwrap_err().to_string()
        };
        let e = refused(json!({"type": "object", "properties": {"n": {"type": "nummer"}}}));
        assert!(e.starts_with("schema of `acme.one` is not a JSON Schema at `/properties/n/type`"), "{e}");
        let e = refused(json!(7));
        assert!(e.starts_with("schema of `acme.one` is not a JSON Schema"), "{e}");
        let e = refused(json!({"$ref": "https://example.org/other.json"}));
        assert!(e.starts_with("schema of `acme.one` is not a JSON Schema"), "{e}");
    }
}
