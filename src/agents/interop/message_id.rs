//! The id that the records of one message have in common: its pieces and the whole, or several records of one answer.

use serde_json::Value;

/// Where it is, in our own payloads and in records of other programs.
const PLACES: [&str; 3] = ["/message_id", "/message/id", "/data/messageId"];

/// The id of the message, if it has one.
pub(super) fn of(payload: &Value) -> Option<String> {
    let mut found = PLACES.iter().filter_map(|at| payload.pointer(at)?.as_str());
    found.find(|id| !id.is_empty()).map(str::to_owned)
}
