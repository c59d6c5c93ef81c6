use serde_json::{Value, json};

use crate::agents::interop::testing::{drawn, events, plan_of, restored, restored_files};
use crate::agents::interop::{Format, Options, Plan, parse};

const S: &str = "5e551011-0000-4000-8000-000000000001";

fn uuid(n: u32) -> String {
    format!("{n:08x}-1111-4111-8111-111111111111")
}

fn record(n: u32, parent: Option<u32>, rest: Value) -> Value {
    let mut r = json!({
        "parentUuid": parent.map(uuid), "isSidechain": false, "sessionId": S, "uuid": uuid(n),
        "timestamp": format!("2026-02-03T04:{:02}:{:02}.000Z", n / 60 % 60, n % 60),
    });
    r.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    r
}

fn prompt(n: u32, parent: Option<u32>, words: &str) -> Value {
    record(n, parent, json!({"type": "user", "message": {"role": "user", "content": words}}))
}

fn says(n: u32, parent: u32, message: &str, block: Value) -> Value {
    record(
        n,
        Some(parent),
        json!({"type": "assistant", "message": {"id": message, "role": "assistant", "content": [block]}}),
    )
}

fn text(n: u32, parent: u32, message: &str) -> Value {
    says(n, parent, message, json!({"type": "text", "text": "well"}))
}

fn call(n: u32, parent: u32, message: &str, id: &str, name: &str, input: Value) -> Value {
    says(n, parent, message, json!({"type": "tool_use", "id": id, "name": name, "input": input}))
}

fn result(n: u32, parent: u32, id: &str, is_error: bool) -> Value {
    let block = json!({"type": "tool_result", "tool_use_id": id, "content": "out", "is_error": is_error});
    record(n, Some(parent), json!({"type": "user", "message": {"role": "user", "content": [block]}}))
}

fn file(records: &[Value]) -> String {
    records.iter().map(|r| format!("{r}\n")).collect()
}

fn sidechain(mut r: Value, agent: Option<&str>) -> Value {
    r["isSidechain"] = true.into();
    if let Some(agent) = agent {
        r["agentId"] = agent.into();
    }
    r
}

fn check(plan: &Plan, file: &str) {
    assert_eq!(plan.format, Format::ClaudeCode);
    assert!(plan.skipped.is_empty() && plan.notes.is_empty(), "{:?} {:?}", plan.skipped, plan.notes);
    assert_eq!(restored(plan), file);
}

#[test]
fn parallel_tool_calls_stay_on_one_line() {
    let file = file(&[
        prompt(1, None, "go"),
        says(2, 1, "m1", json!({"type": "thinking", "thinking": "hm"})),
        call(3, 2, "m1", "t1", "Bash", json!({})),
        call(4, 3, "m1", "t2", "Read", json!({})),
        result(5, 3, "t1", false),
        result(6, 4, "t2", true),
        text(7, 6, "m2"),
    ]);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    let want = "message.user message.thinking tool.invoked tool.invoked tool.completed tool.errored message.assistant";
    assert_eq!(drawn(&plan), [format!("{S}/main: {want}")]);
    let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
    assert_eq!((all[5].causation, &*all[5].correlation), (Some(all[3].id), "t2"));
    assert_eq!((all[6].causation, &*all[6].correlation), (Some(all[5].id), "m2"));
    assert_eq!(all[2].metadata["tool"], "Bash");
    assert_eq!(all[0].occurred.to_string(), "2026-02-03T04:00:01.000000Z");
}

#[test]
fn a_second_prompt_under_one_parent_is_a_branch() {
    let snapshot = json!({"type": "file-history-snapshot", "messageId": uuid(5), "snapshot": {}});
    let file = file(&[
        prompt(1, Some(99), "go"),
        text(2, 1, "m1"),
        prompt(3, Some(2), "left"),
        text(4, 3, "m2"),
        snapshot,
        prompt(5, Some(2), "right"),
        text(6, 5, "m3"),
    ]);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    assert_eq!(
        drawn(&plan),
        [
            format!("{S}/main: message.user message.assistant"),
            format!("{S}/side-00000003 < main"),
            format!("{S}/side-00000003: message.user message.assistant claude_code.file_history_snapshot"),
            format!("{S}/main: message.user message.assistant"),
        ]
    );
    assert_eq!(plan.current.values().next().unwrap().as_str(), "main");
    let second = events(&plan).nth(1).unwrap().1.id;
    let crate::agents::interop::PlanStep::Fork { at, .. } = &plan.steps[1] else { panic!() };
    assert_eq!(*at, Some(second));
}

