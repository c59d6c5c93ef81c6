//! A planted violation of every rule: a check that cannot fail proves nothing.

use crate::tree::{Finding, Tree};
use crate::{circles, files, layers};

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::new(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
}

/// The findings, each as it is printed up to the end of its rule.
fn places(found: &[Finding]) -> Vec<String> {
    found.iter().map(|f| format!("{}:{} {}", f.file, f.line, f.rule)).collect()
}

#[track_caller]
fn caught(check: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[&str]) {
    let found = check(&tree(files));
    assert_eq!(places(&found), expected, "{found:#?}");
    assert!(found.iter().all(|f| f.what.len() > 12), "a finding says what is wrong: {found:?}");
}

#[track_caller]
fn passes(check: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) {
    caught(check, files, &[]);
}

#[test]
fn an_import_from_a_higher_or_equal_rank_is_caught() {
    let lower = "use crate::event::Event;\nuse crate::limits::MAX_PAGE;\nuse std::io::{self, Read};";
    passes(
        layers::layering,
        &[("src/codec/record.rs", lower), ("src/event/name.rs", "use crate::limits::MAX;")],
    );
    let upward = "use std::fmt;\nuse crate::follow::Cursor;";
    caught(layers::layering, &[("src/store/read.rs", upward)], &["src/store/read.rs:2 layer"]);
    caught(layers::layering, &[("src/limits.rs", "use crate::event::Event;")], &["src/limits.rs:1 layer"]);
    caught(
        layers::layering,
        &[("src/codec/mod.rs", "use crate::schema::Upcast;")],
        &["src/codec/mod.rs:1 layer"],
    );
}

#[test]
fn an_import_is_seen_in_every_way_to_write_it() {
    for text in [
        "pub use crate::bus::Route;",
        "pub(crate) use crate::bus::Route as R;",
        "use crate::{bus::Route};",
        "use crate::{event::{Event, Place}, bus};",
        "fn f() -> crate::bus::Route { loop {} }",
        "use super::super::bus::Route;",
        "mod inner { use super::super::super::bus; }",
        "macro_rules! m { () => { $crate::bus::Route } }",
        "#[cfg(any(test, feature = \"testkit\"))] use crate::bus::Route;",
        "#[cfg(test)] mod tests { fn f() {} } use crate::bus::Route;",
    ] {
        caught(layers::layering, &[("src/store/read.rs", text)], &["src/store/read.rs:1 layer"]);
    }
    let several = "use crate::{\n    event::Event,\n    bus::{\n        Route,\n        Letter,\n    },\n};";
    let expected = ["src/store/read.rs:4 layer", "src/store/read.rs:5 layer"];
    caught(layers::layering, &[("src/store/read.rs", several)], &expected);
    for text in
        ["// use crate::bus::Route;", "/// use crate::bus::Route;\nfn f() { g(\"crate::bus::Route\") }"]
    {
        passes(layers::layering, &[("src/store/read.rs", text)]);
    }
}

#[test]
fn the_front_ends_never_know_each_other_not_even_in_tests_and_the_program_may_start_them() {
    let text = "#[cfg(test)] mod tests { use retold_cli::Table; }";
    caught(layers::front_ends, &[("server/src/lib.rs", text)], &["server/src/lib.rs:1 front-end"]);
    let text = "use std::fmt;\nuse retold_mcp::Tool;";
    caught(layers::front_ends, &[("tui/tests/it/main.rs", text)], &["tui/tests/it/main.rs:2 front-end"]);
    passes(layers::front_ends, &[("cli/src/serve.rs", "use retold_server::serve;")]);
}

#[test]
fn a_front_end_that_goes_around_the_public_api_is_caught() {
    passes(
        layers::front_ends,
        &[("cli/src/ls.rs", "use retold::store::Store;\nfn f() { retold::wire::code() }")],
    );
    passes(
        layers::front_ends,
        &[("cli/tests/it/main.rs", "use retold::codec::Meta;\n#[path = \"x.rs\"] mod x;")],
    );
    for text in [
        "use retold::codec::Meta;",
        "fn f() { retold::codec::decode() }",
        "#[path = \"../../src/store/read.rs\"] mod read;",
    ] {
        caught(layers::front_ends, &[("cli/src/ls.rs", text)], &["cli/src/ls.rs:1 front-end"]);
    }
}

