//! The program `retold`: one file per verb, and one place that prints. It uses only the library's public API.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod adopt;
mod alerts;
mod annotations;
mod app;
mod append;
mod append_lines;
mod backup;
mod branches;
mod close;
mod compact;
mod complete;
mod completions;
mod consumer;
mod current;
mod dead_letters;
mod delete;
mod demo;
mod describe;
mod diff;
mod diff_cells;
#[cfg(test)]
mod documented;
mod draft;
mod escape;
mod expire;
mod export;
mod export_files;
mod failure;
mod fork;
mod get;
mod import;
mod import_files;
mod import_report;
mod imports;
mod info;
mod interrupt;
mod known;
mod label;
mod lease;
mod listing;
mod log;
mod ls;
mod man;
mod migrate;
mod named;
mod near;
mod note;
mod open;
mod outdated;
mod output;
mod pager;
mod panics;
mod progress;
mod projections;
mod promote;
mod purge;
mod read;
mod rebuild;
mod recording;
mod remote;
mod repair;
mod retain;
mod role_words;
mod schema;
mod search;
mod select;
mod serve;
mod sessions;
mod short_help;
mod show;
mod signals;
mod span;
mod state;
mod state_diff;
mod state_happened;
mod stats;
mod stem;
mod style;
mod table;
mod tail;
mod telemetry;
mod template;
mod text_diff;
mod timeline;
mod timers;
mod transcript;
mod truncate;
mod types;
mod unpack;
mod verify;
mod view;
mod watched;
mod who;

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::styling::{Style, Styles};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use app::App;
use failure::{Failure, Outcome};
use output::{Color, Format, Out};
use remote::Remote;
use retold::config::Settings;
use retold::schema::Validation;
use retold::wire::Exit;
use span::seconds;
use style::paint;
use telemetry::Telemetry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{Layer, Registry};

/// Without colors for what has to be read: they are hard to see on a background that was not thought of.
const STYLES: Styles = Styles::styled()
    .header(Style::new().bold().underline())
    .usage(Style::new().bold().underline())
    .literal(Style::new().bold())
    .placeholder(Style::new());

/// Record, replay, follow, fork and compare sessions of agents and long-running jobs.
#[derive(Debug, Parser)]
#[command(name = "retold", version, styles = STYLES, max_term_width = 100, after_help = after_help())]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Accepted before and after the verb.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Path of the store's file, or the URL of its server: https://HOST:PORT [env: RETOLD_STORE] [default: ./retold.redb]
    #[arg(long, global = true, value_name = "PATH|URL")]
    store: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
    /// Folder of upcasters, which bring old events to their newest shape as they are read [env: RETOLD_MIGRATIONS]
    /// [default: none; ./migrations is not used automatically]
    #[arg(long, global = true, hide_short_help = true, value_name = "DIR")]
    migrations: Option<PathBuf>,
    /// table, json (one document), jsonl (one document per line) or cloudevents [default: table on a terminal, jsonl in a pipe]
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<Format>,
    /// auto, always or never; auto respects NO_COLOR
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: Color,
    /// How long to wait for a store that another process has open and does not share, or for its owner to answer
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    wait: Duration,
    /// File that defines types of your own, in TOML or JSON; `retold types` lists them too [env: RETOLD_TYPES]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    types: Option<PathBuf>,
    /// Refuse events of an unknown type
    #[arg(long, global = true, hide_short_help = true)]
    strict_types: bool,
    /// Validate payloads against the schema of their type: off, warn or enforce [default: off]
    #[arg(long, global = true, hide_short_help = true, value_name = "HOW", hide_possible_values = true)]
    validate: Option<Validate>,
    /// The settings file [env: RETOLD_CONFIG] [default: retold.toml in this folder, or the nearest above]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Print no messages except errors
    #[arg(short, long, global = true, hide_short_help = true)]
    quiet: bool,
    /// Log what the store does; repeat up to three times for more
    #[arg(short, long, global = true, hide_short_help = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Validate {
    Off,
    Warn,
    Enforce,
}

