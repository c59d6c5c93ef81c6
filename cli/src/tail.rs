//! `retold tail`: recorded events, then new ones as they are recorded, by whichever process.

use std::time::Duration;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::named;
use super::open::is_passing;
use super::output::{Format, Out};
use super::recording::Recorded;
use super::select::Select;
use super::style::{DIM, paint};
use super::template::Template;
use super::view::{Events, View, of_branch};
use retold::error::Error;
use retold::event::{Address, BranchName, Filter, SessionId};
use retold::follow::{Cursor, Follow, Followed};
use retold::store::Store;
use retold::wire::Exit;

/// The pause before a store is asked again that could not be had.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold tail run-7                     all branches of run-7, from the first event
  retold tail run-7/retry --from end    one branch, only new events
  retold tail --all --type '*.errored'
  retold tail run-7 --no-follow -o jsonl

If the session does not exist yet, tail waits for it. Other processes can append in the meantime.

If events were removed before they were printed, a message on stderr says so; with -o json and jsonl, it is an object between the events: {\"gap\":{\"first\":N}}, where N is the first sequence or position that may still exist.")]
pub(super) struct Args {
    /// A session with all its branches, or one branch [default: everything]
    #[arg(value_name = "SESSION[/BRANCH]", conflicts_with = "all")]
    place: Option<String>,
    /// Every session
    #[arg(long)]
    all: bool,
    /// Where to start: start, end, or a number, which is a sequence for one branch, else a position [default: start]
    #[arg(long, value_name = "start|end|N", value_parser = from, conflicts_with = "cursor")]
    from: Option<From>,
    /// Resume where an earlier tail of the same scope ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Exit after this many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Exit when all recorded events are printed
    #[arg(long)]
    no_follow: bool,
    /// Go by when events were recorded, not by when they happened: --since, --until, and the times shown
    #[arg(long)]
    recorded: bool,
    /// Without upcasting: as the events were appended
    #[arg(long)]
    raw: bool,
    /// Print each event with this template: '{address} {summary}'; `retold read --help` lists the fields
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "output")]
    format: Option<Template>,
    #[command(flatten)]
    select: Select,
}

#[derive(Clone, Copy, Debug)]
enum From {
    Start,
    End,
    Number(u64),
}

fn from(text: &str) -> Result<From, String> {
    match text {
        "start" => Ok(From::Start),
        "end" => Ok(From::End),
        n => n.parse().map(From::Number).map_err(|_| "not `start`, `end` or a number".to_owned()),
    }
}

enum Scope {
    Branch(Address),
    Session(SessionId),
    All,
}

impl Scope {
    fn parse(place: Option<&str>) -> Result<Self, Failure> {
        Ok(match place {
            None => Self::All,
            Some(text) if text.contains(['/', '@']) => Self::Branch(text.parse()?),
            Some(text) => Self::Session(SessionId::new(text)?),
        })
    }

    fn follow(&self) -> Result<Follow, Error> {
        match self {
            Self::Branch(address) => Follow::branch(address),
            Self::Session(session) => Follow::session(session.clone()),
            Self::All => Ok(Follow::all()),
        }
    }

    fn view(&self, store: &Store) -> Result<View, Error> {
        match self {
            Self::Branch(address) => match of_branch(store, address) {
                Err(Error::NotFound { .. }) if *address.branch() == BranchName::main() => Ok(View::Branch),
                found => found,
            },
            Self::Session(_) | Self::All => Ok(View::All),
        }
    }

    /// What is meant by a name that may be short for another.
    fn found(self, store: &Store, out: &mut Out) -> Result<Self, Failure> {
        Ok(match self {
            Self::Branch(address) => Self::Branch(named::address(store, &address.to_string(), out)?),
            Self::Session(session) => Self::Session(named::session(store, session.as_str(), out)?),
            Self::All => Self::All,
        })
    }

    /// Without following, it has to exist.
    fn check(&self, store: &Store) -> Result<(), Error> {
        match self {
            Self::Branch(address) => store.head(address).map(|_| ()),
            Self::Session(session) => store.branches(session).map(|_| ()),
            Self::All => Ok(()),
        }
    }
}