#[test]
fn a_module_without_a_layer_is_caught() {
    caught(layers::layering, &[("src/helpers/mod.rs", "")], &["src/helpers/mod.rs:1 layer"]);
}

#[test]
fn only_tests_and_fuzz_targets_use_the_testkit() {
    let in_test = "#[cfg(test)] mod tests { use crate::testkit::Model; }";
    passes(
        layers::layering,
        &[("src/store/mod.rs", in_test), ("src/testkit/mod.rs", "use crate::bus::Route;")],
    );
    let file = ("src/store/checks.rs", "use crate::testkit::Model;");
    passes(layers::layering, &[("src/store/mod.rs", "#[cfg(test)]\nmod checks;"), file]);
    let in_cli = ("cli/src/ls.rs", "use retold::testkit::Model;");
    caught(layers::testkit, &[in_cli], &["cli/src/ls.rs:1 testkit"]);
    passes(layers::testkit, &[("cli/tests/it/ls.rs", in_cli.1)]);
    caught(
        layers::layering,
        &[("src/testkit/mod.rs", "use crate::wire::Exit;")],
        &["src/testkit/mod.rs:1 layer"],
    );
    caught(
        layers::testkit,
        &[("examples/a.rs", "use retold::testkit::Model;")],
        &["examples/a.rs:1 testkit"],
    );
    passes(layers::testkit, &[("tests/it/model.rs", "use retold::testkit::Model;")]);
}

#[test]
fn an_import_from_the_crate_root_is_caught() {
    for text in [
        "use crate::Event;",
        "use crate::*;",
        "use super::super::Event;",
        "fn f(e: &crate::Event) {}",
        "#[cfg(test)] mod tests { use crate::Event; }",
        "use retold::Event;",
    ] {
        caught(layers::crate_root, &[("src/store/read.rs", text)], &["src/store/read.rs:1 crate-root"]);
    }
    passes(layers::crate_root, &[("src/lib.rs", "pub use crate::event::Event;")]);
    caught(layers::crate_root, &[("src/wire.rs", "use crate::cli::Table;")], &["src/wire.rs:1 crate-root"]);
    passes(layers::crate_root, &[("src/store/read.rs", "use super::Tail; pub(crate) fn f() {}")]);
}

#[test]
fn files_of_one_module_that_need_each_other_are_caught() {
    let mod_file =
        ("src/bus/mod.rs", "mod a; mod b; mod c; mod sub; pub use a::{A, run}; pub use sub::Inner;");
    let with = |a: &'static str, b: &'static str| {
        let inner = ("src/bus/sub/inner.rs", "pub struct Inner;");
        let sub = [("src/bus/sub/mod.rs", "mod inner; pub use inner::Inner;"), inner];
        [
            mod_file,
            ("src/bus/a.rs", a),
            ("src/bus/b.rs", b),
            ("src/bus/c.rs", "use super::b::B;"),
            sub[0],
            sub[1],
        ]
    };
    for back in [
        "use super::a::A;",
        "use super::A;",
        "use crate::bus::A;",
        "use super::a;\nfn f() -> a::A { a::run() }",
        "use super::a as other;\nfn f() { other::run() }",
        "fn f() { super::run() }",
        "mod inner { use super::super::A; }",
    ] {
        let found = circles::circles(&tree(&with("\nuse super::{c::C};", back)));
        let [one] = found.as_slice() else { panic!("{back}: {found:#?}") };
        assert_eq!((one.file.as_str(), one.line), ("src/bus/a.rs", 2));
        let line = back.lines().count();
        let way = format!("src/bus/a.rs:2 → src/bus/c.rs:1 → src/bus/b.rs:{line} → src/bus/a.rs");
        assert!(one.what.contains(&way), "{}", one.what);
    }
    passes(circles::circles, &with("use super::b::B;", "use crate::event::A;"));
    passes(circles::circles, &with("use super::b::B;", "#[cfg(test)] mod tests { use super::super::a::A; }"));
    passes(circles::circles, &with("use super::Inner;", "// use super::a::A;"));
}

