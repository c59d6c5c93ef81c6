//! The catalogue of types: nothing is missing, nothing is said twice, and what it says of itself holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use retold::event::payload::Payload;
use retold::event::payload::coder::CoderStarted;
use retold::event::payload::tool::ToolInvoked;
use retold::event::roles::{Measure, Mode};
use retold::event::{TypeInfo, TypeSpec};
use retold::schema::Validation;
use retold::{Catalogue, Error, Filter, NewEvent, Query, Store};
use serde_json::json;

use crate::type_names::{CODER, PLATFORM};

const OTHERS: [&str; 31] = [
    "task.requested",
    "task.assigned",
    "task.started",
    "task.progress",
    "task.completed",
    "task.blocked",
    "task.blocker_resolved",
    "agent.registered",
    "agent.status_changed",
    "agent.skill_updated",
    "agent.learned",
    "context.updated",
    "dependency.detected",
    "implementation.found",
    "decision.logged",
    "pattern.detected",
    "prediction.made",
    "system.startup",
    "system.shutdown",
    "kanban.connected",
    "kanban.error",
    "project.created",
    "project.updated",
    "metric.update",
    "alert.triggered",
    "security.scan_complete",
    "task.failed",
    "workflow.failed",
    "custom",
    "mode.changed",
    "error.raised",
];

/// Those that have at least a start, a progress, a complete and a fail.
const STAGED: [&str; 11] = [
    "system",
    "module",
    "plugin",
    "analysis",
    "build",
    "deploy",
    "monitoring",
    "security",
    "workflow",
    "scheduler",
    "ui",
];

const DOMAINS: [&str; 38] = [
    "coder",
    "plan",
    "decision",
    "invariant",
    "actor",
    "tool",
    "resource",
    "sandbox",
    "checkpoint",
    "context",
    "validation",
    "session",
    "budget",
    "task",
    "agent",
    "project",
    "kanban",
    "system",
    "module",
    "plugin",
    "analysis",
    "build",
    "deploy",
    "monitoring",
    "security",
    "workflow",
    "scheduler",
    "ui",
    "run",
    "step",
    "message",
    "approval",
    "memory",
    "policy",
    "mode",
    "state",
    "error",
    "custom",
];

fn all() -> impl Iterator<Item = &'static TypeInfo> {
    Catalogue::builtin().types()
}

#[test]
fn every_type_that_was_promised_is_there_under_its_name() {
    let names: BTreeSet<&str> = all().map(TypeInfo::name).collect();
    for name in PLATFORM.iter().chain(&CODER).chain(&OTHERS) {
        assert!(names.contains(name), "{name} is not in the catalogue");
    }
    assert_eq!(all().filter(|t| t.domain() == "coder").count(), CODER.len());
    for domain in STAGED {
        for member in ["start", "progress", "complete", "fail"] {
            let name = format!("{domain}.{member}");
            let found = Catalogue::builtin().find(&name).unwrap_or_else(|| panic!("{name} is not known"));
            assert_eq!(found.domain(), domain, "{name}");
        }
    }
    assert_eq!(Catalogue::builtin().domains(), DOMAINS);
}

#[test]
fn every_type_has_a_line_and_an_example() {
    for info in all() {
        let line = info.line();
        assert!(line.len() > 10 && line.len() < 90, "{}: {line:?}", info.name());
        assert!(line.starts_with(char::is_uppercase) && !line.ends_with('.'), "{}: {line:?}", info.name());
        assert!(
            info.example().is_some_and(|e| e.as_object().is_some_and(|o| !o.is_empty())),
            "{}",
            info.name()
        );
        assert_eq!((info.version(), info.is_built_in()), (1, true), "{}", info.name());
        retold::event::check_kind(info.name()).unwrap();
    }
    let lines: BTreeSet<&str> = all().map(TypeInfo::line).collect();
    assert_eq!(lines.len(), all().count(), "two types have one line");
}

#[test]
fn no_name_means_two_types() {
    let plain = |name: &str| name.replace('.', "_").to_lowercase();
    let mut owner: HashMap<String, &str> = HashMap::new();
    for info in all() {
        let names: BTreeSet<String> = std::iter::once(info.name()).chain(info.aliases()).map(plain).collect();
        for name in names {
            if let Some(other) = owner.insert(name.clone(), info.name()) {
                panic!("{name} names {other} and {}", info.name());
            }
        }
        for name in std::iter::once(info.name()).chain(info.aliases()) {
            assert_eq!(Catalogue::builtin().find(name).map(TypeInfo::name), Some(info.name()), "{name}");
            let shouted = plain(name).to_uppercase();
            assert_eq!(
                Catalogue::builtin().find(&shouted).map(TypeInfo::name),
                Some(info.name()),
                "{shouted}"
            );
        }
    }
}