#[test]
fn a_compaction_goes_on_with_the_line() {
    let mut boundary = record(3, None, json!({"type": "system", "subtype": "compact_boundary"}));
    boundary["logicalParentUuid"] = uuid(2).into();
    let mut summary = prompt(4, Some(3), "so far: …");
    summary["isCompactSummary"] = true.into();
    let mut old = prompt(6, None, "older: …");
    old["isCompactSummary"] = true.into();
    let file = file(&[
        prompt(1, None, "go"),
        text(2, 1, "m1"),
        boundary,
        summary,
        text(5, 4, "m2"),
        old,
        text(7, 6, "m3"),
    ]);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    let want = "message.user message.assistant context.compacted context.summarized message.assistant context.summarized message.assistant";
    assert_eq!(drawn(&plan), [format!("{S}/main: {want}")]);
}

#[test]
fn a_second_root_is_a_branch_that_begins_empty() {
    let file =
        file(&[prompt(1, None, "go"), text(2, 1, "m1"), prompt(3, None, "no: this"), text(4, 3, "m2")]);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    assert_eq!(
        drawn(&plan),
        [
            format!("{S}/side-00000001 < main at nothing"),
            format!("{S}/side-00000001: message.user message.assistant"),
            format!("{S}/main: message.user message.assistant"),
        ]
    );
}

#[test]
fn records_without_an_id_belong_to_the_line_that_follows() {
    let snapshot = json!({"type": "file-history-snapshot", "messageId": uuid(1), "snapshot": {}});
    let title = json!({"type": "ai-title", "sessionId": S, "aiTitle": "x"});
    let file = file(&[snapshot, title, prompt(1, None, "go"), text(2, 1, "m1")]);
    let plan = plan_of("x.jsonl", &file);
    let want = "claude_code.file_history_snapshot claude_code.ai_title message.user message.assistant";
    assert_eq!(drawn(&plan), [format!("{S}/main: {want}")]);
    assert_eq!(restored(&plan), file);
}

#[test]
fn a_parent_that_was_never_written_ends_no_line() {
    let file =
        file(&[prompt(1, None, "one"), text(2, 1, "m1"), prompt(3, Some(77), "three"), text(4, 3, "m2")]);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    let want = "message.user message.assistant message.user message.assistant";
    assert_eq!(drawn(&plan), [format!("{S}/main: {want}")]);
    assert_eq!(events(&plan).nth(2).unwrap().1.causation, None);
}

#[test]
fn a_file_that_begins_with_a_compaction_is_one_line() {
    let agent = |r| sidechain(r, Some("acompact-1f"));
    let mut boundary = record(1, None, json!({"type": "system", "subtype": "compact_boundary"}));
    boundary["logicalParentUuid"] = uuid(88).into();
    let mut summary = prompt(2, Some(1), "so far: …");
    summary["isCompactSummary"] = true.into();
    let records = [boundary, summary, text(3, 2, "m1"), prompt(4, None, "now sum up"), text(5, 4, "m2")];
    let file = file(&records.map(agent));
    let plan = plan_of("agent-acompact-1f.jsonl", &file);
    check(&plan, &file);
    let want = "context.compacted context.summarized message.assistant message.user message.assistant";
    assert_eq!(drawn(&plan), [format!("{S}.agent-acompact-1f/main: {want}")]);
}

