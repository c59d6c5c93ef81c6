//! `retold types`, users' types, strict stores and validation, through the real program.

use crate::shell::{Shell, json};

const OURS: &str = r#"
[[type]]
name = "parcel.shipped"
line = "A parcel left the house"
aliases = ["ParcelShipped"]
schema = { type = "object", required = ["parcel"], properties = { parcel = { type = "string" } } }
example = { parcel = "p-7" }
role = { entity = { kind = "parcel", id = "/parcel" }, phase = "running" }

[[type]]
pattern = "warehouse.**"
line = "Anything of the warehouse"
"#;

fn with_types() -> Shell {
    let shell = Shell::new();
    std::fs::write(shell.path("ours.toml"), OURS).unwrap();
    shell
}

#[test]
fn what_people_see_of_types() {
    let shell = with_types();
    for (name, args) in [
        ("types_domain", &["types", "--domain", "plan"][..]),
        ("types_one", &["types", "coder.progress"]),
        ("types_phase_by_word", &["types", "AGENT_STATUS_CHANGED"]),
        ("types_own", &["--types", "ours.toml", "types", "parcel.shipped"]),
        ("types_pattern", &["--types", "ours.toml", "types", "warehouse.a.b"]),
    ] {
        let mut all = vec!["-o", "table", "-q"];
        all.extend(args);
        insta::assert_snapshot!(name, shell.ok(&all));
    }
}

#[test]
fn programs_get_everything() {
    let shell = with_types();
    let all = json(&shell.ok(&["types", "-o", "json"]));
    assert!(all.as_array().unwrap().len() > 200);
    let own = json(&shell.ok(&["--types", "ours.toml", "types", "ParcelShipped", "-o", "json"]));
    assert_eq!((&own["name"], &own["built_in"]), (&"parcel.shipped".into(), &false.into()));
    assert_eq!(own["role"]["phase"], "running");
    assert_eq!((&own["example"]["parcel"], &own["schema"]["required"][0]), (&"p-7".into(), &"parcel".into()));
    let ours =
        shell.command(&["types", "--domain", "parcel"]).env("RETOLD_TYPES", "ours.toml").output().unwrap();
    assert_eq!(json(std::str::from_utf8(&ours.stdout).unwrap())["line"], "A parcel left the house");
}

#[test]
fn what_is_not_there_is_told_with_what_was_meant() {
    let shell = with_types();
    let e = shell.fails(4, &["types", "coder.strated"]);
    assert!(e.contains("there is no type coder.strated; did you mean coder.started?"), "{e}");
    assert!(shell.fails(4, &["types", "--domain", "codder"]).contains("there is no domain codder"));
    assert!(shell.fails(4, &["types", "--types", "none.toml"]).contains("there is no file none.toml"));
    std::fs::write(shell.path("bad.toml"), "[[type]]\nname = \"a.b\"\nfase = 1\n").unwrap();
    let e = shell.fails(7, &["types", "--types", "bad.toml"]);
    assert!(e.contains("unknown field `fase`") && e.contains("line 3 column 1 (in bad.toml)"), "{e}");
}

#[test]
fn a_strict_store_takes_what_is_known() {
    let shell = with_types();
    let e = shell.fails(7, &["append", "s", "coder.strated", "--strict-types"]);
    assert!(e.contains("did you mean `coder.started`?") && e.contains("retold types"), "{e}");
    shell.ok(&["append", "s", "coder.started", "--strict-types"]);
    shell.fails(7, &["append", "s", "parcel.shipped", "--strict-types"]);
    shell.ok(&["append", "s", "parcel.shipped", "--strict-types", "--types", "ours.toml"]);
    shell.ok(&["append", "s", "warehouse.a.b", "--strict-types", "--types", "ours.toml"]);
    shell.ok(&["append", "s", "coder.strated"]);
    assert_eq!(shell.head("s"), 4);
}

#[test]
fn validation_is_off_warns_or_refuses() {
    let shell = with_types();
    let bad = ["append", "s", "coder.progress", "--data", "{\"progress\": \"forty\"}"];
    let with = |how: &'static str| [&bad[..], &["--validate", how]].concat();
    let e = shell.fails(7, &with("enforce"));
    assert!(
        e.contains("data at `/progress`") && e.contains("rule `type`") && e.contains("retold types TYPE"),
        "{e}"
    );
    shell.ok(&with("off"));
    let said = shell.run(&with("warn"));
    assert_eq!(said.exit, 0);
    assert!(said.err.contains("data at `/progress`"), "{}", said.err);
    assert_eq!(shell.head("s"), 2);
    let own =
        ["append", "s", "parcel.shipped", "--data", "{}", "--types", "ours.toml", "--validate", "enforce"];
    assert!(shell.fails(7, &own).contains("rule `required`"));
}

#[test]
fn types_are_chosen_by_each_of_their_names() {
    let shell = with_types();
    for kind in ["coder_started", "coder.started", "plan.created", "parcel_shipped"] {
        shell.ok(&["append", "s", kind]);
    }
    for (glob, found) in
        [("coder_started", 2), ("CoderStarted", 2), ("coder.*", 2), ("PLAN_CREATED", 1), ("plan.*", 1)]
    {
        assert_eq!(shell.ok(&["read", "s", "--type", glob]).lines().count(), found, "{glob}");
    }
    let own = ["read", "s", "--type", "parcel.*"];
    assert_eq!(shell.ok(&own), "");
    assert_eq!(shell.ok(&[&own[..], &["--types", "ours.toml"]].concat()).lines().count(), 1);
}