#[test]
fn every_example_is_taken_where_schemas_are_enforced_and_every_type_where_types_are() {
    let store = Store::builder().strict(true).validation(Validation::Enforce).in_memory().unwrap();
    for info in all() {
        store.append("s", NewEvent::new(info.name()).data(info.example().unwrap().clone())).unwrap();
    }
    assert_eq!(store.head("s").unwrap().get(), all().count() as u64);
}

#[test]
fn a_refused_payload_is_not_recorded_and_names_path_and_rule() {
    let store = Store::builder().validation(Validation::Enforce).in_memory().unwrap();
    let bad = || NewEvent::new("coder.progress").data(json!({"progress": "forty"}));
    let Err(Error::Invalid(e)) = store.append("s", bad()) else { panic!("taken") };
    assert_eq!(e.field, "data");
    assert!(e.reason.contains("`/progress`") && e.reason.contains("rule `type`"), "{e}");
    assert!(store.head("s").is_err(), "the session was made");
    // Nothing of a batch is recorded when one event of it is refused.
    let good = NewEvent::new("coder.progress").data(json!({"progress": 40}));
    store.append("s", vec![good.clone(), bad()]).unwrap_err();
    store.append("s", good).unwrap();
    // A type that is not known is nobody's to refuse, and neither is an old spelling of a known one other than it.
    store.append("s", NewEvent::new("acme.any").data(json!(7))).unwrap();
    store.append("s", NewEvent::new("coder_progress").data(json!({"progress": "forty"}))).unwrap_err();
    assert_eq!(store.head("s").unwrap().get(), 2);
}

#[test]
fn warned_of_is_recorded() {
    let store = Store::builder().validation(Validation::Warn).in_memory().unwrap();
    store.append("s", NewEvent::new("coder.progress").data(json!({"progress": "forty"}))).unwrap();
}

#[test]
fn users_types_are_checked_like_ours_and_a_schema_that_is_none_does_not_open() {
    let mut spec = TypeSpec::named("parcel.shipped");
    spec.schema =
        Some(json!({"type": "object", "required": ["parcel"], "properties": {"parcel": {"pattern": "^p-"}}}));
    let types = Catalogue::builtin().with([spec.clone()]).unwrap();
    let store = Store::builder().types(types).validation(Validation::Enforce).in_memory().unwrap();
    let ship = |parcel: &str| NewEvent::new("parcel.shipped").data(json!({ "parcel": parcel }));
    store.append("s", ship("p-7")).unwrap();
    let e = store.append("s", ship("7")).unwrap_err().to_string();
    assert!(e.contains("`/parcel`") && e.contains("rule `pattern`"), "{e}");
    assert_eq!(store.catalogue().find("ParcelShipped").map(TypeInfo::name), Some("parcel.shipped"));

    spec.schema = Some(json!({"type": "parcel"}));
    let types = Catalogue::builtin().with([spec]).unwrap();
    let opened = Store::builder().types(types.clone()).validation(Validation::Enforce).in_memory();
    assert!(matches!(&opened, Err(Error::Invalid(e)) if e.field == "schema"), "{opened:?}");
    Store::builder().types(types).in_memory().unwrap();
}

#[test]
fn a_payload_is_read_as_the_struct_of_its_type_only() {
    let store = Store::in_memory().unwrap();
    let started = CoderStarted { coder_id: Some("c".into()), ..CoderStarted::default() };
    store
        .append(
            "s",
            vec![started.event().unwrap(), NewEvent::new("CODER_STARTED".to_lowercase()).data(json!({}))],
        )
        .unwrap();
    let events: Vec<_> = store.events(Query::branch("s").unwrap()).unwrap().map(Result::unwrap).collect();
    assert_eq!(events[0].payload_as::<CoderStarted>().unwrap(), started);
    assert_eq!(events[1].payload_as::<CoderStarted>().unwrap(), CoderStarted::default());
    let e = events[0].payload_as::<ToolInvoked>().unwrap_err();
    assert_eq!(e.to_string(), "type of s/main@1 is `coder.started`, not `tool.invoked`");
}

#[test]
fn a_filter_takes_old_names_for_new_and_new_for_old() {
    let store = Store::in_memory().unwrap();
    for kind in ["coder_started", "coder.started", "plan_created", "acme.coder_started"] {
        store.append("s", NewEvent::new(kind)).unwrap();
    }
    for (glob, found) in
        [("coder.*", 2), ("coder_started", 2), ("plan.created", 1), ("acme.**", 1), ("**", 4)]
    {
        let filter = Filter::new().pattern(glob.parse().unwrap());
        let query = Query::branch("s").unwrap().filter(filter);
        assert_eq!(store.events(query).unwrap().count(), found, "{glob}");
    }
}