#[test]
fn a_mod_file_that_only_re_exports_is_in_no_circle_and_one_with_code_is() {
    let file = ("src/bus/a.rs", "use super::LIMIT;");
    let mod_file = |text| [("src/bus/mod.rs", text), file];
    passes(circles::circles, &mod_file("mod a; pub(crate) use a::A; pub const LIMIT: u8 = 1;"));
    for text in [
        "mod a; use a::A; pub const LIMIT: u8 = 1;",
        "mod a; pub(crate) use a::A; pub const LIMIT: u8 = 1; fn f(a: A) {}",
        "mod a; pub const LIMIT: u8 = 1; fn f() { a::g() }",
    ] {
        caught(circles::circles, &mod_file(text), &["src/bus/a.rs:1 circle"]);
    }
}

#[test]
fn folders_of_one_module_that_need_each_other_are_caught() {
    let back = |text| {
        [
            ("src/bus/mod.rs", "mod read; mod write;"),
            ("src/bus/read/mod.rs", "mod page; pub mod plain; pub use page::Page;"),
            ("src/bus/read/page.rs", "use crate::bus::write::Writer;"),
            ("src/bus/read/plain.rs", "pub struct Plain;"),
            ("src/bus/write/mod.rs", "mod queue; mod writer; pub use writer::Writer;"),
            ("src/bus/write/queue.rs", text),
            ("src/bus/write/writer.rs", "pub struct Writer;"),
        ]
    };
    // No two files need each other: plain.rs needs nothing.
    let found = circles::circles(&tree(&back("\nuse super::super::read::plain::Plain;")));
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert!(one.what.contains("src/bus/read:1 → src/bus/write:2 → src/bus/read"), "{}", one.what);
    passes(circles::circles, &back("use super::Writer;"));
}

#[test]
fn files_of_a_package_beside_the_library_that_need_each_other_are_caught() {
    let with = |app: &'static str| {
        [
            (
                "cli/src/main.rs",
                "mod app; mod get; mod append; use app::App; fn f(a: App) { get::run(a); append::run() }",
            ),
            ("cli/src/app.rs", app),
            ("cli/src/get.rs", "use super::app::App;"),
            ("cli/src/append.rs", "use crate::app::App;"),
            // Of the library, which has nothing to do with it.
            ("src/lib.rs", "mod app;"),
            ("src/app.rs", "pub struct App;"),
        ]
    };
    passes(circles::circles, &with("pub struct App;"));
    caught(circles::circles, &with("use crate::command;"), &["cli/src/app.rs:1 circle"]);
    caught(circles::circles, &with("fn f() { super::get::run() }"), &["cli/src/app.rs:1 circle"]);
}

#[test]
fn naming_a_file_inside_another_module_is_caught() {
    let store =
        [("src/store/mod.rs", "mod tables; mod open; pub use open::open;"), ("src/store/tables.rs", "")];
    let with = |path: &'static str, text: &'static str| {
        [store[0], store[1], ("src/store/open.rs", ""), (path, text)]
    };
    for text in [
        "use crate::store::tables::EVENTS;",
        "use crate::store::{Store, tables};",
        "use crate::store;\nfn f() { store::tables::x() }",
        "#[cfg(test)] mod tests { use crate::store::tables::EVENTS; }",
    ] {
        let line = text.lines().count();
        caught(
            layers::private_files,
            &with("src/follow/stream.rs", text),
            &[&format!("src/follow/stream.rs:{line} private-file")],
        );
    }
    caught(
        layers::private_files,
        &with("src/lib.rs", "pub use store::tables::EVENTS;"),
        &["src/lib.rs:1 private-file"],
    );
    passes(
        layers::private_files,
        &with(
            "src/follow/stream.rs",
            "use crate::store::{Store, open}; fn f() { crate::store::Store::new() }",
        ),
    );
    passes(
        layers::private_files,
        &with("src/store/read.rs", "use super::tables::EVENTS; use crate::store::tables::META;"),
    );
    let payload = ("src/event/payload.rs", "");
    passes(layers::private_files, &[payload, ("src/project/fold.rs", "use crate::event::payload::Started;")]);
}

