//! The handle to the schemas of payloads.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::store::handle::store::Store;

/// The JSON Schemas of an open store: those of its [catalogue](Store::catalogue), and those registered here.
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task. Nothing
/// here reads or writes the file. Needs the feature `schema`.
///
/// ```
/// use retold::schema::Validation;
/// use retold::{Error, NewEvent, Store};
/// use serde_json::json;
/// let store = Store::builder().validation(Validation::Enforce).in_memory()?;
/// let schemas = store.schemas();
/// schemas.register("parcel.shipped", &json!({"type": "object", "required": ["parcel"]}))?;
/// assert!(schemas.validate("parcel.shipped", &json!({"parcel": "p-7"})).is_ok());
/// assert!(matches!(schemas.validate("parcel.shipped", &json!({})), Err(Error::Invalid(_))));
/// let event = NewEvent::new("parcel.shipped").data(json!({}));
/// assert!(matches!(store.append("p-7", event), Err(Error::Invalid(_))));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schemas {
    store: Store,
}

impl Store {
    /// The schemas of payloads: registering one while the store is open, and validating a payload alone.
    #[must_use]
    pub fn schemas(&self) -> Schemas {
        Schemas { store: self.clone() }
    }
}

impl Schemas {
    /// Sets the schema of a type, for as long as the store is open; it takes the place of an earlier one, also of that in
    /// the catalogue. Appends that begin later are validated against it as the store's
    /// [`Validation`](crate::schema::Validation) says: payloads of the version that the catalogue has for the type, or 1. A
    /// [strict](crate::store::Builder::strict) store then takes the type. An alias stands for its type.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid type name or schema, and for more than
    /// [`MAX_USER_TYPES`](crate::limits::MAX_USER_TYPES) types; [`Error::OtherProcess`].
    pub fn register(&self, kind: &str, schema: &Value) -> Result<()> {
        let handle = self.store.inner();
        handle.process().check()?;
        Ok(handle.guard().register(kind, schema)?)
    }

    /// Validates a payload against the schema of a type, whatever the store's [`Validation`](crate::schema::Validation).
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field `data` for a payload that does not fit, naming the place and the rule, or with the
    /// field `schema` for an invalid schema of the catalogue; [`Error::NotFound`] for a type without a schema;
    /// [`Error::OtherProcess`].
    pub fn validate(&self, kind: &str, payload: &Value) -> Result<()> {
        let handle = self.store.inner();
        handle.process().check()?;
        match handle.guard().validate(kind, payload)? {
            true => Ok(()),
            false => Err(Error::not_found("schema of type", kind.escape_debug())),
        }
    }
}