/// What roles read from the records of an agent's session is what the records say.
#[test]
fn tokens_of_real_sessions_add_up() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real");
    if !real.is_dir() {
        println!("skipped: the real sessions are not here");
        return;
    }
    let claude = ["input_tokens", "output_tokens"].map(|m| message_tokens(&real, m));
    let openhands = ["prompt_tokens", "completion_tokens"].map(|m| stats_tokens(&real, m));
    for (file, [input, output], model) in [
        ("claude-code/side-branch.jsonl", claude, "claude-opus-4-5-20251101"),
        ("openhands/sdk_v1_goal_events.jsonl", openhands, "litellm_proxy/minimax-m2.7"),
    ] {
        assert!(input > 0.0 && output > 0.0, "{file}");
        let store = Store::builder().validation(Validation::Enforce).in_memory().unwrap();
        let path = real.join(file);
        let bytes = std::fs::read(&path).unwrap().into();
        let plan = retold::agents::interop::parse(file, &bytes, &retold::agents::interop::Options::default())
            .unwrap();
        retold::agents::interop::load(&store, plan, &mut |_| {}).unwrap();
        let mut totals: BTreeMap<(String, String), f64> = BTreeMap::new();
        let mut models = BTreeSet::new();
        for event in store.events(Query::all()).unwrap().map(Result::unwrap) {
            let Some(role) = Catalogue::builtin().role(event.kind()) else { continue };
            let payload = event.json().unwrap();
            for figure in role.usage.iter().filter(|f| f.mode == Mode::Total) {
                for reading in figure.read(&payload) {
                    models.extend(reading.model);
                    let of = reading.of.unwrap_or_default();
                    totals.insert((figure.what.to_string(), of), reading.value);
                }
            }
        }
        let sum = |what: Measure| -> f64 {
            totals.iter().filter(|((w, _), _)| *w == what.as_str()).map(|(_, v)| v).sum()
        };
        assert_eq!(sum(Measure::InputTokens), input, "{file}");
        assert_eq!(sum(Measure::OutputTokens), output, "{file}");
        assert!(models.contains(model), "{file}: {models:?}");
    }
}

/// Every message counts once, as its last record has it.
fn message_tokens(real: &Path, member: &str) -> f64 {
    let text = std::fs::read_to_string(real.join("claude-code/side-branch.jsonl")).unwrap();
    let mut by_message = BTreeMap::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(n) = record["message"]["usage"][member].as_f64() {
            by_message.insert(record["message"]["id"].to_string(), n);
        }
    }
    by_message.values().sum()
}

/// Every report says what each model has used so far.
fn stats_tokens(real: &Path, member: &str) -> f64 {
    let text = std::fs::read_to_string(real.join("openhands/sdk_v1_goal_events.jsonl")).unwrap();
    let mut by_model = BTreeMap::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        for (name, metrics) in record["value"]["usage_to_metrics"].as_object().into_iter().flatten() {
            by_model.insert(name.clone(), metrics["accumulated_token_usage"][member].as_f64().unwrap());
        }
    }
    by_model.values().sum()
}

#[test]
fn imported_records_are_taken_where_schemas_are_enforced() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real");
    if !real.is_dir() {
        println!("skipped: the real sessions are not here");
        return;
    }
    for folder in ["claude-code", "openhands", "temporal"] {
        for entry in std::fs::read_dir(real.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let store = Store::builder().validation(Validation::Enforce).in_memory().unwrap();
            let bytes = std::fs::read(&path).unwrap().into();
            let options = retold::agents::interop::Options::default();
            let plan = retold::agents::interop::parse(path.to_str().unwrap(), &bytes, &options).unwrap();
            let loaded = retold::agents::interop::load(&store, plan, &mut |_| {}).unwrap();
            assert!(loaded.new > 0 && loaded.skipped.is_empty(), "{}", path.display());
        }
    }
}

const BEGIN: &str = "<!-- types: begin -->\n";
const END: &str = "<!-- types: end -->";

/// The page's tables, as the code has them.
fn tables() -> String {
    let mut page = String::new();
    for domain in Catalogue::builtin().domains() {
        page.push_str(&format!(
            "\n### {domain}\n\n| type | other names | leads to | what it means |\n|---|---|---|---|\n"
        ));
        for info in all().filter(|t| t.domain() == domain) {
            let aliases: Vec<String> = info.aliases().map(|a| format!("`{a}`")).collect();
            let phase = info.role().fixed_phase.map(|p| p.to_string()).unwrap_or_default();
            page.push_str(&format!(
                "| `{}` | {} | {phase} | {} |\n",
                info.name(),
                aliases.join(" "),
                info.line()
            ));
        }
    }
    page.push('\n');
    page
}

