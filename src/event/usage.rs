use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Pointers;
use super::pointer::{number, text};

/// A figure in a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What it measures.
    pub what: Measure,
    /// Where it is; every place of a pointer with `*` counts. Without a pointer the event itself counts 1.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub at: Pointers,
    /// How it goes together with those before it.
    pub mode: Mode,
    /// For [`Mode::Total`]: where the thing is named that the total is of. Without a pointer it is the event's entity when
    /// that has an id, otherwise the session. With pointers that lead to nothing, the event stands alone. Records that repeat a message's tokens count once so.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub of: Pointers,
    /// When a number is there, this figure says nothing: a sum beside its parts is not to count twice.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub unless: Pointers,
    /// Where the provider is named; `*` stands for the same as in `at`.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub provider: Pointers,
    /// Where the model is named; `*` stands for the same as in `at`.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub model: Pointers,
}

/// How a figure goes together with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is so now: the last counts, and the peak and the mean mean something. Memory, CPU.
    Gauge,
    /// It is added.
    Delta,
    /// It replaces the total that the same thing reported before, under whatever type. The totals of several things add
    /// up.
    Total,
    /// It sums up what the event's entity used since it began. Of that only what was not reported piece by piece
    /// meanwhile is added, so that the tokens of a run's messages and those of the run do not count twice.
    Sum,
}

/// What a figure measures, with its unit. Any other name is a measure of the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Measure {
    /// MB (10⁶ bytes) of memory.
    MemoryMb,
    /// Percent of one CPU.
    CpuPercent,
    /// MB of disk.
    DiskMb,
    /// Bytes over the network.
    NetworkBytes,
    /// Files.
    Files,
    /// Tokens that a model read.
    InputTokens,
    /// Tokens that a model wrote.
    OutputTokens,
    /// Tokens, where the two are not told apart.
    Tokens,
    /// Tokens that a provider took from its cache.
    CacheReadTokens,
    /// Tokens that a provider put into its cache.
    CacheWriteTokens,
    /// Calls to a provider.
    ApiCalls,
    /// Failures.
    Errors,
    /// US dollars.
    CostUsd,
    /// Milliseconds.
    DurationMs,
    /// Something else, by its name.
    Custom(String),
}

const NAMES: [(&str, Measure); 14] = [
    ("memory_mb", Measure::MemoryMb),
    ("cpu_percent", Measure::CpuPercent),
    ("disk_mb", Measure::DiskMb),
    ("network_bytes", Measure::NetworkBytes),
    ("files", Measure::Files),
    ("input_tokens", Measure::InputTokens),
    ("output_tokens", Measure::OutputTokens),
    ("tokens", Measure::Tokens),
    ("cache_read_tokens", Measure::CacheReadTokens),
    ("cache_write_tokens", Measure::CacheWriteTokens),
    ("api_calls", Measure::ApiCalls),
    ("errors", Measure::Errors),
    ("cost_usd", Measure::CostUsd),
    ("duration_ms", Measure::DurationMs),
];

impl Measure {
    /// The name, as it is written in TOML and JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Custom(name) = self {
            return name;
        }
        NAMES.iter().find(|(_, m)| m == self).map_or("", |(name, _)| name)
    }
}

impl From<String> for Measure {
    fn from(name: String) -> Self {
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, measure)) => measure.clone(),
            None => Self::Custom(name),
        }
    }
}

impl From<Measure> for String {
    fn from(measure: Measure) -> Self {
        measure.as_str().to_owned()
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a figure is in one payload.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageReading {
    /// The number, in the unit of the measure.
    pub value: f64,
    /// What a total is of: `None` for the event's entity, or the session when that has no id, and the empty text for the event alone.
    pub of: Option<String>,
    /// The provider, if it is named.
    pub provider: Option<String>,
    /// The model, if it is named.
    pub model: Option<String>,
}

impl Figure {
    /// What this payload says: nothing, one, or one for each that a `*` stands for.
    #[must_use]
    pub fn read(&self, payload: &Value) -> Vec<UsageReading> {
        if self.unless.number(payload).is_some() {
            return Vec::new();
        }
        if self.at.is_empty() {
            return vec![self.reading(1.0, payload, "")];
        }
        let tried = self.at.iter().map(|p| p.find_all(payload));
        let found =
            tried.map(|all| all.into_iter().filter_map(|(n, v)| Some((n, number(v)?))).collect::<Vec<_>>());
        let first = found.into_iter().find(|all| !all.is_empty()).unwrap_or_default();
        first.into_iter().map(|(name, value)| self.reading(value, payload, &name)).collect()
    }

    fn reading(&self, value: f64, payload: &Value, name: &str) -> UsageReading {
        let word = |at: &Pointers| at.iter().find_map(|p| text(p.find_for(payload, name)?));
        let of = match (self.of.is_empty(), name) {
            (true, "") => None,
            (true, name) => Some(name.to_owned()),
            (false, _) => Some(word(&self.of).unwrap_or_default()),
        };
        UsageReading { value, of, provider: word(&self.provider), model: word(&self.model) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn figure(value: Value) -> Figure {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_item_of_a_list_is_read_with_its_own_model() {
        let f = figure(
            json!({"what": "input_tokens", "at": ["/n", "/usage/*/n"], "mode": "delta", "model": "/usage/*/m"}),
        );
        let all = f.read(&json!({"usage": [{"n": 3, "m": "a"}, {"m": "b"}, {"n": "4"}]}));
        let plain: Vec<_> = all.iter().map(|r| (r.value, r.model.as_deref())).collect();
        assert_eq!(plain, [(3.0, Some("a")), (4.0, None)]);
        assert_eq!(f.read(&json!({"n": 1, "usage": [{"n": 3}]})).len(), 1);
        assert!(f.read(&json!({"usage": 7})).is_empty());
    }

    #[test]
    fn a_total_says_what_it_is_of() {
        let f = figure(json!({"what": "tokens", "at": "/n", "mode": "total", "of": "/id"}));
        let of = |payload| f.read(&payload).pop().and_then(|r| r.of);
        assert_eq!(of(json!({"n": 1, "id": "m1"})).as_deref(), Some("m1"));
        assert_eq!(of(json!({"n": 1})).as_deref(), Some(""));
        let f = figure(json!({"what": "tokens", "at": "/n", "mode": "total"}));
        assert_eq!(f.read(&json!({"n": 1})).pop().and_then(|r| r.of), None);
    }

    #[test]
    fn an_event_can_count_by_itself() {
        let f = figure(json!({"what": "api_calls", "mode": "delta", "provider": "/p"}));
        let [reading] = &f.read(&json!({"p": "acme"}))[..] else { panic!("one") };
        assert_eq!((reading.value, reading.provider.as_deref()), (1.0, Some("acme")));
    }

    #[test]
    fn a_sum_says_nothing_beside_its_parts() {
        let f = figure(json!({"what": "tokens", "at": "/sum", "mode": "delta", "unless": ["/in", "/out"]}));
        assert_eq!(f.read(&json!({"sum": 3, "in": null})).len(), 1);
        assert!(f.read(&json!({"sum": 3, "out": 2})).is_empty());
    }

    #[test]
    fn a_measure_is_its_name() {
        for (name, measure) in NAMES {
            assert_eq!(Measure::from(name.to_owned()), measure);
            assert_eq!(measure.as_str(), name);
        }
        assert_eq!(Measure::from("parcels".to_owned()), Measure::Custom("parcels".into()));
    }
}
