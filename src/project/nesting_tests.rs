//! Which entity is inside which.

use super::timeline::Timeline;
use crate::event::{Catalogue, NewEvent};
use crate::store::{Query, Store};
use serde_json::{Value, json};

fn event(kind: &'static str, data: Value) -> NewEvent {
    NewEvent::new(kind).data(data)
}

/// Each entity below its parents: `run r > step 1 > tool a`.
fn nested(events: Vec<NewEvent>) -> Vec<String> {
    let store = Store::in_memory().unwrap();
    store.append("s", events).unwrap();
    let mut timeline = Timeline::new(Catalogue::builtin().clone());
    for event in store.events(Query::branch("s").unwrap()).unwrap() {
        timeline.take(&event.unwrap());
    }
    let all = timeline.entities();
    let path = |row: usize| {
        let up = std::iter::successors(Some(row), |row| all[*row].parent);
        let names: Vec<String> =
            up.map(|row| format!("{} {}", all[row].kind, all[row].id).trim().to_owned()).collect();
        names.into_iter().rev().collect::<Vec<_>>().join(" > ")
    };
    (0..all.len()).map(path).collect()
}

#[test]
fn tools_are_in_the_one_step_that_is_open_else_in_the_one_run_else_in_nothing() {
    let tool = |id: &str| event("tool.invoked", json!({"tool_call_id": id}));
    let step = |kind, n: u64| event(kind, json!({"index": n}));
    let nested = nested(vec![
        tool("before"),
        event("run.started", json!({"run_id": "r"})),
        tool("a"),
        step("step.started", 1),
        tool("b"),
        step("step.started", 2),
        tool("c"),
        step("step.completed", 1),
        tool("d"),
        step("step.completed", 2),
        event("run.completed", json!({"run_id": "r"})),
        tool("after"),
    ]);
    assert_eq!(
        nested,
        [
            "tool before",
            "run r",
            "run r > tool a",
            "run r > step 1",
            "run r > step 1 > tool b",
            "run r > step 2",
            "run r > tool c",
            "run r > step 2 > tool d",
            "tool after",
        ]
    );
}

#[test]
fn an_id_in_the_payload_or_the_correlation_names_the_parent_whatever_is_open() {
    let nested = nested(vec![
        event("run.started", json!({"run_id": "r-1"})),
        event("run.started", json!({"run_id": "r-2"})),
        event("agent.invoked", json!({"agent_id": "a", "run_id": "r-2"})),
        event("tool.invoked", json!({"tool_call_id": "t-1", "agent_id": "a", "run_id": "r-2"})),
        event("tool.invoked", json!({"tool_call_id": "t-2"})).correlation("r-1"),
        event("tool.invoked", json!({"tool_call_id": "t-3"})),
        event("agent.invoked", json!({"agent_id": "b", "tool_call_id": "t-1"})),
    ]);
    assert_eq!(
        nested[2..],
        [
            "run r-2 > agent a",
            "run r-2 > agent a > tool t-1",
            "run r-1 > tool t-2",
            "tool t-3",
            // An agent is not inside the tool that it happens to mention.
            "agent b",
        ]
    );
}

#[test]
fn a_member_for_the_parent_may_name_one_of_the_same_kind() {
    let nested = nested(vec![
        event("tool.invoked", json!({"tool_call_id": "task", "tool": "Task"})),
        event("tool.invoked", json!({"tool_call_id": "inner", "parent_tool_use_id": "task"})),
        event("run.started", json!({"run_id": "outer"})),
        event("run.started", json!({"run_id": "sub", "parentRunId": "outer"})),
    ]);
    assert_eq!(nested[1..], ["tool task > tool inner", "run outer", "run outer > run sub"]);
}

#[test]
fn a_cause_that_has_ended_or_is_of_an_inner_kind_hands_on_to_what_is_around_it() {
    let agent = event("agent.invoked", json!({"agent_id": "a"}));
    let said = event("message.assistant", json!({"text": "I look"})).causation(agent.id());
    let first = event("tool.invoked", json!({"tool_call_id": "1"})).causation(said.id());
    let second = event("tool.invoked", json!({"tool_call_id": "2"})).causation(first.id());
    let done = event("agent.completed", json!({"agent_id": "a"})).causation(second.id());
    let late = event("tool.invoked", json!({"tool_call_id": "3"})).causation(done.id());
    let nested = nested(vec![agent, said, first, second, done, late]);
    assert_eq!(nested, ["agent a", "agent a > tool 1", "agent a > tool 2", "tool 3"]);
}

#[test]
fn what_is_said_later_counts_and_no_entity_is_inside_itself() {
    let nested = nested(vec![
        event("tool.invoked", json!({"tool_call_id": "x"})),
        event("tool.invoked", json!({"tool_call_id": "y", "parent_id": "x"})),
        event("tool.completed", json!({"tool_call_id": "x", "parent_id": "y"})),
        event("tool.completed", json!({"tool_call_id": "x", "parent_id": "x"})),
        event("agent.invoked", json!({"agent_id": "a"})),
        event("tool.completed", json!({"tool_call_id": "x", "parent_id": "a"})),
    ]);
    assert_eq!(nested, ["agent a > tool x", "agent a > tool x > tool y", "agent a"]);
}