/// `RETOLD_WRITE_DOCS=1 cargo test --test it catalogue` writes them.
#[test]
fn the_page_lists_the_catalogue_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalogue.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the page says where its tables begin");
    let (_, tail) = rest.split_once(END).expect("the page says where its tables end");
    let written = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if std::env::var_os("RETOLD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &written).unwrap();
        return;
    }
    assert!(
        page == written,
        "docs/catalogue.md is not what the code says: RETOLD_WRITE_DOCS=1 writes it again"
    );
}

#[test]
fn a_schema_is_registered_while_the_store_is_open_and_holds_from_then_on() {
    let refused = |answer: retold::Result<retold::Receipt>| match answer {
        Err(Error::Invalid(invalid)) => invalid.field,
        other => panic!("{other:?}"),
    };
    let types = || Catalogue::builtin().with([TypeSpec::matching("acme.**").version(2)]).unwrap();
    let store = Store::builder().types(types()).strict(true).validation(Validation::Enforce);
    let store = store.in_memory().unwrap();
    let shipped = || NewEvent::new("parcel.shipped").data(json!({"weight": "7 kg"}));
    assert_eq!(refused(store.append("s", shipped())), "type");
    let schemas = store.schemas();
    let numbers = json!({"type": "object", "properties": {"weight": {"type": "number"}}});
    schemas.register("parcel.shipped", &numbers).unwrap();
    assert_eq!(refused(store.append("s", shipped())), "data");
    store.append("s", NewEvent::new("parcel.shipped").data(json!({"weight": 7}))).unwrap();
    // Of another version, or not JSON.
    store.append("s", shipped().version(2)).unwrap();
    store.append("s", NewEvent::new("parcel.shipped").bytes("text/plain", "7")).unwrap();
    // The last one counts.
    schemas.register("parcel.shipped", &json!({"type": "object"})).unwrap();
    store.append("s", shipped()).unwrap();
    // An alias stands for its type, and a pattern of the catalogue for no type in particular.
    schemas.register("tool_use", &json!({"required": ["mine"]})).unwrap();
    let called = NewEvent::new("tool.invoked").data(json!({"tool": "grep"}));
    assert_eq!(refused(store.append("s", called)), "data");
    schemas.register("acme.one", &json!({"type": "number"})).unwrap();
    let acme = |kind: &'static str| NewEvent::new(kind).version(2).data(json!("text"));
    assert_eq!(refused(store.append("s", acme("acme.one"))), "data");
    store.append("s", acme("acme.two")).unwrap();
    for (kind, schema, field) in [
        ("Bad Name", json!({}), "type"),
        ("a.b", json!({"type": "nummer"}), "schema"),
        ("a.b", json!(7), "schema"),
    ] {
        match schemas.register(kind, &schema) {
            Err(Error::Invalid(invalid)) => assert_eq!(invalid.field, field),
            other => panic!("{kind} {schema}: {other:?}"),
        }
    }
}

#[test]
fn a_payload_is_validated_alone_whatever_the_store_does_on_append() {
    for validation in [Validation::Off, Validation::Warn, Validation::Enforce] {
        let types = Catalogue::builtin().with([TypeSpec::named("acme.none")]).unwrap();
        let store = Store::builder().types(types).validation(validation).in_memory().unwrap();
        let schemas = store.schemas();
        let refused = |kind: &str, payload: serde_json::Value| match schemas.validate(kind, &payload) {
            Err(Error::Invalid(invalid)) => invalid.reason,
            other => panic!("{other:?}"),
        };
        assert!(
            refused("coder.progress", json!({"progress": "forty"}))
                .starts_with("at `/progress` does not fit")
        );
        schemas.validate("coder.progress", &json!({"progress": 40})).unwrap();
        // By every name of the type.
        assert!(refused("CoderProgress", json!({"progress": "forty"})).contains("`coder.progress`"));
        for unknown in ["acme.none", "acme.unknown"] {
            let answer = schemas.validate(unknown, &json!({}));
            assert!(matches!(answer, Err(Error::NotFound { what: "schema of type", .. })), "{answer:?}");
        }
        schemas.register("acme.unknown", &json!({"type": "array"})).unwrap();
        schemas.validate("acme.unknown", &json!([])).unwrap();
        assert!(refused("acme.unknown", json!({})).contains("rule `type`"));
        let appended = store.append("s", NewEvent::new("acme.unknown").data(json!({})));
        assert_eq!(appended.is_err(), validation == Validation::Enforce);
    }
    let invalid = TypeSpec::named("acme.one").schema(json!({"type": "nummer"}));
    let types = Catalogue::builtin().with([invalid]).unwrap();
    let store = Store::builder().types(types).in_memory().unwrap();
    match store.schemas().validate("coder.progress", &json!({})) {
        Err(Error::Invalid(invalid)) => assert_eq!(invalid.field, "schema"),
        other => panic!("{other:?}"),
    }
}
