//! What several records of one message repeat: its tokens and its cost so far, which count once.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::EventUsage;
use crate::event::{Catalogue, Event, Measure, Mode, Role};

/// Messages that are kept in mind: the records of one follow each other closely.
const KEPT: usize = 1_024;

/// What was told of which message, for those who sum up a transcript.
#[derive(Debug, Default)]
pub struct ToldOnce {
    told: BTreeMap<String, BTreeMap<Measure, f64>>,
    order: VecDeque<String>,
}

impl ToldOnce {
    /// Leaves in `usage` what an event adds to what earlier ones have told of the same message.
    pub fn leave_new(&mut self, event: &Event, catalogue: &Catalogue, usage: &mut EventUsage) {
        let role: Option<&Role> = catalogue.role(event.kind());
        let Some(role) = role.filter(|_| !usage.is_empty() && event.is_json()) else { return };
        let payload: Value = serde_json::from_slice(event.payload()).unwrap_or_default();
        for figure in role.usage.iter().filter(|figure| figure.mode == Mode::Total) {
            for reading in figure.read(&payload) {
                let Some(message) = reading.of.filter(|message| !message.is_empty()) else { continue };
                let before = self.known(&message).entry(figure.what.clone()).or_default();
                if let Some(place) = place(usage, &figure.what) {
                    *place =
                        place.map(|value| value - *before).filter(|value| *value > 0.0 || *before == 0.0);
                }
                *before = before.max(reading.value);
            }
        }
    }

    fn known(&mut self, message: &str) -> &mut BTreeMap<Measure, f64> {
        if !self.told.contains_key(message) {
            self.order.push_back(message.to_owned());
            if self.order.len() > KEPT
                && let Some(oldest) = self.order.pop_front()
            {
                self.told.remove(&oldest);
            }
        }
        self.told.entry(message.to_owned()).or_default()
    }
}

fn place<'a>(usage: &'a mut EventUsage, measure: &Measure) -> Option<&'a mut Option<f64>> {
    Some(match measure {
        Measure::InputTokens => &mut usage.input,
        Measure::OutputTokens => &mut usage.output,
        Measure::CacheReadTokens => &mut usage.cache_read,
        Measure::CacheWriteTokens => &mut usage.cache_write,
        Measure::Tokens => &mut usage.tokens,
        Measure::CostUsd => &mut usage.cost_usd,
        Measure::DurationMs => &mut usage.duration_ms,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::readable::Readable;
    use crate::event::NewEvent;
    use crate::store::{Query, Store};

    #[test]
    fn what_records_repeat_counts_once_and_what_they_add_counts() {
        let store = Store::in_memory().unwrap();
        let record = |id: &str, output: u64| {
            let usage = serde_json::json!({"input_tokens": 100, "output_tokens": output});
            let message = serde_json::json!({"id": id, "role": "assistant", "content": "x", "usage": usage});
            NewEvent::new("message.assistant").data(serde_json::json!({ "message": message }))
        };
        store.append("s", vec![record("m1", 1), record("m1", 1), record("m2", 5), record("m1", 40)]).unwrap();
        let catalogue = Catalogue::builtin();
        let mut told = ToldOnce::default();
        let rows: Vec<(Option<f64>, Option<f64>)> = store
            .events(Query::branch("s").unwrap())
            .unwrap()
            .map(|event| {
                let event = event.unwrap();
                let mut usage = Readable::of(&event, catalogue).usage;
                told.leave_new(&event, catalogue, &mut usage);
                (usage.input, usage.output)
            })
            .collect();
        assert_eq!(
            rows,
            [(Some(100.0), Some(1.0)), (None, None), (Some(100.0), Some(5.0)), (None, Some(39.0))]
        );
        assert!(told.told.len() <= KEPT && told.order.len() == told.told.len());
    }
}