#[test]
fn an_id_that_comes_again_is_the_parent_of_what_follows_it() {
    let hook = |parent: Option<u32>, words: &str| {
        record(9, parent, json!({"type": "saved_hook_context", "content": [words]}))
    };
    let records = [
        hook(None, "0"),
        text(1, 9, "m1"),
        hook(Some(1), "1"),
        text(2, 9, "m2"),
        hook(Some(2), "2"),
        text(3, 9, "m3"),
    ];
    let file = file(&records);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    let one = "claude_code.saved_hook_context message.assistant";
    assert_eq!(drawn(&plan), [format!("{S}/main: {one} {one} {one}")]);
    let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
    for (effect, cause) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)] {
        assert_eq!(all[effect].causation, Some(all[cause].id), "{effect}");
    }
}

#[test]
fn a_file_of_two_sessions_ties_them_and_each_goes_on_where_it_was() {
    let other = |mut r: Value| {
        r["sessionId"] = "5e551011-0000-4000-8000-000000000002".into();
        r
    };
    let records = [
        prompt(1, None, "one"),
        text(2, 1, "m1"),
        other(prompt(3, Some(2), "resumed")),
        other(text(4, 3, "m2")),
        prompt(5, Some(4), "back"),
        text(6, 5, "m3"),
    ];
    let file = file(&records);
    let plan = plan_of("x.jsonl", &file);
    check(&plan, &file);
    let turn = "message.user message.assistant";
    let second = S.replace("000001", "000002");
    assert_eq!(
        drawn(&plan),
        [format!("{S}/main: {turn}"), format!("{second}/main: {turn}"), format!("{S}/main: {turn}")]
    );
    let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
    assert_eq!((all[2].causation, all[4].causation), (Some(all[1].id), Some(all[3].id)));
}

#[test]
fn sub_agents_are_sessions_tied_to_the_call() {
    let main = [
        prompt(1, None, "go"),
        call(2, 1, "m1", "t1", "Task", json!({"prompt": "look around", "subagent_type": "scout"})),
    ];
    let agent = [
        sidechain(prompt(10, None, "look around"), Some("ab12")),
        sidechain(text(11, 10, "m9"), Some("ab12")),
    ];
    let mut done = result(3, 2, "t1", false);
    done["toolUseResult"] = json!({"agentId": "ab12", "status": "completed"});
    // The same in three ways: a file each, one file for all, and one file whose agents have no names.
    let whole = file(&[&main[..], &agent[..], std::slice::from_ref(&done)].concat());
    let plan = plan_of("x.jsonl", &whole);
    check(&plan, &whole);
    let spawned = events(&plan).nth(1).unwrap().1.id;
    let first = events(&plan).nth(2).unwrap();
    assert_eq!(first.0.to_string(), format!("{S}.agent-ab12/main"));
    assert_eq!(first.1.causation, Some(spawned));
    assert_eq!(events(&plan).nth(4).unwrap().1.metadata["agent"], "ab12");

    let apart = file(&agent);
    let alone = plan_of("agent-ab12.jsonl", &apart);
    check(&alone, &apart);
    let ids = |p: &Plan| events(p).map(|(_, e)| e.id).collect::<Vec<_>>();
    assert_eq!(ids(&alone), ids(&plan)[2..4]);
    assert_eq!(events(&alone).next().unwrap().1.causation, Some(spawned));

    let unnamed: Vec<Value> = agent
        .iter()
        .cloned()
        .map(|mut r| {
            r.as_object_mut().unwrap().remove("agentId");
            r
        })
        .collect();
    let whole = file(&[&main[..], &unnamed[..], &[done]].concat());
    let plan = plan_of("x.jsonl", &whole);
    check(&plan, &whole);
    let places: Vec<String> = events(&plan).map(|(p, _)| p.to_string()).collect();
    assert_eq!(places[2..4], [format!("{S}.agent-0000000a/main"), format!("{S}.agent-0000000a/main")]);
    assert_eq!(places[4], format!("{S}/main"));
}

