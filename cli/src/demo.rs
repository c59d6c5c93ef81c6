//! `retold demo`: a small agent run, recorded in its own store. What it shows really happens: the first part runs in
//! a process that is killed.

mod pause;
mod platform;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::app::App;
use super::diff;
use super::failure::{Failure, Outcome};
use super::open::shared;
use super::remote::file_only;
use super::style::{BAD, DIM, GOOD, HEADER, NAME, of_kind, paint};
use super::table::shorten;
use super::view::{count, summary};
use pause::Pause;
use platform::SOURCE;
use retold::agents::projections::Coverage;
use retold::error::Error;
use retold::event::{Address, Catalogue, Event, Expect, NewEvent, Sequence};
use retold::store::{Builder, Query, Store};

const STORE: &str = "./retold-demo.redb";
const SESSION: &str = "fix-login";
const SHIPPED: &str = "ship-login";
const BETTER: &str = "fix-login/test-first";
/// The last event that both attempts share: the agent has read the code, and has to decide.
const DECISION: u64 = 5;
/// Acknowledged appends after which the first process is killed.
const KILLED_AFTER: u64 = 8;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The store is ./retold-demo.redb unless --store names another. An existing demo store is \
replaced; a store that holds anything else is never touched. On a terminal it waits for Enter between its parts."
)]
pub(super) struct Args {
    /// Do not wait between the parts; without a terminal it never waits
    #[arg(long)]
    fast: bool,
    /// Plays the part of the process that is killed
    #[arg(long, hide = true)]
    crash_part: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    app.store = app.store_flag.clone().unwrap_or_else(|| STORE.into());
    file_only(&app.store, "demo")?;
    if args.crash_part {
        return crash_part(app);
    }
    app.out.for_people();
    let path = app.store.clone();
    let pause = Pause::new(args.fast, app);
    clear(&path, app)?;
    app.out.line(format!(
        "{} An agent is asked to fix a login. Its store: {}\n",
        paint(HEADER, "retold demo."),
        paint(NAME, path.display())
    ))?;

    scene(app, "1. The agent works, until its process is killed")?;
    let acknowledged = crash(&path, app)?;

    if !pause.goes_on(app)? {
        return Ok(());
    }
    scene(app, "2. A new process opens the same file")?;
    let store = app.changing()?;
    let found = store.head(SESSION)?;
    let clean = store.maintenance().verify()?.is_clean();
    app.out.line(format!(
        "   {} acknowledged before the kill, {found} found: {}; verify: {}",
        count(acknowledged, "event"),
        good(found.get() >= acknowledged, "nothing was lost", "events were lost"),
        good(clean, "clean", "not clean"),
    ))?;
    app.out.line("   The agent reads where it stopped and continues, but fails:")?;
    play(app, &store, SESSION, found, resumed(found))?;

    if !pause.goes_on(app)? {
        return Ok(());
    }
    scene(
        app,
        &format!("3. A second attempt, forked where the first one made its decision: {SESSION}@{DECISION}"),
    )?;
    store.fork(
        Address::new(SESSION.try_into()?, retold::event::BranchName::main()).at(DECISION),
        "test-first",
    )?;
    play(app, &store, BETTER, DECISION.into(), second_try())?;

    if !pause.goes_on(app)? {
        return Ok(());
    }
    scene(app, "4. The two attempts side by side")?;
    let (left, right): (Address, Address) = (SESSION.parse()?, BETTER.parse()?);
    let compared = store.diff(&left, &right)?;
    diff::show(app, &store, (left.place(), right.place()), compared)?;

    if !pause.goes_on(app)? {
        return Ok(());
    }
    scene(app, &format!("5. A longer run, with a platform and three coders: {SHIPPED}"))?;
    longer(app, &store)?;
    store.close()?;

    app.out.line(format!("\n{}", paint(HEADER, "Try next:")))?;
    let (program, place) = (called_as(), quoted(&path.display().to_string()));
    for rest in ["ls".to_owned(), format!("describe {BETTER}"), format!("timeline {SHIPPED}")] {
        app.out.line(format!("  {}", paint(NAME, format!("{program} --store {place} {rest}"))))?;
    }
    Ok(())
}