impl Validate {
    fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Record an event, or many from a file
    Append(append::Args),
    /// Print recorded events, in order
    Read(read::Args),
    /// Print recorded events, then new ones as they arrive, until Ctrl-C
    Tail(tail::Args),
    /// Print one event in full, by its address or its id
    Get(get::Args),
    /// Show what was said in a session, and what its tools did
    Show(show::Args),
    /// Find events by what they say
    Search(search::Args),
    /// List the sessions
    Sessions(sessions::Args),
    /// List the sessions by status, progress, tokens or age
    Ls(ls::Args),
    /// Show everything about a session on one screen
    Describe(describe::Args),
    /// Set, remove or list the labels of a session
    Label(label::Args),
    /// Add a note to a session
    Note(note::Args),
    /// Print counts, types and rates of events
    Stats(stats::Args),
    /// Draw the branches of a session
    Branches(branches::Args),
    /// Create a branch at an event of another
    Fork(fork::Args),
    /// Close a branch, so that it accepts no more events
    Close(close::Args),
    /// Set when a branch is deleted automatically: at a time, or when unused
    Expire(expire::Args),
    /// Delete a branch, or a session with all its branches
    Delete(delete::Args),
    /// Remove the first events of a branch
    Truncate(truncate::Args),
    /// Free the space of deleted and truncated events
    Purge(purge::Args),
    /// Delete sessions, or their first events, by age, number or size
    Retain(retain::Args),
    /// Print the events of a session with its branches, newest first
    Log(log::Args),
    /// Compare two branches of a session
    Diff(diff::Args),
    /// Append a branch's own events to its parent
    Promote(promote::Args),
    /// Make a branch current: the one that is shown when only the session is named
    Adopt(adopt::Args),
    /// Print a projection's state, now or as of any event or time
    State(state::Args),
    /// Compare two states of a projection
    StateDiff(state_diff::Args),
    /// Draw a timeline of each task and tool, in the terminal or as SVG
    Timeline(timeline::Args),
    /// List alerts, or raise those that are due
    Alerts(alerts::Args),
    /// List the projections, their progress and where they are parked
    Projections(projections::Args),
    /// Rebuild a projection
    Rebuild(rebuild::Args),
    /// Durable consumers: process events with acknowledgement
    Consumer(consumer::Args),
    /// List, replay or drop dead letters
    DeadLetters(dead_letters::Args),
    /// Timers: record events later
    Timers(timers::Args),
    /// Leases: one worker at a time on a session
    Lease(lease::Args),
    /// Import sessions from other tools
    Import(import::Args),
    /// List imports, and how files changed between them
    Imports(imports::Args),
    /// Export events for other programs, or the imported files
    Export(export::Args),
    /// Serve the store over HTTP, until Ctrl-C
    Serve(serve::Args),
    /// Copy the store into a new file, or what is new since an earlier backup, while it is in use
    Backup(backup::BackupArgs),
    /// Restore a store from a backup, or from a chain of them
    Restore(backup::RestoreArgs),
    /// Shrink the file by giving unused space back
    Compact(compact::Args),
    /// Recover what is readable in a damaged file into a new store
    Repair(repair::Args),
    /// Check everything in the store
    Verify(verify::Args),
    /// List the known event types, or explain one
    Types(types::Args),
    /// Upgrade the file to this release's format, and try upcasters on stored events
    Migrate(migrate::Args),
    /// Compare schemas of payloads
    Schema(schema::Args),
    /// Print statistics and settings of the store
    Info(info::Args),
    /// Record a small agent run: a crash and a resume, a fork, a diff
    Demo(demo::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print the manual page of retold or of one verb
    Man(man::Args),
}

impl Verb {
    /// Whether the verb works without settings, so that a mistake in them does not matter.
    fn needs_no_settings(&self) -> bool {
        matches!(self, Self::Completions(_) | Self::Man(_))
    }

    /// Only events can be printed as CloudEvents.
    fn prints_events(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Tail(_) | Self::Get(_) | Self::Alerts(_))
    }
}

fn main() -> ExitCode {
    if complete::is_asked() {
        panics::install(false, false);
        complete::answer(command);
        return ExitCode::SUCCESS;
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    color_of(&args).apply();
    if short_help::is_asked(&args, command()) {
        output::help(&short_help::text(&command()), false);
        return ExitCode::from(Exit::Done.code());
    }
    if args.len() < 2 {
        output::help(&short_help::text(&command()), true);
        return ExitCode::from(Exit::Usage.code());
    }
    let parsed = command().try_get_matches_from(args).and_then(|matches| {
        let verb = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((Cli::from_arg_matches(&matches)?, verb))
    });
    let (cli, verb) = match parsed {
        Ok(parsed) => parsed,
        Err(e) => {
            output::of_parser(&e);
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Done };
            return ExitCode::from(exit.code());
        }
    };
    let in_log = cli.logs_json();
    panics::install(cli.global.verbose > 0, in_log);
    let exit = panics::caught(|| run(cli, &verb)).unwrap_or_else(|sentence| {
        output::bug(&sentence, in_log);
        Exit::Failed
    });
    ExitCode::from(exit.code())
}