#[test]
fn what_lies_below_agents_does_not_know_it() {
    for low in ["src/event/role.rs", "src/project/fold.rs", "src/bus/window.rs", "src/consumer/open.rs"] {
        let file = (low, "use crate::agents::projections::alerts::Alert;");
        caught(layers::layering, &[file], &[&format!("{low}:1 layer")]);
    }
    caught(
        layers::layering,
        &[("src/agents/interop/load.rs", "use crate::wire::Exit;")],
        &["src/agents/interop/load.rs:1 layer"],
    );
    passes(
        layers::layering,
        &[
            ("src/agents/projections/mod.rs", "use crate::bus::Bus;"),
            ("src/wire.rs", "use crate::agents::interop;"),
        ],
    );
}

#[test]
fn naming_a_file_inside_a_nested_module_is_caught() {
    let with = |path: &'static str, text: &'static str| {
        [
            ("src/agents/mod.rs", "pub mod interop; pub mod projections;"),
            ("src/agents/interop/mod.rs", "mod load; pub mod json; pub use load::load;"),
            ("src/agents/interop/load.rs", ""),
            ("src/agents/interop/json.rs", ""),
            (path, text),
        ]
    };
    for file in ["src/wire.rs", "src/agents/projections/board.rs", "src/agents/cost.rs"] {
        let text = "use crate::agents::interop::load::Loading;";
        caught(layers::private_files, &with(file, text), &[&format!("{file}:1 private-file")]);
        passes(layers::private_files, &with(file, "use crate::agents::interop::{json::Style, load};"));
    }
    let relative = ("src/agents/projections/board.rs", "use super::super::interop::load::Loading;");
    caught(
        layers::private_files,
        &with(relative.0, relative.1),
        &["src/agents/projections/board.rs:1 private-file"],
    );
    passes(layers::private_files, &with("src/agents/interop/own.rs", "use super::load::Loading;"));
}

#[test]
fn what_is_above_the_port_and_names_an_engine_is_caught() {
    let planted = [
        ("src/engine/mod.rs", "mod file; pub(crate) use file::{Medium, open};\nuse crate::engine::file::x;"),
        ("src/engine/decide.rs", "use crate::engine::file::in_memory::Tail;"),
        (
            "src/engine/file/engine.rs",
            "use crate::engine::file::in_memory::Tail; use crate::engine::memory::Maps;",
        ),
        ("src/engine/memory/mod.rs", "use crate::engine::file::in_memory::Tail;"),
        ("src/store/handle/builder.rs", "use crate::engine::{Medium, Mode, open};"),
        ("src/store/handle/store.rs", "use crate::engine::{Engine, Medium};"),
        ("src/follow/stream.rs", "use crate::engine::file::in_memory::Tail;"),
    ];
    let expected = [
        "src/engine/decide.rs:1 port",
        "src/engine/file/engine.rs:1 port",
        "src/engine/memory/mod.rs:1 port",
        "src/follow/stream.rs:1 port",
        "src/store/handle/store.rs:1 port",
    ];
    caught(layers::port, &planted, &expected);
    passes(
        layers::port,
        &[("src/store/a.rs", "#[cfg(test)] mod tests { use crate::engine::file::in_memory::Tail; }")],
    );
}

#[test]
fn an_engine_named_outside_its_room_is_caught() {
    let encoder = [
        ("src/codec/mod.rs", "use bincode::Encode;"),
        ("src/store/meta.rs", "// bincode\nuse bincode::Encode;"),
    ];
    caught(layers::engines, &encoder, &["src/store/meta.rs:2 engine"]);
    let engine = [
        ("src/engine/file/open.rs", "use redb::Database;"),
        ("src/testkit/crash.rs", "use redb::StorageBackend;"),
        ("src/follow/mod.rs", "fn f(t: &::redb::ReadTransaction) { open(\"x.redb\") }"),
    ];
    caught(layers::engines, &engine, &["src/follow/mod.rs:1 engine"]);
    let panics = [
        ("src/panics.rs", "use std::panic::catch_unwind;"),
        ("src/bus/route.rs", "fn f() { let _ = std::panic::catch_unwind(|| 1); }"),
    ];
    caught(layers::engines, &panics, &["src/bus/route.rs:1 engine"]);
}

