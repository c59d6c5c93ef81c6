//! Temporal's spellings: members in two cases, event types as words or numbers.

use std::borrow::Cow;

use super::fields::Fields;
use super::names;

/// The event types in the order of their numbers, from 1: `temporal/api/enums/v1/event_type.proto` of Temporal's API.
const TYPES: [&str; 60] = [
    "workflow_execution_started",
    "workflow_execution_completed",
    "workflow_execution_failed",
    "workflow_execution_timed_out",
    "workflow_task_scheduled",
    "workflow_task_started",
    "workflow_task_completed",
    "workflow_task_timed_out",
    "workflow_task_failed",
    "activity_task_scheduled",
    "activity_task_started",
    "activity_task_completed",
    "activity_task_failed",
    "activity_task_timed_out",
    "activity_task_cancel_requested",
    "activity_task_canceled",
    "timer_started",
    "timer_fired",
    "timer_canceled",
    "workflow_execution_cancel_requested",
    "workflow_execution_canceled",
    "request_cancel_external_workflow_execution_initiated",
    "request_cancel_external_workflow_execution_failed",
    "external_workflow_execution_cancel_requested",
    "marker_recorded",
    "workflow_execution_signaled",
    "workflow_execution_terminated",
    "workflow_execution_continued_as_new",
    "start_child_workflow_execution_initiated",
    "start_child_workflow_execution_failed",
    "child_workflow_execution_started",
    "child_workflow_execution_completed",
    "child_workflow_execution_failed",
    "child_workflow_execution_canceled",
    "child_workflow_execution_timed_out",
    "child_workflow_execution_terminated",
    "signal_external_workflow_execution_initiated",
    "signal_external_workflow_execution_failed",
    "external_workflow_execution_signaled",
    "upsert_workflow_search_attributes",
    "workflow_execution_update_accepted",
    "workflow_execution_update_rejected",
    "workflow_execution_update_completed",
    "workflow_properties_modified_externally",
    "activity_properties_modified_externally",
    "workflow_properties_modified",
    "workflow_execution_update_admitted",
    "nexus_operation_scheduled",
    "nexus_operation_started",
    "nexus_operation_completed",
    "nexus_operation_failed",
    "nexus_operation_canceled",
    "nexus_operation_timed_out",
    "nexus_operation_cancel_requested",
    "workflow_execution_options_updated",
    "nexus_operation_cancel_request_completed",
    "nexus_operation_cancel_request_failed",
    "workflow_execution_paused",
    "workflow_execution_unpaused",
    "workflow_execution_time_skipping_transitioned",
];
/// Members of an event, besides its attributes.
const MEMBERS: [&str; 9] = [
    "event_id",
    "event_time",
    "event_type",
    "version",
    "task_id",
    "worker_may_ignore",
    "user_metadata",
    "links",
    "principal",
];

/// An event type in snake case, however it is written. An unknown number stays a number.
pub(super) fn kind(written: &str) -> String {
    let known = written.parse::<usize>().ok().and_then(|n| TYPES.get(n.checked_sub(1)?));
    match known {
        Some(known) => (*known).to_owned(),
        None => names::snake(written.strip_prefix("EVENT_TYPE_").unwrap_or(written)),
    }
}

/// Whether this can only be one of Temporal's event types.
pub(super) fn is_event_type(written: &str) -> bool {
    written.starts_with("EVENT_TYPE_") || TYPES.contains(&kind(written).as_str())
}

/// Whether an event of Temporal's has a member of this name.
pub(super) fn is_member(name: &str) -> bool {
    let plain = names::snake(name);
    is_attributes(name) || MEMBERS.contains(&plain.as_str()) || matches!(name, "attributes" | "details")
}

/// Whether a member of this name holds the attributes of an event type.
pub(super) fn is_attributes(name: &str) -> bool {
    name.ends_with("EventAttributes") || name.ends_with("_event_attributes")
}

/// Members that are looked up as in Temporal's JSON, `eventId`, and also found as in its protocol, `event_id`.
pub(super) struct Members<'f, 'a>(&'f Fields<'a>);

impl<'f, 'a> Members<'f, 'a> {
    pub(super) fn new(fields: &'f Fields<'a>) -> Self {
        Self(fields)
    }

    fn either<T>(&self, name: &str, get: impl Fn(&Fields<'a>, &str) -> Option<T>) -> Option<T> {
        get(self.0, name).or_else(|| get(self.0, &names::snake(name)))
    }

    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.either(name, Fields::text)
    }

    pub(super) fn word(&self, name: &str) -> Option<Cow<'a, str>> {
        self.either(name, Fields::word)
    }

    pub(super) fn scalar(&self, name: &str) -> Option<Cow<'a, str>> {
        self.either(name, Fields::scalar)
    }

    pub(super) fn object(&self, name: &str) -> Fields<'a> {
        self.either(name, |f, name| f.has(name).then(|| f.object(name))).unwrap_or_default()
    }
}