#[test]
fn a_broken_line_costs_no_branch() {
    let records = [prompt(1, None, "go"), text(2, 1, "m1"), prompt(3, Some(2), "on"), text(4, 3, "m2")];
    let lines: Vec<String> = records.iter().map(|r| format!("{r}\n")).collect();
    let file =
        format!("{}{}{{\"type\":\"assistant\", bro\n{}{}", lines[0], &lines[1][..0], lines[2], lines[3]);
    let plan = plan_of("x.jsonl", &file);
    assert_eq!((plan.records, plan.events()), (4, 3));
    assert_eq!(plan.skipped[0].line, 2);
    assert!(plan.skipped[0].reason.starts_with("is not JSON"), "{}", plan.skipped[0].reason);
    assert_eq!(drawn(&plan).len(), 1, "{:?}", drawn(&plan));
    assert_eq!(restored(&plan), [&*lines[0], &*lines[2], &*lines[3]].concat());
}

#[test]
fn repeats_count_once_and_other_content_under_one_id_is_kept() {
    let a = prompt(1, None, "go").to_string();
    let b = text(2, 1, "m1").to_string();
    let mut other = text(2, 1, "m1");
    other["message"]["content"][0]["text"] = "well, and more".into();
    let file = format!("{a}\n{b}\n{a}\n{b}\r\n\n{other}\n{other}");
    let plan = plan_of("x.jsonl", &file);
    assert_eq!((plan.records, plan.events(), plan.duplicates), (6, 3, 3));
    assert_eq!(drawn(&plan), [format!("{S}/main: message.user message.assistant message.assistant")]);
    assert_eq!(restored(&plan), file);
    let ids: std::collections::HashSet<_> = events(&plan).map(|(_, e)| e.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_copy_in_another_session_has_other_ids() {
    let one = file(&[prompt(1, None, "go"), text(2, 1, "m1")]);
    let two = one.replace(S, "5e551011-0000-4000-8000-000000000002");
    let (one, two) = (plan_of("a.jsonl", one), plan_of("b.jsonl", two));
    assert!(events(&one).all(|(_, a)| events(&two).all(|(_, b)| a.id != b.id)));
}

#[test]
fn a_session_can_be_asked_for() {
    let file = file(&[prompt(1, None, "go"), sidechain(prompt(2, None, "sub"), Some("q"))]);
    let options = Options::default().session(Some("mine".try_into().unwrap()));
    let plan = parse("x.jsonl", &file.into_bytes().into(), &options).unwrap();
    let places: Vec<String> = events(&plan).map(|(p, _)| p.to_string()).collect();
    assert_eq!(places, ["mine/main", "mine.agent-q/main"]);
    assert_eq!(restored_files(&plan).len(), 1);
}

#[test]
fn records_that_say_little_have_a_place_too() {
    let file = "{\"type\":\"summary\",\"summary\":\"s\",\"leafUuid\":\"x\"}\n{\"type\":\"summary\",\"summary\":\"s\",\"leafUuid\":\"x\"}\n";
    let plan = plan_of("dir/the-run.jsonl", file);
    assert_eq!(drawn(&plan), ["the-run/main: claude_code.summary claude_code.summary"]);
    assert_eq!(restored(&plan), file);
    // They have no time, so they get that of the import, not that of a neighbour.
    let now = crate::event::Timestamp::from_micros(1_800_000_000_000_000);
    let dated = format!("{}\n{file}", prompt(1, None, "go"));
    let plan = parse("x.jsonl", &dated.into_bytes().into(), &Options::default().now(now)).unwrap();
    let times: Vec<_> =
        events(&plan).map(|(_, e)| (e.occurred == now, e.metadata.get("source.time"))).collect();
    let import = Some(&"import".to_owned());
    assert_eq!((times, plan.timeless), (vec![(false, None), (true, import), (true, import)], 2));
}

#[test]
fn what_a_sub_agents_file_says_without_an_id_is_the_sub_agents() {
    let title = json!({"type": "ai-title", "sessionId": S, "aiTitle": "x"});
    let file = file(&[
        sidechain(prompt(1, None, "sub"), Some("q")),
        title,
        record(2, Some(1), json!({"type": "system", "subtype": "away"})),
    ]);
    let file = file.replace(r#""isSidechain":false,"#, "");
    let plan = plan_of("agent-q.jsonl", &file);
    check(&plan, &file);
    assert_eq!(
        drawn(&plan),
        [format!("{S}.agent-q/main: message.user claude_code.ai_title claude_code.away")]
    );
}