#[test]
fn a_lock_a_thread_or_a_clock_that_the_explorer_cannot_run_is_caught() {
    for text in [
        "use std::sync::{Arc, Mutex};",
        "use std::sync::mpsc::SyncSender;",
        "fn f() { std::thread::spawn(|| 1); }",
        "fn f() -> std::time::Instant { loop {} }",
        "use tokio::time::sleep;",
        "fn f() { tokio::spawn(async {}); }",
        "use tokio::runtime::Handle;",
        "tokio::task_local! { static A: u8; }",
    ] {
        caught(layers::primitives, &[("src/bus/run.rs", text)], &["src/bus/run.rs:1 primitive"]);
        passes(layers::primitives, &[("src/sync/ordinary.rs", text), ("src/testkit/backend.rs", text)]);
    }
    passes(
        layers::primitives,
        &[
            (
                "src/bus/run.rs",
                "use std::sync::{Arc, PoisonError, atomic::AtomicU64};\nuse tokio::sync::Notify;",
            ),
            ("src/bus/builder.rs", "use tokio::runtime::Handle;"),
            ("src/bus/line.rs", "#[cfg(test)] mod tests { use std::sync::Mutex; }"),
        ],
    );
}

#[test]
fn printing_outside_the_output_is_caught() {
    let out = ("cli/src/output.rs", "fn f() { println!(\"x\"); std::io::stdout() }");
    passes(layers::printing, &[out, ("src/store/mod.rs", "#[test] fn f() { println!(\"x\") }")]);
    for text in [
        "fn f() { println!(\"x\") }",
        "fn f() { std::eprint!(\"x\") }",
        "fn f() { std::io::stdout() }",
        "use std::io::{self, stdout};",
        "fn f() { io::stdout().lock() }",
    ] {
        caught(layers::printing, &[("cli/src/read.rs", text)], &["cli/src/read.rs:1 print"]);
    }
    passes(layers::printing, &[("cli/src/read.rs", "fn f(c: Output) { parse(c.stdout); g(\"println!\") }")]);
}

const BIRTH: [(&str, &str); 5] = [
    ("migrations/README.md", "| number |\n|---|\n| [0001_birth](0001_birth/README.md) |\n"),
    ("migrations/0001_birth/README.md", "x"),
    ("migrations/0001_birth/store.redb", "x"),
    ("migrations/0001_birth/events.jsonl", "x"),
    ("migrations/0001_birth/layout.txt", "x"),
];

#[test]
fn a_migration_without_its_evidence_is_caught() {
    passes(files::migrations, &[("src/event/mod.rs", "")]);
    passes(files::migrations, &BIRTH);
    caught(files::migrations, &BIRTH[..4], &["migrations/0001_birth/layout.txt:1 migration"]);
    caught(files::migrations, &BIRTH[1..], &["migrations/README.md:1 migration"]);
    caught(files::migrations, &[("src/codec/mod.rs", "")], &["migrations/README.md:1 migration"]);
    let no_birth = [BIRTH[0], ("src/store/mod.rs", "")];
    let expected = ["migrations/0001_birth/README.md:1 migration", "migrations/README.md:3 migration"];
    caught(files::migrations, &no_birth, &expected);
    let with = |more: &[(&'static str, &'static str)]| [&BIRTH, more].concat();
    caught(files::migrations, &with(&[("migrations/notes.txt", "x")]), &["migrations/notes.txt:1 migration"]);
    let format_step = with(&[
        ("migrations/0003_wider/README.md", "x"),
        ("migrations/0003_wider/before.redb", "x"),
        ("migrations/0003_wider/expected.jsonl", ""),
    ]);
    caught(
        files::migrations,
        &format_step,
        &[
            "migrations/0003_wider/README.md:1 migration",
            "migrations/0003_wider/expected.jsonl:1 migration",
            "migrations/0003_wider/layout.txt:1 migration",
            "migrations/README.md:1 migration",
        ],
    );
    let event_step = with(&[
        ("migrations/0002_coder_v2/README.md", "x"),
        ("migrations/0002_coder_v2/upcast.toml", "x"),
        ("migrations/0002_coder_v2/before.jsonl", "x"),
    ]);
    let expected = ["migrations/0002_coder_v2/after.jsonl:1 migration", "migrations/README.md:1 migration"];
    caught(files::migrations, &event_step, &expected);
}

