//! The demo's longer run: every type that a platform of agents and its coders emit, each where it belongs.

use std::time::Duration;

use serde_json::json;

use retold::event::payload::Payload;
use retold::event::payload::actor::{ActorCompleted, ActorErrored, ActorEscalated, ActorInvoked};
use retold::event::payload::budget::{BudgetExceeded, BudgetWarning};
use retold::event::payload::checkpoint::{CheckpointCreated, CheckpointRestored};
use retold::event::payload::coder::{Coder, Operation, Resources};
use retold::event::payload::context::{ContextBuilt, ContextQueryExecuted};
use retold::event::payload::decision::{
    DecisionApproved, DecisionCorrected, DecisionCreated, DecisionSuperseded,
};
use retold::event::payload::invariant::{InvariantEnforced, InvariantReconciled, InvariantViolated};
use retold::event::payload::plan::{
    PlanApplied, PlanCancelled, PlanCreated, PlanErrored, PlanPhaseChanged, PlanStateChanged,
};
use retold::event::payload::resource::{ResourceAccessed, ResourceIndexed, ResourceModified};
use retold::event::payload::sandbox::{SandboxCommitted, SandboxCreated, SandboxRolledBack};
use retold::event::payload::session::{SessionClosed, SessionCreated, SessionMessageSent};
use retold::event::payload::tool::{ToolCompleted, ToolErrored, ToolInvoked, ToolRetried};
use retold::event::payload::validation::{ValidationFailed, ValidationPassed, ValidationStarted};
use retold::event::{Invalid, NewEvent, Phase, Timestamp};

/// The source of every event of a demo, by which its store is recognized.
pub(super) const SOURCE: &str = "retold-demo";
/// How long ago the run started, so that its last event is in the past.
const BEGAN: i64 = 15 * 60;
const PROVIDER: (&str, &str) = ("acme", "large-2");

/// Events, each with its offset in seconds from the first.
struct Script {
    began: i64,
    events: Vec<NewEvent>,
}

impl Script {
    fn at(&mut self, second: i64, event: NewEvent) {
        let time = Timestamp::from_micros(self.began + second * 1_000_000);
        self.events.push(event.occurred(time).source(SOURCE));
    }

    fn say(&mut self, second: i64, payload: impl Payload) -> Result<(), Invalid> {
        let event = payload.event()?;
        self.at(second, event);
        Ok(())
    }

    /// What a coder does.
    fn by(&mut self, coder: &'static str, second: i64, payload: impl Payload) -> Result<(), Invalid> {
        let event = payload.event()?.correlation(coder);
        self.at(second, event);
        Ok(())
    }
}

/// The payload of a type with these members.
macro_rules! of {
    ($payload:ident { $($name:ident: $value:expr),* $(,)? }) => {
        $payload { $($name: Some($value.into()),)* ..$payload::default() }
    };
}

/// The whole run, in order.
pub(super) fn run() -> Result<Vec<NewEvent>, Invalid> {
    let began = Timestamp::now().micros() - BEGAN * 1_000_000;
    let mut script = Script { began, events: Vec::new() };
    plans(&mut script)?;
    first_coder(&mut script)?;
    goes_back(&mut script)?;
    second_coder(&mut script)?;
    third_coder(&mut script)?;
    review(&mut script)?;
    Ok(script.events)
}

fn plans(s: &mut Script) -> Result<(), Invalid> {
    s.say(0, of!(SessionCreated { title: "ship the login", by: "mara" }))?;
    s.say(2, of!(SessionMessageSent { role: "user", text: "The login works on a branch. Make it ready." }))?;
    s.say(5, of!(ResourceIndexed { path: "src/", items: 120u64, duration_ms: 410u64 }))?;
    s.say(6, of!(ContextQueryExecuted { query: "who calls normalize", results: 3u64, duration_ms: 12u64 }))?;
    s.say(9, of!(ContextBuilt { context_id: "ctx-1", items: 14u64, tokens: 8_120u64 }))?;
    s.say(14, of!(PlanCreated { plan_id: "p-1", goal: "rewrite normalize()", by: "planner" }))?;
    s.say(15, of!(DecisionCreated { decision_id: "d-1", choice: "rewrite normalize()", confidence: 0.5 }))?;
    s.say(24, of!(DecisionCorrected { decision_id: "d-1", correction: "keep its old results", by: "mara" }))?;
    s.say(31, of!(DecisionCreated { decision_id: "d-2", choice: "change one case, test first" }))?;
    s.say(32, of!(DecisionSuperseded { decision_id: "d-1", superseded_by: "d-2" }))?;
    s.say(33, of!(PlanCancelled { plan_id: "p-1", reason: "d-2 is simpler", by: "planner" }))?;
    s.say(45, of!(DecisionApproved { decision_id: "d-2", by: "mara" }))?;
    s.say(47, of!(PlanCreated { plan_id: "p-2", goal: "change one case, test first", by: "planner" }))?;
    s.say(48, of!(PlanStateChanged { plan_id: "p-2", previous: "draft", current: "in_progress" }))?;
    s.say(49, of!(PlanPhaseChanged { plan_id: "p-2", previous: "analysis", current: "execution" }))
}