pub(super) fn run(args: Args, app: &mut App) -> Outcome {
    if args.format.is_some() {
        app.out.for_templates();
    }
    let mut scope = Scope::parse(args.place.as_deref())?;
    let _ = scope.follow()?;
    let cursor = args.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
    let (filter, recorded) = args.select.filter_by(args.recorded, app)?;
    let store = app.reading()?;
    if args.no_follow {
        scope = scope.found(&store, &mut app.out)?;
        scope.check(&store)?;
    } else if let Some(place) = &args.place {
        named::awaited(&store, place, &mut app.out);
    }
    let view = scope.view(&store)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io { what: "the runtime".into(), source: e })?;
    let catalogue = app.catalogue()?;
    let events = Events::new(&mut app.out, view, catalogue)?.recorded(args.recorded).with(args.format);
    let mut tail = Tail {
        scope,
        filter,
        recorded,
        raw: args.raw,
        from: args.from,
        cursor,
        left: args.count.unwrap_or(u64::MAX),
        stuck: false,
        events,
    };
    let done = runtime.block_on(async {
        tokio::select! {
            // It listens from the first poll on: before anything is printed.
            biased;
            _ = tokio::signal::ctrl_c() => Ok(()),
            done = tail.run(&store, !args.no_follow) => done,
        }
    });
    tail.events.flush()?;
    if let Some(cursor) = tail.cursor {
        tail.events.out().note(paint(DIM, format!("to resume here: --cursor {cursor}")));
    }
    if tail.stuck { done.and(Err(Failure::Reported(Exit::Invalid))) } else { done }
}

struct Tail<'a> {
    scope: Scope,
    filter: Filter,
    recorded: Recorded,
    raw: bool,
    from: Option<From>,
    cursor: Option<Cursor>,
    left: u64,
    /// Some event could not be upcast.
    stuck: bool,
    events: Events<'a>,
}

impl Tail<'_> {
    async fn run(&mut self, store: &Store, follow: bool) -> Outcome {
        let mut told = false;
        loop {
            let cursor = self.cursor;
            match self.print(store, follow).await {
                Err(Failure::Store(e)) if follow && is_passing(&e) => {
                    // Told again when it had gone on in between.
                    if !std::mem::replace(&mut told, true) || cursor != self.cursor {
                        self.events.flush()?;
                        self.events.out().note(paint(DIM, format!("{e}; retrying")));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Says that events were removed before they were printed: in the order of the events where those are JSON of our own.
    fn gap(&mut self, first: u64) -> Outcome {
        if matches!(self.events.out().format, Format::Json | Format::Jsonl) {
            return self.events.out().item(&serde_json::json!({ "gap": { "first": first } }));
        }
        self.events.flush()?;
        let what = if matches!(self.scope, Scope::Branch(_)) { "@" } else { "position " };
        self.events.out().note(paint(DIM, format!("events before {what}{first} were removed")));
        Ok(())
    }

    /// Prints what is recorded, and what will be.
    async fn print(&mut self, store: &Store, follow: bool) -> Outcome {
        let mut request = self.scope.follow()?.filter(self.filter.clone());
        request = match (self.cursor, self.from, &self.scope) {
            (Some(cursor), _, _) => request.cursor(cursor),
            (None, None | Some(From::Start), _) => request.from_start(),
            (None, Some(From::End), _) => request.from_end(),
            (None, Some(From::Number(n)), Scope::Branch(_)) => request.after(n.saturating_sub(1)),
            (None, Some(From::Number(n)), _) => request.after_position(n.saturating_sub(1)),
        };
        if self.raw {
            request = request.raw();
        }
        let mut following = store.follow(request)?;
        while self.left > 0 {
            // What is at hand is printed together; before waiting, all of it is visible.
            let next = tokio::select! {
                biased;
                next = following.next() => next,
                () = std::future::ready(()) => {
                    self.events.flush()?;
                    following.next().await
                }
            };
            match next {
                Some(Ok(Followed::Event { event, cursor })) => {
                    self.cursor = Some(cursor);
                    if self.recorded.takes(&event) {
                        self.events.event(&event)?;
                        self.left -= 1;
                    }
                }
                Some(Ok(Followed::CaughtUp { cursor })) => {
                    self.cursor = Some(cursor);
                    if !follow {
                        return Ok(());
                    }
                }
                Some(Ok(Followed::Gap { first, cursor })) => {
                    self.cursor = Some(cursor);
                    self.gap(first)?;
                }
                // Notices that a later release adds are not printed here.
                Some(Ok(_)) => {}
                // Reported in its place; the subscription continues after it.
                Some(Err(e @ Error::Upcast { .. })) => {
                    self.events.flush()?;
                    self.events.out().failure(&e.into());
                    self.stuck = true;
                }
                Some(Err(e)) => return Err(e.into()),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}