fn command() -> clap::Command {
    Cli::command()
}

impl Cli {
    /// Whether what is said on stderr is JSON.
    fn logs_json(&self) -> bool {
        matches!(&self.verb, Verb::Serve(args) if args.logs_json())
    }
}

fn run(cli: Cli, verb: &str) -> Exit {
    let mut out = Out::new(cli.global.output, cli.global.quiet);
    let started = match &cli.verb {
        Verb::Serve(args) => telemetry::start(args.collector()),
        _ => Ok(Telemetry::default()),
    };
    if cli.logs_json() {
        log(true, level(cli.global.verbose), started.as_ref().ok().and_then(Telemetry::layer));
        out.say_in_log();
    }
    let telemetry = match started {
        Ok(telemetry) => telemetry,
        Err(failure) => {
            out.failure(&failure);
            return failure.exit();
        }
    };
    let settings = match settings(&cli.global, cli.verb.needs_no_settings()) {
        Ok(settings) => settings,
        Err(failure) => {
            out.failure(&failure);
            return failure.exit();
        }
    };
    if let Err(failure) = cli.global.remote.check() {
        out.failure(&failure);
        return failure.exit();
    }
    if !cli.logs_json() {
        log(false, level_of(cli.global.verbose, settings.validation().ok()), telemetry.layer());
    }
    let mut app = App {
        out,
        // Straight from the flag: a path need not be UTF-8.
        store: cli.global.store.clone().unwrap_or_else(|| settings.store().to_owned()),
        store_flag: cli.global.store,
        remote: cli.global.remote,
        migrations: settings.migrations().map(Into::into),
        wait: cli.global.wait,
        program: format!("retold {verb}"),
        types: settings.types().map(Into::into),
        settings,
        telemetry,
        damage: RefCell::default(),
    };
    let done = dispatch(cli.verb, &mut app);
    // What was printed before an error is flushed before the error is reported.
    let finished = app.out.finish();
    let damage = app.damage.take();
    match done.and(finished) {
        Ok(()) if damage.is_empty() => Exit::Done,
        Ok(()) => {
            for damage in damage {
                app.out.say(format!("{} {damage}", paint(style::ERROR, "damaged:")));
            }
            app.out.note("Everything that could be read was shown; `retold verify` checks the whole store.");
            Exit::Corrupt
        }
        Err(failure) => {
            app.out.failure(&failure);
            failure.exit()
        }
    }
}

/// The settings in effect, including those of the command line.
fn settings(global: &Global, none: bool) -> Result<Settings, Failure> {
    let mut loader = Settings::loader();
    if none {
        return Ok(loader.no_file().environment::<OsString, OsString>([]).load()?);
    }
    if let Some(file) = &global.config_file {
        loader = loader.file(file);
    }
    for (key, path) in [("types", &global.types), ("migrations", &global.migrations)] {
        if let Some(path) = path {
            let text =
                path.to_str().ok_or_else(|| Failure::Usage(format!("--{key} takes a path in UTF-8")))?;
            loader = loader.set(key, text);
        }
    }
    if let Some(store) = global.store.as_ref().and_then(|path| path.to_str()) {
        loader = loader.set("store", store);
    }
    if global.strict_types {
        loader = loader.set("strict_types", true);
    }
    if let Some(validate) = global.validate {
        loader = loader.set("validate", validate.word());
    }
    Ok(loader.load()?)
}

