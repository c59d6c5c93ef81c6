//! A part of a timeline.

use std::collections::HashMap;

use crate::failure::Failure;
use retold::event::{Event, Invalid, Timestamp, parse_span};

/// Where the part that is shown begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Time(Timestamp),
    /// Microseconds after the first event.
    After(i64),
    /// When the event with this sequence happened.
    Sequence(u64),
}

/// `+90s`, `120` or a time.
pub(super) fn edge(text: &str) -> Result<Edge, String> {
    if let Some(span) = text.strip_prefix('+') {
        let span = parse_span(span).map_err(|e| e.reason)?;
        return Ok(Edge::After(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)));
    }
    if let Ok(sequence) = text.parse::<u64>() {
        return Ok(Edge::Sequence(sequence));
    }
    text.parse().map(Edge::Time).map_err(|_| {
        "not a time such as 2026-02-03T04:05:06Z, a span after the first event such as +90s, or a sequence".into()
    })
}

/// The edges of a part, and when the events happened that they name.
#[derive(Clone, Debug, Default)]
pub(super) struct Zoom {
    from: Option<Edge>,
    to: Option<Edge>,
    times: HashMap<u64, Timestamp>,
}

impl Zoom {
    pub(super) fn new(from: Option<Edge>, to: Option<Edge>) -> Self {
        Self { from, to, times: HashMap::new() }
    }

    /// Notes when an event happened that is an edge.
    pub(super) fn take(&mut self, event: &Event) {
        let sequence = event.sequence().get();
        if [self.from, self.to].contains(&Some(Edge::Sequence(sequence))) {
            self.times.insert(sequence, event.occurred());
        }
    }

    /// The part of the whole that is shown; `None` for all of it.
    pub(super) fn of(
        &self,
        (first, last): (Timestamp, Timestamp),
    ) -> Result<Option<(Timestamp, Timestamp)>, Failure> {
        if self.from.is_none() && self.to.is_none() {
            return Ok(None);
        }
        let time = |flag: &'static str, edge: Edge| match edge {
            Edge::Time(time) => Ok(time),
            Edge::After(micros) => Ok(Timestamp::from_micros(first.micros().saturating_add(micros))),
            Edge::Sequence(n) => self.times.get(&n).copied().ok_or_else(|| {
                Invalid::new(flag, format!("is {n}, and there is no event with this sequence"))
            }),
        };
        let from = self.from.map_or(Ok(first), |edge| time("from", edge))?;
        let to = self.to.map_or(Ok(last.max(from)), |edge| time("to", edge))?;
        if from > to {
            return Err(Invalid::new("from", format!("is {from}, after the end at {to}")).into());
        }
        Ok(Some((from, to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_a_time_a_span_from_the_start_or_a_sequence() {
        assert_eq!(edge("+90s"), Ok(Edge::After(90_000_000)));
        assert_eq!(edge("+1h 30m"), Ok(Edge::After(5_400_000_000)));
        assert_eq!(edge("120"), Ok(Edge::Sequence(120)));
        assert!(matches!(edge("2026-02-03T04:05:06Z"), Ok(Edge::Time(_))));
        for bad in ["", "+", "90s", "-1", "+soon", "yesterday"] {
            assert!(edge(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_ends_with_the_whole_unless_it_is_said_otherwise() {
        let at = Timestamp::from_micros;
        let of = |from, to| Zoom::new(from, to).of((at(10), at(100)));
        assert_eq!(of(None, None).unwrap(), None);
        assert_eq!(of(Some(Edge::After(5)), None).unwrap(), Some((at(15), at(100))));
        assert_eq!(of(None, Some(Edge::Time(at(40)))).unwrap(), Some((at(10), at(40))));
        assert_eq!(of(Some(Edge::After(500)), None).unwrap(), Some((at(510), at(510))));
        assert!(of(Some(Edge::After(50)), Some(Edge::After(20))).is_err());
        assert!(of(Some(Edge::Sequence(7)), None).is_err());
    }
}
