use std::collections::BTreeMap;

use serde_json::json;

use super::testing::{self, at, recorded};
use super::{Lifecycle, Lives};
use crate::event::{Catalogue, NewEvent, Phase, Timestamp, TypeSpec};
use crate::limits::LIFE_ENTITIES;
use crate::project::Projection;

fn folded(events: Vec<NewEvent>) -> Lives {
    testing::folded(Lifecycle::new(Catalogue::builtin()), events)
}

#[test]
fn a_run_that_is_paused_resumed_and_completed_knows_how_long_it_was_in_each() {
    let lives = folded(vec![
        at(0, "session.created", json!({"by": "mara"})),
        at(10, "run.started", json!({"run_id": "r", "goal": "fix it"})),
        at(30, "run.paused", json!({"run_id": "r", "reason": "lunch", "by": "mara"})),
        at(90, "run.resumed", json!({"run_id": "r"})),
        at(100, "run.completed", json!({"run_id": "r"})),
    ]);
    let s = &lives.session;
    assert_eq!((s.phase, s.completed_after_us, s.changes), (Some(Phase::Completed), Some(100_000_000), 5));
    assert_eq!(s.spent_us[&Phase::Created], 10_000_000);
    assert_eq!(s.spent_us[&Phase::Running], 30_000_000);
    assert_eq!(s.spent_us[&Phase::Paused], 60_000_000);
    assert_eq!(s.spent(Phase::Completed, Timestamp::from_micros(103_000_000)), 3_000_000);
    assert_eq!(s.transitions[2].why.as_deref(), Some("lunch"));
    assert_eq!(s.transitions[2].by.as_deref(), Some("mara"));
    let run = &lives.entities["run"]["r"];
    assert_eq!((run.name.as_deref(), run.completed_after_us), (Some("fix it"), Some(90_000_000)));
    assert_eq!(lives.kinds["run"].mean_completion_us(), Some(90_000_000));
    assert_eq!((lives.odd, lives.forgotten), (0, 0));
}

#[test]
fn what_makes_no_sense_is_kept_with_its_address_and_changes_nothing() {
    let lives = folded(vec![
        at(0, "task.started", json!({"task_id": "t"})),
        at(1, "task.completed", json!({"task_id": "t"})),
        at(2, "task.blocked", json!({"task_id": "t"})),
    ]);
    assert_eq!(lives.entities["task"]["t"].phase, Some(Phase::Completed));
    assert_eq!(lives.odd, 1);
    let odd = &lives.anomalies[0];
    assert_eq!((odd.at.as_str(), odd.kind.as_str(), odd.id.as_str()), ("s/main@3", "task.blocked", "t"));
    assert_eq!((odd.from, odd.to), (Phase::Completed, Phase::Waiting));
    assert_eq!(odd.why, "it had already ended as completed and was not restarted");
}

#[test]
fn a_retry_is_a_restart_and_not_an_anomaly() {
    let lives = folded(vec![
        at(0, "tool.invoked", json!({"call_id": "c", "tool": "grep"})),
        at(1, "tool.errored", json!({"call_id": "c", "error": "no such file"})),
        at(5, "tool.retried", json!({"call_id": "c"})),
        at(7, "tool.completed", json!({"call_id": "c"})),
    ]);
    let [tool] = lives.entities["tool"].values().collect::<Vec<_>>()[..] else { panic!("one tool") };
    assert_eq!((tool.phase, tool.restarts, tool.failures), (Some(Phase::Completed), 1, 1));
    assert_eq!(tool.completed_after_us, Some(2_000_000));
    assert_eq!(tool.transitions[1].why.as_deref(), Some("no such file"));
    let tally = &lives.kinds["tool"];
    assert_eq!((tally.lives, tally.restarts, tally.failures, tally.completions), (1, 1, 1, 1));
    assert_eq!(tally.phases, BTreeMap::from([(Phase::Completed, 1)]));
    assert_eq!(lives.odd, 0);
}