#[test]
fn a_file_that_nothing_names_is_caught() {
    let main = ("tests/it/main.rs", "mod store;\nmod follow;");
    let named = [
        main,
        ("tests/it/store.rs", "mod crash;"),
        ("tests/it/store/crash.rs", ""),
        ("tests/it/follow/mod.rs", "mod lag;"),
        ("tests/it/follow/lag.rs", ""),
        ("tests/it/data/x.json", ""),
        ("tests/tidy.rs", ""),
        ("tests/tidy/files.rs", ""),
    ];
    passes(files::listed, &named);
    caught(files::listed, &[main, ("tests/it/cli.rs", "")], &["tests/it/cli.rs:1 listed"]);
    caught(files::listed, &[main, ("tests/it/main/x.rs", "")], &["tests/it/main/x.rs:1 listed"]);
    caught(files::listed, &[named[1], main, ("tests/it/store/b.rs", "")], &["tests/it/store/b.rs:1 listed"]);
    caught(files::listed, &[("tests/cli.rs", "")], &["tests/cli.rs:1 listed"]);
    caught(files::listed, &[("tests/cli/main.rs", "")], &["tests/cli/main.rs:1 listed"]);
    caught(files::listed, &[("cli/tests/ls.rs", "")], &["cli/tests/ls.rs:1 listed"]);
    caught(
        files::listed,
        &[("cli/src/main.rs", "mod ls;"), ("cli/src/ls.rs", ""), ("cli/src/get.rs", "")],
        &["cli/src/get.rs:1 listed"],
    );
    let source = [("src/lib.rs", "pub mod error;"), ("src/error.rs", ""), ("src/wire.rs", "")];
    caught(files::listed, &source, &["src/wire.rs:1 listed"]);
}

#[test]
fn a_codec_that_changes_without_its_page_is_caught() {
    passes(files::format_page, &[("docs/format.md", "")]);
    let codec = |text| ("src/codec/mod.rs", text);
    caught(files::format_page, &[codec("fn f() {}")], &["docs/format.md:1 format-page"]);
    caught(
        files::format_page,
        &[codec("fn f() {}"), ("docs/format.md", "x")],
        &["docs/format.md:1 format-page"],
    );
    let old = ("docs/format.md", "# Format\n\ncodec fingerprint: 0123456789abcdef\n");
    let found = files::format_page(&tree(&[codec("fn f() {}"), old]));
    assert_eq!(places(&found), ["docs/format.md:3 format-page"]);
    let line = found[0].what.split('`').nth(1).unwrap();
    assert!(line.starts_with("codec fingerprint: "), "{line}");
    let page = ("docs/format.md", line);
    passes(files::format_page, &[codec("fn f() {}"), page]);
    let same = "//! Words.\nfn f() {\n    // more\n}\n#[cfg(test)]\nmod tests { fn g() {} }";
    passes(files::format_page, &[codec(same), page]);
    caught(files::format_page, &[codec("fn f() { 1 }"), page], &["docs/format.md:1 format-page"]);
    let tables = ("src/engine/file/tables/definitions.rs", "const EVENTS: &str = \"events\";");
    caught(files::format_page, &[codec("fn f() {}"), tables, page], &["docs/format.md:1 format-page"]);
    let (a, b) = (codec("const N: &str = \"a\";"), codec("const N: &str = \"b\";"));
    let value = |c| files::format_page(&tree(&[c]))[0].what.clone();
    assert_ne!(value(a), value(b), "the name of a table is part of the format");
}

#[test]
fn a_file_that_outgrew_its_reader_is_caught() {
    let lines = |n: usize| "fn f() {}\n".repeat(n);
    let (fits, grows, too_long) = (lines(500), lines(700), lines(701));
    passes(files::length, &[("src/a.rs", &fits), ("src/b.rs", &grows)]);
    caught(files::length, &[("src/c.rs", &too_long)], &["src/c.rs:701 length"]);
    caught(files::length, &[("cli/src/c.rs", &too_long)], &["cli/src/c.rs:701 length"]);
    let told = files::growing(&tree(&[("src/a.rs", &fits), ("src/b.rs", &grows), ("src/c.rs", &too_long)]));
    assert_eq!(told, ["src/b.rs has 700 lines without its tests"]);
    let tested = format!("{grows}#[cfg(test)]\nmod tests {{\n{fits}}}\n");
    passes(files::length, &[("src/d.rs", &tested)]);
}

