//! `retold import`

use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::import_files::{Given, expand};
use super::import_report::{Files, report};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::view::grouped;
use retold::agents::interop::{Content, FileImport, Format, ImportError, Naming, Options};
use retold::event::SessionId;
use retold::store::Store;
use retold::wire::Exit;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold import ~/.claude/projects/my-project/*.jsonl
  retold import --from temporal history.json
  retold import --session run-7 events.jsonl
  retold import trajectories/

Every record is kept byte for byte; `retold export --to source` gives the files back as they were imported last, and \
`retold imports` lists every import. Importing a file again, or a file that has changed, adds only what is new: \
#RECORDS is what is new, what is a duplicate and what was skipped. A broken record is named and left out, and the exit \
code is 7.

A session that the file does not name is called after the file, with its folder in front where another file has that \
name. Several runs in one file become several sessions; a folder of files that hold one event each becomes one.")]
pub(super) struct Args {
    /// The files, or folders of them; - for standard input
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<String>,
    /// What wrote them: auto, retold, cloudevents, aios, claude-code, openhands or temporal
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    from: String,
    /// The session that the events go to [default: as the file says]
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Stop at a broken record, with nothing of its file written
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let format = if args.from == "auto" { None } else { Some(args.from.parse::<Format>()?) };
    let session = args.session.as_deref().map(SessionId::new).transpose()?;
    let options = Options::default().format(format).session(session);
    let mut import = Import {
        options,
        strict: args.strict,
        store: None,
        naming: Naming::default(),
        files: Files::default(),
        interrupt: Interrupt::listen(),
    };
    let (given, failures) = expand(&args.files);
    let mut worst = None;
    for e in failures {
        app.out.failure(&e);
        worst = worst.or(Some(e.exit()));
    }
    for file in &given {
        match import.file(file, app) {
            Ok(()) => {}
            Err(e @ (Failure::ClosedPipe | Failure::Usage(_))) => return Err(e),
            Err(e) => {
                if !e.is_told() {
                    app.out.failure(&e);
                }
                if e.exit() == Exit::Interrupted {
                    worst = Some(Exit::Interrupted);
                    break;
                }
                worst = worst.or(Some(e.exit()));
                if args.strict {
                    break;
                }
            }
        }
    }
    if let Some(store) = import.store {
        store.close()?;
    }
    import.files.finish(app)?;
    worst.map_or(Ok(()), |exit| Err(Failure::Reported(exit)))
}

struct Import {
    options: Options,
    strict: bool,
    store: Option<Store>,
    naming: Naming,
    files: Files,
    interrupt: Interrupt,
}

impl Import {
    fn file(&mut self, given: &Given, app: &mut App) -> Outcome {
        let name = if given.name == "-" { "standard input" } else { given.name.as_str() };
        let stopped = || format!("stopped while {name} was read; nothing of it was written");
        let content =
            self.open(given, app).map_err(|e| self.told(Failure::file(name, e), app, &stopped()))?;
        // The bar goes with the reading, before anything is said.
        let read = FileImport::read(name, content, &self.options).map_err(|e| match e {
            ImportError::Store(e) => e.into(),
            ImportError::Input(e) => self.told(Failure::file(name, e), app, &stopped()),
            other => failed(name, other),
        })?;
        for skipped in read.skipped() {
            app.out.say(format!("{name}:{}: byte {}: {}", skipped.line, skipped.byte, skipped.reason));
        }
        if self.strict && !read.skipped().is_empty() {
            app.out.say(format!("nothing of {name} was written"));
            return Err(Failure::Reported(Exit::Invalid));
        }
        let format = read.format();
        // Only now, so that a file that is none, or has nothing to be kept, does not make a store.
        if self.store.is_none() && read.events() == 0 {
            let is_broken = !read.skipped().is_empty();
            if is_broken {
                app.out
                    .say(format!("{name}: has no record that can be read as {format}; nothing was written"));
            }
            report(app, &mut self.files, name, Some(format), Vec::new(), &read.unwritten())?;
            return if is_broken { Err(Failure::Reported(Exit::Invalid)) } else { Ok(()) };
        }
        if self.store.is_none() {
            let store = app.writing()?;
            self.naming = Naming::of(&store)?;
            self.store = Some(store);
        }
        let Some(store) = &self.store else { return Ok(()) };
        let (named, known_as) =
            read.named(store, &mut self.naming, &given.at).map_err(|e| failed(name, e))?;
        if let Some(other) = known_as {
            app.out.note(format!("{name}: has the records of {other}, and goes to its session"));
        }
        let (sessions, all) = (named.sessions(), named.events());
        // At once: each is looked up in the store before the first is written.
        let mut progress = Progress::at_once(&app.out, "events", Some(all as u64));
        let interrupt = self.interrupt.clone();
        let loaded = named.load(store, &mut |done| {
            progress.set(done as u64);
            if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        drop(progress);
        let loaded = loaded.map_err(|e| failed(name, e))?;
        if let Some(all) = loaded.stopped {
            let done = grouped((loaded.new + loaded.duplicates) as u64);
            app.out.say(format!(
                "stopped: {done} of the {} events of {name} are in the store; importing it again goes on from there",
                grouped(all as u64)
            ));
            return Err(Failure::Reported(Exit::Interrupted));
        }
        report(app, &mut self.files, name, Some(format), sessions, &loaded)?;
        if loaded.skipped.is_empty() { Ok(()) } else { Err(Failure::Reported(Exit::Invalid)) }
    }

    /// An interruption is no failure of a file.
    fn told(&self, failure: Failure, app: &mut App, what: &str) -> Failure {
        if !self.interrupt.is_asked() {
            return failure;
        }
        app.out.say(what);
        Failure::Reported(Exit::Interrupted)
    }

    fn open(&self, given: &Given, app: &App) -> io::Result<Content> {
        let interrupt = self.interrupt.clone();
        let check = move || match interrupt.is_asked() {
            true => Err(io::Error::from(io::ErrorKind::Interrupted)),
            false => Ok(()),
        };
        let content = match &given.at.path {
            Some(path) => Content::disk(File::open(path)?)?,
            // What comes through a pipe comes once, and it is read more than once.
            None if given.name == "-" => Content::spooled(&mut io::stdin().lock(), &check)?,
            None => Content::spooled(&mut File::open(&given.name)?, &check)?,
        };
        let mut progress = Progress::at_once(&app.out, "bytes", Some(content.len() as u64));
        content.watch(move |read| {
            progress.set(read);
            check()
        });
        Ok(content)
    }
}

fn failed(name: &str, e: ImportError) -> Failure {
    match e {
        ImportError::Store(e) => e.into(),
        ImportError::Input(e) => Failure::file(name, e),
        other => Failure::file(name, io::Error::other(other)),
    }
}