#[test]
fn a_run_inside_another_does_not_end_the_session_and_a_session_that_closes_after_a_failure_has_failed() {
    let inner = vec![
        at(0, "run.started", json!({"run_id": "outer"})),
        at(1, "run.started", json!({"run_id": "inner"})),
        at(2, "run.completed", json!({"run_id": "inner"})),
    ];
    let mut outer = inner.clone();
    assert_eq!(folded(inner).session.phase, Some(Phase::Running));
    outer.push(at(3, "run.failed", json!({"run_id": "outer", "error": "no money"})));
    outer.push(at(4, "session.closed", json!({})));
    let lives = folded(outer);
    assert_eq!(
        (lives.session.phase, lives.session.error.as_deref()),
        (Some(Phase::Failed), Some("no money"))
    );
    assert_eq!(lives.odd, 0);
}

#[test]
fn a_coder_that_is_deleted_after_its_work_takes_no_session_with_it() {
    let coder = |second, kind| at(second, kind, json!({"coder_id": "c"}));
    let mut events = vec![
        at(0, "session.created", json!({})),
        coder(1, "coder.started"),
        coder(2, "coder.completed"),
        coder(3, "coder.deleted"),
    ];
    let lives = folded(events.clone());
    assert_eq!(lives.session.phase, Some(Phase::Completed));
    assert_eq!(lives.entities["coder"]["c"].phase, Some(Phase::Deleted));
    events.push(at(4, "session.closed", json!({})));
    let lives = folded(events);
    assert_eq!((lives.session.phase, lives.odd), (Some(Phase::Completed), 0));
    // One that is deleted while it works has not ended in any other way.
    let lives = folded(vec![coder(1, "coder.started"), coder(3, "coder.deleted")]);
    assert_eq!(lives.session.phase, Some(Phase::Deleted));
}

#[test]
fn a_users_type_with_a_role_takes_part() {
    let mut sent = TypeSpec::named("parcel.sent");
    sent.role =
        serde_json::from_value(json!({"entity": {"kind": "parcel", "id": "/parcel"}, "phase": "running"}))
            .unwrap();
    let mut status = TypeSpec::matching("warehouse.**");
    status.role = serde_json::from_value(
        json!({"entity": {"kind": "parcel", "id": "/parcel"}, "status": {"at": "/is"}}),
    )
    .unwrap();
    let own = Catalogue::builtin().with([sent, status]).unwrap();
    let events = vec![
        at(0, "parcel.sent", json!({"parcel": "p-7"})),
        at(9, "warehouse.door.opened", json!({"parcel": "p-7", "is": "done"})),
    ];
    assert_eq!(
        testing::folded(Lifecycle::new(&own), events.clone()).entities["parcel"]["p-7"].completed_after_us,
        Some(9_000_000)
    );
    assert_eq!(folded(events), Lives::default());
    assert_ne!(Lifecycle::new(&own).shape(), Lifecycle::new(Catalogue::builtin()).shape());
}

#[test]
fn many_entities_are_counted_and_a_bounded_number_is_kept() {
    let lifecycle = Lifecycle::new(Catalogue::builtin());
    let mut lives = Lives::default();
    let many = 20_000u64;
    for n in 0..many {
        let id = json!({"call_id": format!("c-{n}"), "tool": "ls"});
        for kind in ["tool.invoked", "tool.completed"] {
            let event = NewEvent::new(kind).data(id.clone());
            lifecycle.apply(&mut lives, &recorded(&format!("s@{}", n + 1), &event)).unwrap();
        }
    }
    for n in 0..2_000 {
        let id = json!({"task_id": format!("t-{n}")});
        let event = NewEvent::new("task.started").data(id);
        lifecycle.apply(&mut lives, &recorded(&format!("s@{}", many + n + 1), &event)).unwrap();
    }
    let tools = &lives.kinds["tool"];
    assert_eq!((tools.lives, tools.completions, tools.phases[&Phase::Completed]), (many, many, many));
    assert_eq!(lives.kinds["task"].phases[&Phase::Running], 2_000);
    let kept: usize = lives.entities.values().map(BTreeMap::len).sum();
    assert!(kept <= LIFE_ENTITIES, "{kept}");
    assert_eq!(lives.forgotten + kept as u64, many + 2_000);
    assert!(lives.entities["task"].contains_key("t-1999"));
    assert!(serde_json::to_vec(&lives).unwrap().len() < 1_000_000);
}