fn first_coder(s: &mut Script) -> Result<(), Invalid> {
    let coder = Coder::new("coder-1");
    s.say(52, of!(SandboxCreated { sandbox_id: "sb-1", tier: "container" }))?;
    s.say(54, of!(CheckpointCreated { checkpoint_id: "cp-1", label: "before any change" }))?;
    s.at(55, coder.lifecycle(None, Phase::Created, Some("plan p-2")));
    s.at(57, coder.lifecycle(Some(Phase::Created), Phase::Running, None));
    let args = json!({"pattern": "normalize", "path": "src/"});
    s.by("coder-1", 60, of!(ToolInvoked { tool: "grep", tool_call_id: "c-1", args: args }))?;
    s.by("coder-1", 61, of!(ToolCompleted { tool: "grep", tool_call_id: "c-1", duration_ms: 18u64 }))?;
    s.say(62, of!(ResourceAccessed { path: "src/name.rs", operation: "read", size: 934u64 }))?;
    s.at(70, coder.api_call(PROVIDER.0, PROVIDER.1, (6_100, 420), Duration::from_millis(5_150)));
    s.at(72, coder.progress(10.0, "tests", "writing the failing test"));
    s.at(75, coder.workspace(Operation::Create, "tests/login.rs", Some(812), Some("sha256:9f2c")));
    let args = json!({"command": "test login"});
    s.by("coder-1", 80, of!(ToolInvoked { tool: "cargo", tool_call_id: "c-2", args: args }))?;
    s.by(
        "coder-1",
        112,
        of!(ToolErrored { tool: "cargo", tool_call_id: "c-2", error: "the build folder is locked" }),
    )?;
    let reason = "the lock was released";
    s.by(
        "coder-1",
        125,
        of!(ToolRetried { tool: "cargo", tool_call_id: "c-2", attempt: 2u64, reason: reason }),
    )?;
    s.by("coder-1", 170, of!(ToolCompleted { tool: "cargo", tool_call_id: "c-2", duration_ms: 44_900u64 }))?;
    s.at(171, coder.output("stdout", "test result: FAILED. 35 passed; 1 failed"));
    s.at(180, coder.api_error(PROVIDER.0, PROVIDER.1, "overloaded", Duration::from_secs(8)));
    s.at(182, coder.rate_limited(PROVIDER.0, PROVIDER.1, Some(Duration::from_secs(40))));
    s.at(183, coder.lifecycle(Some(Phase::Running), Phase::Paused, Some("the provider is rate-limiting")));
    s.at(223, coder.lifecycle(Some(Phase::Paused), Phase::Running, None));
    s.at(240, coder.workspace(Operation::Modify, "src/name.rs", Some(960), Some("sha256:11ab")));
    s.say(241, of!(ResourceModified { path: "src/name.rs", operation: "write", size: 960u64 }))?;
    let name = "no unwrap";
    s.say(243, of!(InvariantViolated { invariant_id: "i-1", name: name, reason: "line 41 unwraps" }))?;
    s.say(244, of!(InvariantEnforced { invariant_id: "i-1", name: name, action: "the change was refused" }))
}

fn goes_back(s: &mut Script) -> Result<(), Invalid> {
    let coder = Coder::new("coder-1");
    s.say(250, of!(ValidationStarted { validation_id: "v-1", name: "tests" }))?;
    s.say(290, of!(ValidationFailed { validation_id: "v-1", name: "tests", passed: 31u64, failed: 5u64 }))?;
    s.at(
        292,
        coder.lifecycle(Some(Phase::Running), Phase::Failed, Some("five tests that passed before now fail")),
    );
    s.say(295, of!(SandboxRolledBack { sandbox_id: "sb-1", reason: "the tests fail" }))?;
    s.say(297, of!(CheckpointRestored { checkpoint_id: "cp-1", reason: "the tests fail", by: "planner" }))?;
    s.at(298, coder.lifecycle(Some(Phase::Failed), Phase::Deleted, Some("its changes were rolled back")));
    s.say(299, of!(PlanErrored { plan_id: "p-2", error: "its second step breaks existing names" }))
}