#[test]
fn what_is_left_half_done_is_caught() {
    let text = "fn f() {\n    todo!()\n}\n// FIXME later\nfn g() { std::unimplemented!() }";
    caught(
        files::unfinished,
        &[("src/a.rs", text)],
        &["src/a.rs:2 unfinished", "src/a.rs:5 unfinished", "src/a.rs:4 unfinished"],
    );
    caught(files::unfinished, &[("cli/src/a.rs", "fn f() { todo!() }")], &["cli/src/a.rs:1 unfinished"]);
    passes(files::unfinished, &[("src/a.rs", "fn todo() { f(\"todo!()\") }")]);
}

#[test]
fn a_machine_wide_number_in_an_encoding_is_caught() {
    let encoded = "#[derive(Clone, Encode)]\npub struct A<const N: usize> {\n    a: u8,\n    b: Vec<usize>,\n}\n\
                   #[derive(bincode::Encode)] struct B(isize);\n#[derive(Clone)] struct C { c: usize }\n\
                   fn f(n: usize) {}";
    caught(
        files::widths,
        &[("src/codec/a.rs", encoded)],
        &["src/codec/a.rs:4 width", "src/codec/a.rs:6 width"],
    );
    passes(files::widths, &[("src/store/a.rs", encoded)]);
}

const API: &str = "
/// A thing.
pub struct Thing { pub size: u64, secret: u64 }
impl Thing {
    pub fn grow(&self, by: u64) -> u64 { by }
    pub async fn grow_async(&self, by: u64) -> u64 { by }
    pub(crate) fn hidden(&self) {}
}";

fn with_api(thing: &str) -> Tree {
    let lib = "mod inner;\npub mod outer;\npub use outer::Thing;";
    let outer = "//! What is outside.\npub use crate::inner::Thing;";
    let files = [("src/lib.rs", lib), ("src/outer.rs", outer), ("src/inner.rs", thing)];
    Tree::new(files.map(|(path, text)| (path.to_owned(), text.to_owned())))
}

/// The findings when the page is that of other sources.
fn against(page_of: &str, sources: &str) -> Vec<String> {
    let page = crate::api_page::page(&crate::api::Api::read(&with_api(page_of)).unwrap());
    let mut tree = with_api(sources);
    tree.files.insert(crate::api_page::PAGE.to_owned(), page);
    crate::api_page::api(&tree).iter().map(ToString::to_string).collect()
}

#[test]
fn a_page_of_the_api_that_is_not_what_the_sources_say_is_caught() {
    assert_eq!(against(API, API), [""; 0]);
    let page = crate::api_page::page(&crate::api::Api::read(&with_api(API)).unwrap());
    assert!(page.contains("struct Thing { size }: grow[_async](u64) -> u64\n"), "{page}");
    assert!(!page.contains("hidden") && !page.contains("secret"), "{page}");
    for (from, to) in [
        ("pub size: u64", "pub size: u64, pub weight: u64"),
        ("pub(crate) fn hidden", "pub fn hidden"),
        ("pub fn grow(&self, by: u64) -> u64", "pub fn shrink(&self, by: u64) -> u64"),
        ("pub struct Thing", "pub struct Other;\npub struct Thing"),
    ] {
        let found = against(API, &API.replace(from, to)).join("\n");
        let is_public = !to.contains("Other");
        assert_eq!(found.contains("is not what the sources say"), is_public, "{to}: {found}");
        assert!(!is_public || (found.contains("RENEW_API=1") && found.contains("+ struct Thing")), "{found}");
    }
}

#[test]
fn an_async_form_with_other_arguments_than_its_verb_is_caught() {
    let other = API.replace("grow_async(&self, by: u64)", "grow_async(&self, by: u64, more: u64)");
    let found = against(&other, &other);
    assert!(found.iter().any(|f| f.contains("Thing::grow_async has not the arguments")), "{found:?}");
    let lonely = API.replace("fn grow(&self", "fn other(&self");
    assert_eq!(against(&lonely, &lonely).len(), 1);
}