fn dispatch(verb: Verb, app: &mut App) -> Outcome {
    if app.out.format == Format::Cloudevents && !verb.prints_events() {
        let text = "-o cloudevents works only with verbs that print events: read, tail, get and alerts";
        return Err(Failure::Usage(text.into()));
    }
    match verb {
        Verb::Append(args) => append::run(args, app),
        Verb::Read(args) => read::run(args, app),
        Verb::Tail(args) => tail::run(args, app),
        Verb::Get(args) => get::run(&args, app),
        Verb::Show(args) => show::run(&args, app),
        Verb::Search(args) => search::run(&args, app),
        Verb::Sessions(args) => sessions::run(&args, app),
        Verb::Ls(args) => ls::run(&args, app),
        Verb::Describe(args) => describe::run(&args, app),
        Verb::Label(args) => label::run(&args, app),
        Verb::Note(args) => note::run(&args, app),
        Verb::Stats(args) => stats::run(&args, app),
        Verb::Branches(args) => branches::run(&args, app),
        Verb::Fork(args) => fork::run(&args, app),
        Verb::Close(args) => close::run(&args, app),
        Verb::Expire(args) => expire::run(&args, app),
        Verb::Delete(args) => delete::run(&args, app),
        Verb::Truncate(args) => truncate::run(&args, app),
        Verb::Purge(args) => purge::run(&args, app),
        Verb::Retain(args) => retain::run(&args, app),
        Verb::Log(args) => log::run(&args, app),
        Verb::Diff(args) => diff::run(&args, app),
        Verb::Promote(args) => promote::run(&args, app),
        Verb::Adopt(args) => adopt::run(&args, app),
        Verb::Serve(args) => serve::run(args, app),
        Verb::Backup(args) => backup::run(&args, app),
        Verb::Restore(args) => backup::restore(&args, app),
        Verb::Compact(args) => compact::run(&args, app),
        Verb::Repair(args) => repair::run(&args, app),
        Verb::Lease(args) => lease::run(&args, app),
        Verb::State(args) => state::run(&args, app),
        Verb::StateDiff(args) => state_diff::run(&args, app),
        Verb::Timeline(args) => timeline::run(&args, app),
        Verb::Alerts(args) => alerts::run(&args, app),
        Verb::Projections(args) => projections::run(&args, app),
        Verb::Rebuild(args) => rebuild::run(&args, app),
        Verb::Consumer(args) => consumer::run(&args, app),
        Verb::DeadLetters(args) => dead_letters::run(&args, app),
        Verb::Timers(args) => timers::run(args, app),
        Verb::Import(args) => import::run(&args, app),
        Verb::Imports(args) => imports::run(&args, app),
        Verb::Export(args) => export::run(&args, app),
        Verb::Verify(args) => verify::run(&args, app),
        Verb::Types(args) => types::run(&args, app),
        Verb::Migrate(args) => migrate::run(&args, app),
        Verb::Schema(args) => schema::run(&args, app),
        Verb::Info(args) => info::run(&args, app),
        Verb::Demo(args) => demo::run(&args, app),
        Verb::Completions(args) => completions::run(&args, app),
        Verb::Man(args) => man::run(&args, command(), app),
    }
}

/// The parser prints its help before `--color` is known.
fn color_of(args: &[OsString]) -> Color {
    let mut words = args.iter().filter_map(|a| a.to_str()).take_while(|a| *a != "--");
    let mut color = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--color") {
            Some("") => color = words.next(),
            Some(rest) => color = rest.strip_prefix('=').or(color),
            None => {}
        }
    }
    match color {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    }
}

/// How much is said on stderr. Payloads that do not fit are reported as warnings.
fn level_of(verbose: u8, validation: Option<Validation>) -> LevelFilter {
    match verbose {
        0 if validation == Some(Validation::Warn) => LevelFilter::WARN,
        0 => LevelFilter::OFF,
        more => level(more),
    }
}

fn level(verbose: u8) -> LevelFilter {
    match verbose {
        0 | 1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn log(as_json: bool, level: LevelFilter, telemetry: Option<LogLayer>) {
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    if telemetry.is_none() && level == LevelFilter::OFF {
        return;
    }
    let printed: LogLayer = if as_json {
        fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed()
    } else {
        let colors = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        fmt::layer().with_writer(std::io::stderr).with_ansi(colors).with_target(false).boxed()
    };
    // Spans and measures of requests are for OpenTelemetry.
    let is_log = filter_fn(|of| of.target() != "retold_server::otel");
    let printed = printed.with_filter(is_log).with_filter(level).boxed();
    let layers: Vec<LogLayer> = telemetry.into_iter().chain([printed]).collect();
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

/// Something that is told what happens.
type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn after_help() -> String {
    let codes: Vec<String> =
        Exit::ALL.iter().map(|(exit, meaning)| format!("  {}  {meaning}", exit.code())).collect();
    format!(
        "An address is SESSION[/BRANCH][@SEQ]; BRANCH defaults to `main`. A session, a branch or the id of an event may be \
         cut short while only one begins so, except where something is appended, adopted, closed, deleted or exported. Globs match dotted types: `*` matches one \
         part, `**` any number of parts. Times are RFC 3339.\n\nExit codes:\n{}\n\nTry it:\n  retold \
         demo\n  retold append run-7 run.started --data '{{\"goal\": \"fix the build\"}}'\n  retold read run-7",
        codes.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn global_flags_are_taken_before_and_after_the_verb() {
        for args in [["retold", "-q", "--store", "x", "info"], ["retold", "info", "--store", "x", "-q"]] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert!(cli.global.quiet);
            assert_eq!(cli.global.store, Some("x".into()));
        }
    }
}
