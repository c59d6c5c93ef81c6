//! Times in states: RFC 3339, as in every front end, and microseconds for years that it cannot express.

use serde::{Deserialize, Deserializer, Serializer};

use crate::event::Timestamp;

pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    let micros = text.strip_suffix("us").and_then(|micros| micros.parse().ok());
    micros.map_or_else(|| text.parse().map_err(serde::de::Error::custom), |m| Ok(Timestamp::from_micros(m)))
}

/// For an optional time.
pub(super) mod maybe {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::event::Timestamp;

    #[derive(Deserialize)]
    struct Time(#[serde(with = "super")] Timestamp);

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.collect_str(time),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<Time>::deserialize(from)?.map(|Time(time)| time))
    }
}

/// Microseconds from one time to a later one; zero when the clock went back.
pub(super) fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.micros().saturating_sub(from.micros())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_comes_back() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct T(#[serde(with = "super")] Timestamp, #[serde(with = "super::maybe")] Option<Timestamp>);
        for micros in [i64::MIN, -1, 0, 1_234_567, i64::MAX] {
            let time = Timestamp::from_micros(micros);
            for t in [T(time, Some(time)), T(time, None)] {
                assert_eq!(serde_json::from_slice::<T>(&serde_json::to_vec(&t).unwrap()).unwrap(), t);
            }
        }
    }
}