/// Plays the run that emits everything a platform can emit, and reports the coverage of the catalogue.
fn longer(app: &mut App, store: &Store) -> Outcome {
    let receipt = store.append_if(SHIPPED, Expect::Empty, platform::run()?)?;
    let coverage = store.project(Coverage)?.coverage(Catalogue::builtin())?;
    let of = |domain: &str| {
        let all = || coverage.types.iter().filter(|t| t.domain == domain);
        format!("{} of {}", all().filter(|t| t.events > 0).count(), all().count())
    };
    app.out.line(format!(
        "   {}. Coverage: {} of {} types were emitted, {} of coder; `types --coverage` lists the others",
        count(receipt.last().get(), "event"),
        coverage.emitted(),
        coverage.types.len(),
        of("coder"),
    ))
}

/// The command that runs this program again from here.
fn called_as() -> String {
    let first = std::env::args().next().unwrap_or_default();
    if first.contains(std::path::is_separator) { quoted(&first) } else { "retold".to_owned() }
}

/// Quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=+,:@".contains(c) || c == std::path::MAIN_SEPARATOR;
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Removes an earlier demo, and nothing else.
fn clear(path: &Path, app: &App) -> Outcome {
    match shared(Builder::new().read_only(), &app.program, app.wait).open(path) {
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(e) => return Err(e.into()),
        Ok(store) => {
            for event in store.events(Query::all())? {
                if event?.source() != Some(SOURCE) {
                    let name = format!("{} that is not a demo store", path.display());
                    return Err(Error::Exists { what: "store", name }.into());
                }
            }
            if store.sessions(None, 1)?.is_empty() {
                return Ok(());
            }
        }
    }
    fs::remove_file(path).map_err(|e| Failure::file(path.display(), e))
}

fn scene(app: &mut App, title: &str) -> Outcome {
    app.out.line(format!("{}{}", if title.starts_with('1') { "" } else { "\n" }, paint(HEADER, title)))
}

fn good(is: bool, yes: &str, no: &str) -> String {
    if is { paint(GOOD, yes) } else { paint(BAD, no) }
}

/// Ends the child process whatever happens to this one.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a child process and kills it. Returns how many events were acknowledged to it.
fn crash(path: &Path, app: &mut App) -> Result<u64, Failure> {
    let failed = |e| Failure::Io { what: "a second process".into(), source: e };
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program);
    child.args(["demo", "--crash-part", "--store"]).arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Killed(child.spawn().map_err(failed)?);
    let told = child.0.stdout.take();
    let mut acknowledged = 0;
    for line in told.map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        app.out.line(line.map_err(failed)?)?;
        acknowledged += 1;
        if acknowledged == KILLED_AFTER {
            break;
        }
    }
    let id = child.0.id();
    drop(child);
    if acknowledged < KILLED_AFTER {
        let source = std::io::Error::other("it ended before it was killed");
        return Err(Failure::Io { what: "a second process".into(), source });
    }
    app.out.line(format!("   {}", paint(BAD, format!("process {id} killed"))))?;
    Ok(acknowledged)
}

/// The process that is killed: it prints each event once it is acknowledged.
fn crash_part(app: &mut App) -> Outcome {
    app.out.for_people();
    let store = app.writing()?;
    let line = |n: u64| format!("{{\"tool_call_id\": \"t-2\", \"line\": \"test login::case_{n} ... ok\"}}");
    let output = (1..100_000).map(|n| event("tool.progress", line(n)));
    for event in first_try().into_iter().chain(output) {
        append(app, &store, SESSION, Expect::Any, event)?;
        app.out.flush()?;
    }
    Ok(())
}

fn play(app: &mut App, store: &Store, place: &str, head: Sequence, events: Vec<NewEvent>) -> Outcome {
    let mut head = head;
    for event in events {
        head = append(app, store, place, Expect::Head(head), event)?;
    }
    Ok(())
}

fn append(
    app: &mut App,
    store: &Store,
    place: &str,
    expect: Expect,
    event: NewEvent,
) -> Result<Sequence, Failure> {
    let id = event.id();
    let receipt = store.append_if(place, expect, event)?;
    let event = store.get(id)?;
    app.out.line(told(&event, app.out.width()))?;
    Ok(receipt.last())
}

