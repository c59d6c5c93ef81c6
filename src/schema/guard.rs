#[cfg(feature = "schema")]
use std::sync::OnceLock;

#[cfg(feature = "schema")]
use serde_json::Value;

use crate::event::{Catalogue, Invalid, NewEvent};

#[cfg(feature = "schema")]
use super::registered::{RegisteredSchema, RegisteredSchemas};
#[cfg(feature = "schema")]
use super::validate::{Validators, fits};
#[cfg(feature = "schema")]
use crate::event::{TypeInfo, check_kind};

/// Whether payloads are validated against the JSON Schema of their type when they are appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// No validation.
    #[default]
    Off,
    /// Payloads that do not fit are logged through `tracing`, and recorded.
    #[cfg(feature = "schema")]
    Warn,
    /// Payloads that do not fit are refused.
    #[cfg(feature = "schema")]
    Enforce,
}

/// The rules for the types and payloads of an append. Checked on the producer's thread.
#[derive(Debug)]
pub(crate) struct Guard {
    /// `None` for the built-in one, which is created on first use.
    catalogue: Option<Catalogue>,
    strict: bool,
    validation: Validation,
    /// Of the catalogue: made when the store is opened if appends are validated, otherwise on first use.
    #[cfg(feature = "schema")]
    validators: OnceLock<Result<Validators, Invalid>>,
    #[cfg(feature = "schema")]
    registered: RegisteredSchemas,
}

impl Default for Guard {
    /// Accepts everything.
    fn default() -> Self {
        Self {
            catalogue: None,
            strict: false,
            validation: Validation::Off,
            #[cfg(feature = "schema")]
            validators: OnceLock::new(),
            #[cfg(feature = "schema")]
            registered: RegisteredSchemas::default(),
        }
    }
}

impl Guard {
    /// # Errors
    /// [`Invalid`] with the field `schema` if a user's schema is invalid and payloads are to be validated.
    pub(crate) fn new(
        catalogue: Option<Catalogue>,
        strict: bool,
        validation: Validation,
    ) -> Result<Self, Invalid> {
        let guard = Self {
            catalogue,
            strict,
            validation,
            #[cfg(feature = "schema")]
            validators: OnceLock::new(),
            #[cfg(feature = "schema")]
            registered: RegisteredSchemas::default(),
        };
        #[cfg(feature = "schema")]
        if validation != Validation::Off {
            guard.validators()?;
        }
        Ok(guard)
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.catalogue.as_ref().unwrap_or_else(|| Catalogue::builtin())
    }

    /// # Errors
    /// [`Invalid`] with the field `type` for a type unknown to a strict store, and with `data` for a payload that
    /// does not fit its schema, if that is enforced.
    pub(crate) fn check(&self, event: &NewEvent) -> Result<(), Invalid> {
        if !self.strict && self.validation == Validation::Off {
            return Ok(());
        }
        let info = self.catalogue().find(event.kind());
        #[cfg(feature = "schema")]
        if let Some(registered) = self.registered(event.kind(), info) {
            return self.validated(event, || registered.check(event));
        }
        match info {
            #[cfg(feature = "schema")]
            Some(info) => self.validated(event, || self.validators()?.check(info, event)),
            #[cfg(not(feature = "schema"))]
            Some(_) => Ok(()),
            None if self.strict => Err(self.unknown(event.kind())),
            None => Ok(()),
        }
    }

    fn unknown(&self, kind: &str) -> Invalid {
        let meant = match self.catalogue().nearest(kind) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => "; register it, or open the store without `strict`".to_owned(),
        };
        Invalid::new("type", format!("`{}` is in no catalogue of this store{meant}", kind.escape_debug()))
    }
}

#[cfg(feature = "schema")]
impl Guard {
    /// # Errors
    /// [`Invalid`] with the field `schema` for an invalid schema of the catalogue.
    fn validators(&self) -> Result<&Validators, Invalid> {
        let all = self.validators.get_or_init(|| Validators::new(self.catalogue()));
        all.as_ref().map_err(Invalid::clone)
    }

    /// Refuses, or logs, what does not fit.
    fn validated(
        &self,
        event: &NewEvent,
        check: impl FnOnce() -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        match self.validation {
            Validation::Off => Ok(()),
            Validation::Enforce => check(),
            Validation::Warn => {
                if let Err(refused) = check() {
                    tracing::warn!(kind = event.kind(), id = %event.id(), "{refused}");
                }
                Ok(())
            }
        }
    }

    /// The schema that was registered for a type; `info` is what the catalogue says of it.
    fn registered(&self, kind: &str, info: Option<&TypeInfo>) -> Option<RegisteredSchema> {
        self.registered.get(canonical(kind, info))
    }

    /// Sets the schema of a type.
    ///
    /// # Errors
    /// [`Invalid`] for an invalid name, with the field `schema` for an invalid schema, and for too many.
    pub(crate) fn register(&self, kind: &str, schema: &Value) -> Result<(), Invalid> {
        let info = self.catalogue().find(kind);
        let kind = canonical(kind, info);
        check_kind(kind)?;
        self.registered.register(kind, info.map_or(1, TypeInfo::version), schema)
    }

    /// Validates a payload alone; `false` if the type has no schema.
    ///
    /// # Errors
    /// [`Invalid`] with the field `data` for a payload that does not fit, and with `schema` for an invalid schema of the
    /// catalogue.
    pub(crate) fn validate(&self, kind: &str, payload: &Value) -> Result<bool, Invalid> {
        let info = self.catalogue().find(kind);
        if let Some(registered) = self.registered(kind, info) {
            return registered.fits(payload).map(|()| true);
        }
        let Some(info) = info else { return Ok(false) };
        let Some(validator) = self.validators()?.of(info) else { return Ok(false) };
        fits(info.name(), validator, payload).map(|()| true)
    }
}

/// The name of a type that was given by any of its names. One that the catalogue knows only by a pattern has its own.
#[cfg(feature = "schema")]
fn canonical<'a>(kind: &'a str, info: Option<&'a TypeInfo>) -> &'a str {
    info.filter(|info| info.pattern().is_none()).map_or(kind, TypeInfo::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TypeSpec;

    #[test]
    fn a_strict_guard_names_the_type_that_was_meant() {
        let own = Catalogue::builtin().with([TypeSpec::matching("acme.**")]).unwrap();
        let guard = Guard::new(Some(own), true, Validation::Off).unwrap();
        for known in ["coder.started", "coder_started", "acme.any.thing"] {
            guard.check(&NewEvent::new(known)).unwrap();
        }
        let refused = |kind: &'static str| guard.check(&NewEvent::new(kind)).unwrap_err().to_string();
        assert_eq!(
            refused("coder.strated"),
            "type `coder.strated` is in no catalogue of this store; did you mean `coder.started`?"
        );
        assert_eq!(
            refused("zebra.crossing"),
            "type `zebra.crossing` is in no catalogue of this store; register it, or open the store without `strict`"
        );
    }

    #[test]
    fn a_guard_that_is_not_strict_takes_any_type() {
        let guard = Guard::new(None, false, Validation::Off).unwrap();
        guard.check(&NewEvent::new("coder.strated")).unwrap();
    }
}
