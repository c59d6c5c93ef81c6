use serde_json::Value;

use crate::event::{Measure, Role};

/// What one event says that it cost.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EventUsage {
    /// Tokens that the model read, those from the cache apart where the program tells them apart.
    pub input: Option<f64>,
    /// Tokens that the model wrote.
    pub output: Option<f64>,
    /// Tokens that came from the provider's cache.
    pub cache_read: Option<f64>,
    /// Tokens that went into the provider's cache.
    pub cache_write: Option<f64>,
    /// Tokens, where the event does not tell them apart.
    pub tokens: Option<f64>,
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// Milliseconds.
    pub duration_ms: Option<f64>,
    /// The model.
    pub model: Option<String>,
}

impl EventUsage {
    /// Whether the event says nothing of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn of(role: &Role, payload: &Value) -> Self {
        let mut usage = Self::default();
        for figure in &role.usage {
            for reading in figure.read(payload) {
                usage.model = usage.model.take().or(reading.model);
                let Some(place) = usage.place(&figure.what) else { continue };
                *place = Some(place.unwrap_or_default() + reading.value);
            }
        }
        usage
    }

    fn place(&mut self, measure: &Measure) -> Option<&mut Option<f64>> {
        Some(match measure {
            Measure::InputTokens => &mut self.input,
            Measure::OutputTokens => &mut self.output,
            Measure::CacheReadTokens => &mut self.cache_read,
            Measure::CacheWriteTokens => &mut self.cache_write,
            Measure::Tokens => &mut self.tokens,
            Measure::CostUsd => &mut self.cost_usd,
            Measure::DurationMs => &mut self.duration_ms,
            _ => return None,
        })
    }
}