fn told(event: &Event, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |w| w.saturating_sub(27).max(10));
    let data = summary(event, Catalogue::builtin());
    format!(
        "   {} {} {}",
        paint(DIM, format!("{:>3}", event.sequence())),
        paint(of_kind(event.kind()), format!("{:<18}", event.kind())),
        shorten(data.text(), room)
    )
}

fn event(kind: &'static str, data: impl Into<bytes::Bytes>) -> NewEvent {
    NewEvent::new(kind).json_text(data).source(SOURCE)
}

/// A call of cargo, with its arguments.
fn cargo(call: &str) -> NewEvent {
    let data = format!(
        "{{\"tool\": \"cargo\", \"tool_call_id\": \"{call}\", \"args\": {{\"command\": \"test login\"}}}}"
    );
    event("tool.invoked", data).actor("agent")
}

/// How a call of cargo ended.
fn tested(call: &str, failed: u32, passed: u32) -> NewEvent {
    let kind = if failed == 0 { "tool.completed" } else { "tool.errored" };
    let error = if failed == 0 {
        String::new()
    } else {
        format!("\"error\": \"{} failed\", ", count(failed.into(), "test"))
    };
    let result = format!("{error}\"result\": {{\"failed\": {failed}, \"passed\": {passed}}}");
    event(kind, format!("{{\"tool\": \"cargo\", \"tool_call_id\": \"{call}\", {result}}}"))
}

fn edited(file: &str, size: u32) -> NewEvent {
    let data = format!("{{\"path\": \"{file}\", \"operation\": \"write\", \"size\": {size}}}");
    event("resource.modified", data).actor("agent")
}

fn first_try() -> Vec<NewEvent> {
    let agent = |e: NewEvent| e.actor("agent");
    let grep = r#"{"tool": "grep", "tool_call_id": "t-1", "args": {"pattern": "normalize", "path": "src/"}}"#;
    vec![
        event("run.started", r#"{"run_id": "r-1", "goal": "make the login tests pass"}"#),
        event("message.user", r#"{"text": "Login fails for names with an umlaut."}"#).actor("mara"),
        agent(event("tool.invoked", grep)),
        event("tool.completed", r#"{"tool": "grep", "tool_call_id": "t-1", "result": {"hits": 3}}"#),
        agent(event(
            "plan.created",
            r#"{"plan_id": "p-1", "goal": "find the cause, change the code, test"}"#,
        )),
        agent(event("decision.made", r#"{"choice": "change normalize() at once"}"#)),
        cargo("t-2"),
    ]
}

fn resumed(head: Sequence) -> Vec<NewEvent> {
    let reason = "no step forward in two tries";
    vec![
        event("run.resumed", format!("{{\"run_id\": \"r-1\", \"after\": {head}}}")),
        event("tool.cancelled", r#"{"tool_call_id": "t-2", "reason": "its process was killed"}"#),
        edited("src/name.rs", 948),
        cargo("t-3"),
        tested("t-3", 4, 31),
        edited("src/name.rs", 1_420),
        cargo("t-4"),
        tested("t-4", 9, 26),
        event("plan.cancelled", format!("{{\"plan_id\": \"p-1\", \"reason\": \"{reason}\"}}")),
        event("run.failed", format!("{{\"run_id\": \"r-1\", \"reason\": \"{reason}\", \"tokens\": 48200}}")),
    ]
}

fn second_try() -> Vec<NewEvent> {
    let agent = |e: NewEvent| e.actor("agent");
    vec![
        agent(event("decision.made", r#"{"choice": "write the failing test first"}"#)),
        edited("tests/login.rs", 310),
        cargo("t-5"),
        tested("t-5", 1, 35),
        edited("src/name.rs", 955),
        cargo("t-6"),
        tested("t-6", 0, 36),
        agent(event("plan.applied", r#"{"plan_id": "p-1"}"#)),
        event("run.completed", r#"{"run_id": "r-1", "tokens": 17900}"#),
    ]
}
