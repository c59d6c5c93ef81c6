//! Tests of projections without a store: given these events, this is the state.

use std::sync::Arc;

use crate::codec::encode_record;
use crate::event::{Event, NewEvent, Place, Position, Sequence};
use crate::limits::DEFAULT_PAYLOAD_BYTES;
use crate::project::{ApplyError, Emit, Projection};

/// A projection with the events of one branch so far. After every event the state is also passed through the JSON of
/// a snapshot, to find states that do not survive one.
///
/// ```
/// use retold::NewEvent;
/// use retold::agents::projections::Counts;
/// use retold::testkit::Given;
///
/// let place = "run-7".parse::<retold::Address>()?.place().clone();
/// let given = Given::new(place, Counts).when(NewEvent::new("run.started"))?.when(NewEvent::new("run.failed"))?;
/// assert_eq!(given.state().events, 2);
/// # Ok::<(), retold::project::ApplyError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Given<P: Projection> {
    projection: P,
    place: Arc<Place>,
    state: P::State,
    events: u64,
    raised: Vec<Emit>,
}

impl<P: Projection> Given<P> {
    /// Before the first event of a branch.
    pub fn new(place: Place, projection: P) -> Self {
        let place = Arc::new(place);
        Self { projection, place, state: P::State::default(), events: 0, raised: Vec::new() }
    }

    /// The next event of the branch.
    ///
    /// # Errors
    /// What the projection returns; an event that no store accepts; a state that changes in a snapshot.
    pub fn when(mut self, event: NewEvent) -> Result<Self, ApplyError> {
        self.events += 1;
        let occurred = event.occurred;
        let event = Event::new(
            self.place.clone(),
            Sequence::new(self.events),
            Position::new(self.events),
            occurred,
            encode_record(&event, DEFAULT_PAYLOAD_BYTES)?,
        );
        if !self.projection.interests().takes(&event) {
            return Ok(self);
        }
        let before = self.state.clone();
        let mut stored: P::State = serde_json::from_slice(&serde_json::to_vec(&before)?)?;
        self.projection.apply(&mut self.state, &event)?;
        self.projection.apply(&mut stored, &event)?;
        let (plain, stored) = (serde_json::to_value(&self.state)?, serde_json::to_value(&stored)?);
        if plain != stored {
            return Err(ApplyError::new(format!("after a snapshot it is {stored}, without one {plain}")));
        }
        if self.projection.reacts() {
            self.raised.extend(self.projection.react(&before, &self.state, &event));
        }
        Ok(self)
    }

    /// The current state.
    pub fn state(&self) -> &P::State {
        &self.state
    }

    /// Rule and type of each event raised so far.
    pub fn raised(&self) -> Vec<(&str, &str)> {
        self.raised.iter().map(|emit| (emit.rule.as_str(), emit.event.kind())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Forgetful;

    #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
    struct Half {
        shown: u64,
        #[serde(skip)]
        hidden: u64,
    }

    impl Projection for Forgetful {
        type State = Half;

        fn name(&self) -> &str {
            "forgetful"
        }

        fn apply(&self, half: &mut Half, _: &Event) -> Result<(), ApplyError> {
            half.hidden += 1;
            half.shown = half.hidden;
            Ok(())
        }

        fn reacts(&self) -> bool {
            true
        }

        fn react(&self, before: &Half, after: &Half, _: &Event) -> Vec<Emit> {
            assert!(before.shown < after.shown);
            vec![Emit::new("every", NewEvent::new("alert.every"))]
        }
    }

    #[test]
    fn a_state_that_a_snapshot_loses_a_part_of_is_found_out() {
        let place = "s".parse::<crate::event::Address>().unwrap().place().clone();
        let given = Given::new(place, Forgetful).when(NewEvent::new("a.b")).ok().unwrap();
        assert_eq!((given.state().shown, given.raised()), (1, vec![("every", "alert.every")]));
        let error = given.when(NewEvent::new("a.b")).err().unwrap();
        assert_eq!(error.to_string(), "after a snapshot it is {\"shown\":1}, without one {\"shown\":2}");
    }
}
