//! Schemas that were registered while the store is open.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;

use super::validate::{compile, fits, payload};
use crate::event::{Invalid, NewEvent};
use crate::limits::MAX_USER_TYPES;
use crate::sync::{RwLock, read, write};

/// A compiled schema.
#[derive(Clone)]
pub(super) struct RegisteredSchema {
    kind: Arc<str>,
    version: u32,
    validator: Arc<Validator>,
}

impl RegisteredSchema {
    pub(super) fn check(&self, event: &NewEvent) -> Result<(), Invalid> {
        match event.version == self.version && event.is_json() {
            true => fits(&self.kind, &self.validator, &payload(event)?),
            false => Ok(()),
        }
    }

    pub(super) fn fits(&self, payload: &Value) -> Result<(), Invalid> {
        fits(&self.kind, &self.validator, payload)
    }
}

/// By type.
#[derive(Default)]
pub(super) struct RegisteredSchemas(RwLock<HashMap<Arc<str>, RegisteredSchema>>);

impl fmt::Debug for RegisteredSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegisteredSchemas")
    }
}

impl RegisteredSchemas {
    pub(super) fn register(&self, kind: &str, version: u32, schema: &Value) -> Result<(), Invalid> {
        let kind: Arc<str> = kind.into();
        let validator = Arc::new(compile(&kind, schema)?);
        let mut all = write(&self.0);
        if all.len() >= MAX_USER_TYPES && !all.contains_key(&kind) {
            let reason = format!("of `{kind}` is one too many: the limit is {MAX_USER_TYPES} types");
            return Err(Invalid::new("schema", reason));
        }
        all.insert(kind.clone(), RegisteredSchema { kind, version, validator });
        Ok(())
    }

    pub(super) fn get(&self, kind: &str) -> Option<RegisteredSchema> {
        read(&self.0).get(kind).cloned()
    }
}
