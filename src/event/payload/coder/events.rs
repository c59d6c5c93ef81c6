//! Events of a coder, by category: lifecycle, progress, workspace, provider, resource.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    CoderApiCall, CoderApiError, CoderCompleted, CoderCreated, CoderDeleted, CoderFailed, CoderFileCreated,
    CoderFileDeleted, CoderFileModified, CoderMilestone, CoderOutput, CoderPaused, CoderProgress,
    CoderRateLimited, CoderResourceLimit, CoderResourceUsage, CoderResumed, CoderStarted, CoderStopped,
    CoderWorkspaceSynced,
};
use crate::event::payload::Payload;
use crate::event::{NewEvent, Phase};

/// Makes the events of one coder.
///
/// ```
/// use retold::event::Phase;
/// use retold::event::payload::coder::{Coder, Operation};
/// use retold::Store;
/// let coder = Coder::new("coder-1");
/// let store = Store::in_memory()?;
/// store.append("run-7", coder.lifecycle(Some(Phase::Created), Phase::Running, None))?;
/// store.append("run-7", coder.workspace(Operation::Modify, "src/name.rs", Some(934), None))?;
/// store.append("run-7", coder.progress(40.0, "tests", "writing the failing test"))?;
/// let failed = coder.lifecycle(Some(Phase::Running), Phase::Failed, Some("no compiler"));
/// assert_eq!(failed.kind(), "coder.failed");
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coder {
    id: String,
}

/// What was done to the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file was created.
    Create,
    /// A file was changed.
    Modify,
    /// A file was deleted.
    Delete,
    /// The workspace was synchronised with another copy; the path is the workspace's.
    Sync,
}

/// The resources that a coder uses. What is unknown is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// MB of memory.
    pub memory_mb: Option<f64>,
    /// Percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// MB of disk.
    pub disk_mb: Option<f64>,
    /// Bytes over the network since the coder began.
    pub network_bytes: Option<u64>,
    /// Files in the workspace.
    pub file_count: Option<u64>,
}

