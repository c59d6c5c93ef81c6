//! How an event is written.

use retold::Event;
use retold::agents::interop::json;
use retold::wire;

use crate::input::invalid;
use crate::problem::Problem;

/// A form of events, all of them one JSON object without line breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is recorded, byte for byte.
    #[default]
    Exact,
    /// As the command line shows it: payloads always under `data`.
    Shown,
    /// As a CloudEvent.
    CloudEvents,
}

impl Form {
    pub(super) fn parse(name: &str) -> Result<Self, Problem> {
        match name {
            "exact" => Ok(Self::Exact),
            "shown" => Ok(Self::Shown),
            "cloudevents" => Ok(Self::CloudEvents),
            _ => Err(invalid("style", "is none of `exact`, `shown` and `cloudevents`")),
        }
    }

    pub(super) fn write(self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::Exact => json::write(event, json::Style::Exact, out),
            Self::Shown => wire::event(event, out),
            Self::CloudEvents => wire::cloud_event(event, out),
        }
    }
}
