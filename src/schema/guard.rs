use crate::event::{Catalogue, Invalid, NewEvent};

#[cfg(feature = "schema")]
use super::validate::Validators;

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
    #[cfg(feature = "schema")]
    validators: Validators,
}

impl Default for Guard {
    /// Accepts everything.
    fn default() -> Self {
        Self {
            catalogue: None,
            strict: false,
            validation: Validation::Off,
            #[cfg(feature = "schema")]
            validators: Validators::default(),
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
        Ok(Self {
            #[cfg(feature = "schema")]
            validators: match validation {
                Validation::Off => Validators::default(),
                _ => Validators::new(catalogue.as_ref().unwrap_or(Catalogue::builtin()))?,
            },
            catalogue,
            strict,
            validation,
        })
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
        let Some(info) = self.catalogue().find(event.kind()) else {
            return if self.strict { Err(self.unknown(event.kind())) } else { Ok(()) };
        };
        #[cfg(feature = "schema")]
        if self.validation != Validation::Off
            && let Err(refused) = self.validators.check(info, event)
        {
            if self.validation == Validation::Enforce {
                return Err(refused);
            }
            tracing::warn!(kind = event.kind(), id = %event.id(), "{refused}");
        }
        let _ = info;
        Ok(())
    }

    fn unknown(&self, kind: &str) -> Invalid {
        let meant = match self.catalogue().nearest(kind) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => "; register it, or open the store without `strict`".to_owned(),
        };
        Invalid::new("type", format!("`{}` is in no catalogue of this store{meant}", kind.escape_debug()))
    }
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
