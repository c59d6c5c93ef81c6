//! What was emitted and what never: over the demo's store, and in the program.

use retold::agents::projections::{Coverage, CoverageReport};
use retold::{Catalogue, Event, NewEvent, Query, Store};

use crate::shell::{Shell, json};
use crate::type_names::{CODER, PLATFORM};

fn covered(store: &Store) -> CoverageReport {
    store.project(Coverage).unwrap().coverage(Catalogue::builtin()).unwrap()
}

/// The types of platform and coder that were never emitted.
fn missing(report: &CoverageReport) -> Vec<&str> {
    let never: Vec<&str> = report.never().map(|t| t.name.as_str()).collect();
    PLATFORM.iter().chain(&CODER).copied().filter(|name| never.contains(name)).collect()
}

fn demo(shell: &Shell) -> Vec<Event> {
    let story = shell.ok(&["demo"]);
    assert!(story.contains("20 of 20 of coder"), "{story}");
    let store = Store::builder().read_only().open(shell.path("retold-demo.redb")).unwrap();
    assert_eq!(missing(&covered(&store)), [""; 0], "defined and never emitted");
    store.events(Query::all()).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_demo_emits_every_platform_and_coder_type_and_one_that_is_not_is_found() {
    let events = demo(&Shell::new());
    for planted in PLATFORM.iter().chain(&CODER) {
        let store = Store::in_memory().unwrap();
        let is = |e: &Event| Catalogue::builtin().find(e.kind()).map(|t| t.name()) == Some(planted);
        let rest = events.iter().filter(|e| !is(e)).map(|e| NewEvent::new(e.kind().to_owned()));
        store.append("s", rest.collect::<Vec<_>>()).unwrap();
        assert_eq!(missing(&covered(&store)), [*planted]);
    }
}

#[test]
fn every_event_of_the_demo_fits_the_schema_of_its_type() {
    let events = demo(&Shell::new());
    for event in events.iter().filter(|e| e.session().as_str() == "ship-login") {
        let info = Catalogue::builtin().find(event.kind()).unwrap();
        let schema = info.schema().unwrap();
        let payload: serde_json::Value = event.json().unwrap();
        let known = schema["properties"].as_object().unwrap();
        for member in payload.as_object().unwrap().keys() {
            assert!(known.contains_key(member), "{} has no {member}", event.kind());
        }
    }
}

#[test]
fn what_people_and_programs_see_of_coverage() {
    let shell = Shell::with_a_session();
    for kind in ["coder.started", "coder.started", "plan.created", "our.own"] {
        shell.ok(&["append", "t", kind, "--time", "2026-02-03T04:05:06Z"]);
    }
    insta::assert_snapshot!(
        "types_coverage_domain",
        shell.ok(&["types", "--coverage", "--domain", "coder", "-o", "table", "-q"])
    );
    let all = json(&shell.ok(&["types", "--coverage", "-o", "json"]));
    let row = |name: &str| all.as_array().unwrap().iter().find(|t| t["name"] == name).unwrap().clone();
    assert_eq!(row("coder.started")["events"], 2);
    assert_eq!(row("coder.started")["last"], "2026-02-03T04:05:06.000000Z");
    assert_eq!((&row("plan.applied")["events"], row("plan.applied").get("last")), (&0.into(), None));
    assert_eq!((&row("our.own")["known"], &row("plan.created")["known"]), (&false.into(), &true.into()));
    assert!(shell.fails(4, &["types", "--coverage", "--domain", "codder"]).contains("there is no domain"));
    shell.fails(2, &["types", "plan.created", "--coverage"]);
}