/// An event with the payload of one of our structs, whose members serde always accepts.
fn event<T: Payload>(payload: &T) -> NewEvent {
    NewEvent::new(T::NAME).version(T::VERSION).data(serde_json::to_value(payload).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Coder {
    /// A coder with this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }

    fn id(&self) -> Option<String> {
        Some(self.id.clone())
    }

    /// **Lifecycle**: it goes from one phase to another. The type depends on both: from `Paused` to `Running` it is
    /// `coder.resumed`, from anywhere else `coder.started`. `why` is the error of a failure, and otherwise the
    /// reason. A coder that waits is paused, and one that is cancelled is stopped: there are no types for these.
    pub fn lifecycle(&self, previous: Option<Phase>, current: Phase, why: Option<&str>) -> NewEvent {
        let why = why.map(str::to_owned);
        let (error, reason) = if current == Phase::Failed { (why, None) } else { (None, why) };
        macro_rules! change {
            ($payload:ident) => {
                event(&$payload {
                    coder_id: self.id(),
                    previous_status: previous.map(|p| p.to_string()),
                    current_status: Some(current.to_string()),
                    reason,
                    error,
                    more: Map::new(),
                })
            };
        }
        match current {
            Phase::Created => change!(CoderCreated),
            Phase::Running if previous == Some(Phase::Paused) => change!(CoderResumed),
            Phase::Running => change!(CoderStarted),
            Phase::Paused | Phase::Waiting => change!(CoderPaused),
            Phase::Completed => change!(CoderCompleted),
            Phase::Failed => change!(CoderFailed),
            Phase::Stopped | Phase::Cancelled => change!(CoderStopped),
            Phase::Deleted => change!(CoderDeleted),
        }
    }

    /// **Progress**: how far it has come, in percent.
    pub fn progress(&self, percent: f64, stage: &str, description: &str) -> NewEvent {
        event(&CoderProgress {
            coder_id: self.id(),
            progress: Some(percent),
            stage: Some(stage.to_owned()),
            description: Some(description.to_owned()),
            ..CoderProgress::default()
        })
    }

    /// **Progress**: it reached a milestone.
    pub fn milestone(&self, milestone: &str, percent: Option<f64>) -> NewEvent {
        event(&CoderMilestone {
            coder_id: self.id(),
            milestone: Some(milestone.to_owned()),
            progress: percent,
            ..CoderMilestone::default()
        })
    }

    /// **Progress**: it printed something, on `stdout` or `stderr`.
    pub fn output(&self, stream: &str, output: &str) -> NewEvent {
        event(&CoderOutput {
            coder_id: self.id(),
            output: output.to_owned(),
            stream: Some(stream.to_owned()),
            ..CoderOutput::default()
        })
    }

    /// **Workspace**: something was done to a file of this size in bytes, with this hash of its content.
    pub fn workspace(
        &self,
        operation: Operation,
        path: &str,
        size: Option<u64>,
        hash: Option<&str>,
    ) -> NewEvent {
        let (path, content_hash) = (Some(path.to_owned()), hash.map(str::to_owned));
        macro_rules! change {
            ($payload:ident, $operation:literal) => {
                event(&$payload {
                    coder_id: self.id(),
                    operation: Some($operation.to_owned()),
                    path,
                    size,
                    content_hash,
                    ..$payload::default()
                })
            };
        }
        match operation {
            Operation::Create => change!(CoderFileCreated, "create"),
            Operation::Modify => change!(CoderFileModified, "modify"),
            Operation::Delete => change!(CoderFileDeleted, "delete"),
            Operation::Sync => change!(CoderWorkspaceSynced, "sync"),
        }
    }

    /// **Provider**: a call was answered, after reading and writing this many tokens.
    pub fn api_call(&self, provider: &str, model: &str, tokens: (u64, u64), took: Duration) -> NewEvent {
        let (input, output) = tokens;
        event(&CoderApiCall {
            coder_id: self.id(),
            provider: provider.to_owned(),
            model: Some(model.to_owned()),
            tokens: Some(input.saturating_add(output)),
            input_tokens: Some(input),
            output_tokens: Some(output),
            duration: Some(millis(took)),
            ..CoderApiCall::default()
        })
    }

    /// **Provider**: a call failed.
    pub fn api_error(&self, provider: &str, model: &str, error_code: &str, took: Duration) -> NewEvent {
        event(&CoderApiError {
            coder_id: self.id(),
            provider: provider.to_owned(),
            model: Some(model.to_owned()),
            error_code: Some(error_code.to_owned()),
            duration: Some(millis(took)),
            ..CoderApiError::default()
        })
    }

    /// **Provider**: it limited the rate of calls.
    pub fn rate_limited(&self, provider: &str, model: &str, retry_after: Option<Duration>) -> NewEvent {
        event(&CoderRateLimited {
            coder_id: self.id(),
            provider: provider.to_owned(),
            model: Some(model.to_owned()),
            retry_after: retry_after.map(millis),
            ..CoderRateLimited::default()
        })
    }

    /// **Resource**: what it uses at present.
    pub fn resources(&self, now: Resources) -> NewEvent {
        let Resources { memory_mb, cpu_percent, disk_mb, network_bytes, file_count } = now;
        let (coder_id, more) = (self.id(), Map::<String, Value>::new());
        event(&CoderResourceUsage {
            coder_id,
            memory_mb,
            cpu_percent,
            disk_mb,
            network_bytes,
            file_count,
            more,
        })
    }

    /// **Resource**: it reached a limit, in the unit of the resource: `memory`, `cpu`, `disk`, `network` or `files`.
    pub fn resource_limit(&self, resource: &str, limit: f64, current: f64) -> NewEvent {
        event(&CoderResourceLimit {
            coder_id: self.id(),
            resource: Some(resource.to_owned()),
            limit: Some(limit),
            current: Some(current),
            ..CoderResourceLimit::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    #[test]
    fn the_constructors_make_all_twenty_types_and_roles_read_them() {
        let coder = Coder::new("c");
        let second = Duration::from_secs(1);
        let mut made: Vec<NewEvent> =
            Phase::ALL.map(|to| coder.lifecycle(Some(Phase::Running), to, None)).into();
        made.push(coder.lifecycle(Some(Phase::Paused), Phase::Running, None));
        made.extend([
            coder.progress(40.0, "tests", "writing"),
            coder.milestone("tests pass", Some(80.0)),
            coder.output("stdout", "ok"),
            coder.api_call("acme", "large", (3, 4), second),
            coder.api_error("acme", "large", "overloaded", second),
            coder.rate_limited("acme", "large", Some(second)),
            coder.resources(Resources { memory_mb: Some(9.0), ..Resources::default() }),
            coder.resource_limit("memory", 512.0, 508.0),
        ]);
        for operation in [Operation::Create, Operation::Modify, Operation::Delete, Operation::Sync] {
            made.push(coder.workspace(operation, "a", None, None));
        }
        let catalogue = Catalogue::builtin();
        for info in catalogue.types().filter(|t| t.domain() == "coder") {
            let Some(event) = made.iter().find(|e| e.kind() == info.name()) else {
                panic!("nothing makes {}", info.name());
            };
            let payload: Value = serde_json::from_slice(&event.payload).unwrap();
            let entity = info.role().entity.as_ref().expect("every event of a coder is about it");
            assert_eq!(entity.id(&payload, None), "c", "{}", info.name());
        }
    }

    #[test]
    fn the_error_of_a_failure_is_no_reason() {
        let failed = Coder::new("c").lifecycle(None, Phase::Failed, Some("no compiler"));
        let payload: Value = serde_json::from_slice(&failed.payload).unwrap();
        assert_eq!(
            payload,
            serde_json::json!({"coder_id": "c", "current_status": "failed", "error": "no compiler"})
        );
    }

    #[test]
    fn tokens_of_a_call_count_once() {
        let call = Coder::new("c").api_call("acme", "large", (3, 4), Duration::ZERO);
        let payload: Value = serde_json::from_slice(&call.payload).unwrap();
        let role = Catalogue::builtin().role("coder.api_call").unwrap();
        let read = |what: &str| -> f64 {
            let figures = role.usage.iter().filter(|f| f.what.as_str().contains(what));
            figures.flat_map(|f| f.read(&payload)).map(|r| r.value).sum()
        };
        assert_eq!((read("tokens"), read("api_calls")), (7.0, 1.0));
    }
}
