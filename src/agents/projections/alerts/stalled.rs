//! Silence that no event ends, which takes a clock to detect.

use super::rule::When;
use super::{Alert, Alerts, Watch};
use crate::error::{Error, Result};
use crate::event::{Address, Expect, Timestamp};
use crate::project::{Emit, Projected, Reading};
use crate::store::Batch;

impl Alerts {
    /// Raises the alerts of silences that have lasted until now, and returns their addresses. To be called regularly;
    /// `watch` is the handle that registering these alerts returned.
    ///
    /// An alert has the id that it would have if the next event had revealed the silence, so it is recorded once,
    /// however often and from wherever this is called. A branch that gets an event at the same moment is left alone.
    ///
    /// # Errors
    /// Those of reading and appending.
    pub fn check_stalled(&self, watch: &Projected<Watch>, now: Timestamp) -> Result<Vec<Address>> {
        let mut raised = Vec::new();
        for reading in watch.list(|r| r.parked.is_none() && r.state.is_running())? {
            let due = self.due(&reading, now);
            if due.is_empty() {
                continue;
            }
            let place: Address = reading.of.parse()?;
            let events = due.iter().map(|alert| {
                let id = Emit::id(&self.name, &self.of(alert, &reading.of), alert.cause);
                Self::event(alert).with_id(id).causation(alert.cause)
            });
            let events: Vec<_> = events.collect();
            let batch = Batch::new().add(place.clone(), Expect::Head(reading.at.into()), events)?;
            match watch.store.append_batch(batch) {
                Ok(receipt) if receipt.duplicate() => {}
                Ok(receipt) => {
                    let last = receipt.last().get();
                    let first = last - due.len() as u64;
                    raised.extend((first + 1..=last).map(|n| place.clone().at(n)));
                }
                Err(Error::Conflict { .. } | Error::Duplicate { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(raised)
    }

    fn due(&self, reading: &Reading<Watch>, now: Timestamp) -> Vec<Alert> {
        let watch = &reading.state;
        // A fork without own events has not begun.
        let own =
            |branch: &str| reading.of.parse::<Address>().is_ok_and(|a| a.place().branch.as_str() == branch);
        if !watch.last.as_ref().is_some_and(|last| own(&last.branch)) {
            return Vec::new();
        }
        let of = |rule: &super::Rule| match rule.when {
            When::Stalled { after } => watch.stalled(rule, after, now),
            _ => None,
        };
        self.rules().filter_map(of).collect()
    }
}