fn second_coder(s: &mut Script) -> Result<(), Invalid> {
    let coder = Coder::new("coder-2");
    s.say(310, of!(PlanCreated { plan_id: "p-3", goal: "a table of cases", by: "planner" }))?;
    s.say(312, of!(PlanStateChanged { plan_id: "p-3", previous: "draft", current: "in_progress" }))?;
    s.say(315, of!(SandboxCreated { sandbox_id: "sb-2", tier: "container" }))?;
    s.at(318, coder.lifecycle(None, Phase::Created, Some("plan p-3")));
    s.at(320, coder.lifecycle(Some(Phase::Created), Phase::Running, None));
    s.at(335, coder.workspace(Operation::Delete, "src/old.rs", None, None));
    let use_of =
        |memory| Resources { memory_mb: Some(memory), file_count: Some(211), ..Resources::default() };
    s.at(350, coder.resources(use_of(288.0)));
    s.at(380, coder.resources(use_of(431.5)));
    s.at(401, coder.resource_limit("memory", 512.0, 508.0));
    s.at(403, coder.lifecycle(Some(Phase::Running), Phase::Stopped, Some("it exceeded its memory limit")));
    let resource = "tokens";
    s.say(405, of!(BudgetWarning { resource: resource, limit: 100_000.0, used: 81_000.0, percent: 81.0 }))
}

fn third_coder(s: &mut Script) -> Result<(), Invalid> {
    let coder = Coder::new("coder-3");
    s.at(412, coder.lifecycle(None, Phase::Created, Some("coder-2 was stopped")));
    s.at(414, coder.lifecycle(Some(Phase::Created), Phase::Running, None));
    s.at(418, coder.workspace(Operation::Sync, "/work", Some(48_213), None));
    s.at(440, coder.api_call(PROVIDER.0, PROVIDER.1, (7_300, 1_240), Duration::from_millis(9_800)));
    s.at(450, coder.progress(60.0, "code", "the table has its cases"));
    s.say(
        470,
        of!(InvariantReconciled { invariant_id: "i-1", name: "no unwrap", changes: json!(["src/name.rs"]) }),
    )?;
    s.at(500, coder.milestone("all cases pass", Some(90.0)));
    s.say(505, of!(ValidationStarted { validation_id: "v-2", name: "tests" }))?;
    s.say(
        548,
        of!(ValidationPassed { validation_id: "v-2", name: "tests", passed: 37u64, duration_ms: 42_700u64 }),
    )
}

fn review(s: &mut Script) -> Result<(), Invalid> {
    let coder = Coder::new("coder-3");
    let (actor, task) = ("reviewer", "review src/name.rs");
    s.say(552, of!(ActorInvoked { actor_id: actor, invocation_id: "inv-1", task: task }))?;
    s.say(582, of!(ActorErrored { actor_id: actor, invocation_id: "inv-1", error: "no answer in 30 s" }))?;
    s.say(584, of!(ActorInvoked { actor_id: actor, invocation_id: "inv-2", task: task }))?;
    let unsure = "a test contradicts the issue";
    s.say(610, of!(ActorEscalated { actor_id: actor, invocation_id: "inv-2", to: "mara", reason: unsure }))?;
    s.say(689, of!(ActorCompleted { actor_id: actor, invocation_id: "inv-2", duration_ms: 105_000u64 }))?;
    s.say(692, of!(BudgetExceeded { resource: "tokens", limit: 100_000.0, used: 100_210.0 }))?;
    s.say(695, of!(SandboxCommitted { sandbox_id: "sb-2", changes: json!(["src/name.rs"]), by: "mara" }))?;
    s.say(697, of!(PlanApplied { plan_id: "p-3", changes: json!(["src/name.rs"]), by: "mara" }))?;
    s.at(699, coder.lifecycle(Some(Phase::Running), Phase::Completed, None));
    s.say(705, of!(SessionClosed { reason: "shipped", by: "mara" }))
}
