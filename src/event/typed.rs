//! A payload as the struct of its type.

use super::{Catalogue, Event, Invalid, Payload};

impl Event {
    /// The payload as the struct of its type.
    ///
    /// ```
    /// # use retold::{NewEvent, Store};
    /// use retold::event::payload::coder::CoderProgress;
    /// # let store = Store::in_memory()?;
    /// let new = NewEvent::new("coder.progress").data(serde_json::json!({"progress": 40, "mood": "fine"}));
    /// let id = new.id();
    /// store.append("run-7", new)?;
    /// let progress: CoderProgress = store.get(id)?.payload_as()?;
    /// assert_eq!(progress.progress, Some(40.0));
    /// assert_eq!(progress.more["mood"], "fine");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid`] with the field `type` when the event is of another type (one that the built-in catalogue knows under
    /// another name is the same), and with `data` when the payload is not of that shape.
    pub fn payload_as<T: Payload>(&self) -> Result<T, Invalid> {
        let same = || Catalogue::builtin().find(self.kind()).is_some_and(|t| t.name() == T::NAME);
        if self.kind() != T::NAME && !same() {
            let reason = format!("of {} is `{}`, not `{}`", self.address(), self.kind(), T::NAME);
            return Err(Invalid::new("type", reason));
        }
        self.json()
    }
}
