//! `retold import`

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::App;
use super::failure::{Failure, Outcome};
use super::import_files::{Given, expand};
use super::import_report::{Files, report};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::view::grouped;
use crate::event::SessionId;
use crate::interop::{
    Content, Format, Loaded, Naming, Options, Plan, Sketch, load_from, of_file, of_folder, scratch, sketch_of,
};
use crate::store::Store;
use crate::wire::Exit;

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

/// Bytes of standard input that are taken at once.
const CHUNK: usize = 64 * 1024;

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
    worst.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
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
        let sketched = sketch_of(name, &content, &self.options);
        // The bar goes before anything is said.
        content.watch(Box::new(|_| Ok(())));
        content.fault().map_err(|e| self.told(Failure::file(name, e), app, &stopped()))?;
        let sketched = sketched?;
        for skipped in &sketched.plan.skipped {
            app.out.say(format!("{name}:{}: byte {}: {}", skipped.line, skipped.byte, skipped.reason));
        }
        if self.strict && !sketched.plan.skipped.is_empty() {
            app.out.say(format!("nothing of {name} was written"));
            return Err(Failure::Told(Exit::Invalid));
        }
        // Only now, so that a file that is none, or has nothing to be kept, does not make a store.
        if self.store.is_none() && sketched.events() == 0 {
            let Plan { format, records, skipped, notes, .. } = sketched.plan;
            let is_broken = !skipped.is_empty();
            if is_broken {
                app.out
                    .say(format!("{name}: has no record that can be read as {format}; nothing was written"));
            }
            let loaded = Loaded { records, skipped, notes, ..Loaded::default() };
            report(app, &mut self.files, name, Some(format), Vec::new(), &loaded)?;
            return if is_broken { Err(Failure::Told(Exit::Invalid)) } else { Ok(()) };
        }
        if self.store.is_none() {
            let store = app.writing()?;
            self.naming = Naming::of(&store)?;
            self.store = Some(store);
        }
        let sketched = self.named(given, name, &content, sketched, app)?;
        let Some(store) = &self.store else { return Ok(()) };
        let (format, sessions, all) = (sketched.plan.format, sessions(&sketched), sketched.events());
        // At once: each is looked up in the store before the first is written.
        let mut progress = Progress::at_once(&app.out, "events", Some(all as u64));
        let interrupt = self.interrupt.clone();
        let read = |range| content.bytes(range);
        let loaded = load_from(store, sketched, (content.len(), &read), &mut |done| {
            progress.set(done as u64);
            if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        drop(progress);
        content.fault().map_err(|e| Failure::file(name, e))?;
        let loaded = loaded?;
        if let Some(all) = loaded.stopped {
            let done = grouped((loaded.new + loaded.duplicates) as u64);
            app.out.say(format!(
                "stopped: {done} of the {} events of {name} are in the store; importing it again goes on from there",
                grouped(all as u64)
            ));
            return Err(Failure::Told(Exit::Interrupted));
        }
        report(app, &mut self.files, name, Some(format), sessions, &loaded)?;
        if loaded.skipped.is_empty() { Ok(()) } else { Err(Failure::Told(Exit::Invalid)) }
    }

    /// An interruption is no failure of a file.
    fn told(&self, failure: Failure, app: &mut App, what: &str) -> Failure {
        if !self.interrupt.is_asked() {
            return failure;
        }
        app.out.say(what);
        Failure::Told(Exit::Interrupted)
    }

    fn open(&self, given: &Given, app: &App) -> io::Result<Content> {
        let interrupt = self.interrupt.clone();
        let check = move || match interrupt.is_asked() {
            true => Err(io::Error::from(io::ErrorKind::Interrupted)),
            false => Ok(()),
        };
        let file = match &given.path {
            Some(path) => File::open(path)?,
            // What comes through a pipe comes once, and it is read more than once.
            None if given.name == "-" => spooled(&mut io::stdin().lock(), &check)?,
            None => spooled(&mut File::open(&given.name)?, &check)?,
        };
        let content = Content::disk(file)?;
        // It is read more than once, and shown as if once.
        let (work, len) = (content.work().max(1), content.len() as u64);
        let mut progress = Progress::at_once(&app.out, "bytes", Some(len));
        content.watch(Box::new(move |read| {
            progress.set((u128::from(read.min(work)) * u128::from(len) / u128::from(work)) as u64);
            check()
        }));
        Ok(content)
    }

    /// The plan with its session, where the file does not name it.
    fn named(
        &mut self,
        given: &Given,
        name: &str,
        content: &Content,
        mut sketched: Sketch,
        app: &mut App,
    ) -> Result<Sketch, Failure> {
        let path = given.path.clone().unwrap_or_else(|| name.to_owned());
        if self.options.session.is_none()
            && let Some(store) = &self.store
        {
            let is_part = given.is_numbered && sketched.plan.records == 1;
            let folder = || Path::new(&path).parent().map(|p| p.to_string_lossy().into_owned());
            let owner = match is_part {
                true => folder(),
                false => given.path.clone(),
            };
            let candidates = match is_part {
                true => of_folder(&path),
                false => of_file(&path, given.is_shared),
            };
            let mut options = self.options.clone();
            let mut again = |home: SessionId| {
                options.home = Some(home);
                Ok(sketch_of(name, content, &options)?)
            };
            let read = |range| content.bytes(range);
            let names = (owner.as_deref(), candidates.as_slice());
            let named = self.naming.choose(store, names, sketched, &read, &mut again)?;
            if let Some(other) = named.known_as.filter(|other| Some(other) != owner.as_ref()) {
                app.out.note(format!("{name}: has the records of {other}, and goes to its session"));
            }
            sketched = named.sketch;
            sketched.plan.origin.owner = owner;
        }
        // What has no place of its own is told apart by where it went.
        sketched.plan.origin.path = match &given.path {
            Some(path) => path.clone(),
            None => match sessions(&sketched).first() {
                Some(session) => format!("{name} ({session})"),
                None => path,
            },
        };
        Ok(sketched)
    }
}

/// All that comes from there, in a file of our own.
fn spooled(from: &mut dyn Read, check: &dyn Fn() -> io::Result<()>) -> io::Result<File> {
    let mut file = scratch()?;
    let mut chunk = vec![0; CHUNK];
    loop {
        check()?;
        let n = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        file.write_all(chunk.get(..n).unwrap_or_default())?;
    }
    check()?;
    Ok(file)
}

fn sessions(sketched: &Sketch) -> Vec<String> {
    let names: BTreeSet<&SessionId> = sketched.places().into_iter().map(|p| &p.session).collect();
    names.into_iter().map(ToString::to_string).collect()
}
