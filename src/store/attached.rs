//! What other rooms keep beside one open store: one value of a type, shared by all its handles.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::behind::Desk;
use super::sync::lock;
use crate::error::Result;

/// The values, by type. They must not hold a handle of the store: it would never close.
#[derive(Debug, Default)]
pub(super) struct Attached(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Attached {
    fn get_or_make<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut values = lock(&self.0);
        if let Some(value) = values.get(&TypeId::of::<T>()).and_then(|v| v.clone().downcast().ok()) {
            return value;
        }
        let value = Arc::new(make());
        values.insert(TypeId::of::<T>(), value.clone());
        value
    }
}

impl Desk {
    /// The value of this type that belongs to the store, made when it is first asked for. `make` must not ask for
    /// another.
    pub(crate) fn attached<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Result<Arc<T>> {
        self.process().check()?;
        Ok(self.shared().attached.get_or_make(make))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::store::Store;

    #[test]
    fn handles_of_one_store_share_a_value_and_stores_do_not() {
        let (one, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
        let first = one.desk().attached(|| String::from("one")).unwrap();
        let again = one.clone().desk().attached(|| String::from("again")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(*other.desk().attached(|| String::from("other")).unwrap(), "other");
        assert_eq!(*one.desk().attached(|| 7_u64).unwrap(), 7);
        assert_eq!(*first, "one");
    }
}
