//! `retold consumer`

use std::time::{Duration, Instant};

use serde_json::json;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::get;
use super::select::past;
use super::span::seconds;
use super::style::{BAD, DIM, NAME, paint};
use super::table::{Table, cell, clean};
use super::view::{count, grouped, short};
use retold::consumer::{Consumer, ConsumerConfig, ConsumerInfo, Token};
use retold::delivery::Owner;
use retold::error::Error;
use retold::event::Pattern;
use retold::follow::Cursor;
use retold::store::Store;
use retold::wire::{self, Exit};

/// The pause between two checks for an event.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(after_help = "A worker in a shell:
  retold consumer add mailer --type 'mail.*'
  while got=$(retold consumer next mailer -o json --timeout 60); do
    token=$(printf '%s' \"$got\" | jq -r .token)
    if printf '%s' \"$got\" | jq .event | send-mail; then
      retold consumer ack mailer \"$token\"
    else
      retold consumer nack mailer \"$token\"
    fi
  done

An event is delivered at least once: until it is acknowledged, or moved to the dead-letter queue.")]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Create a durable consumer
    Add(Box<Add>),
    /// List the consumers with their progress and open deliveries
    Ls,
    /// Show a consumer: its settings and open deliveries
    Show(Named),
    /// Take the next event, with the token that resolves its delivery; exit code 4 if there is none
    Next(Next),
    /// Acknowledge a delivery: the event was handled
    Ack(Resolve),
    /// Reject a delivery: redeliver the event, or dead-letter it after its last delivery
    Nack(Nack),
    /// Extend a delivery: its ack deadline starts over
    Touch(Resolve),
    /// Move the event to the dead-letter queue, whatever deliveries are left
    Park(Park),
    /// Start over; open deliveries can no longer be resolved
    Reset(Reset),
    /// Remove a consumer and its dead letters
    Rm(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The consumer's name
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct Begin {
    /// Where to start: start, end, or a position to start after [default: start]
    #[arg(long, value_name = "start|end|N", conflicts_with_all = ["since", "cursor"])]
    from: Option<String>,
    /// Start with the first event recorded at or after this time, or this long ago: 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", conflicts_with = "cursor")]
    since: Option<String>,
    /// Start where a `tail` of everything, or of the same session, ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    begin: Begin,
    /// Only events of this session
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Only types that match this glob; repeat to add more
    #[arg(long = "type", value_name = "GLOB")]
    kinds: Vec<String>,
    /// No types that match this glob; repeatable
    #[arg(long, value_name = "GLOB")]
    except: Vec<String>,
    /// Only events of at least this priority
    #[arg(long, value_name = "0-255")]
    priority: Option<u8>,
    /// The ack deadline of a delivery [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    deadline: Option<Duration>,
    /// How often an event is delivered before it goes to the dead-letter queue [default: 5]
    #[arg(long, value_name = "N")]
    max_deliveries: Option<u32>,
    /// How many deliveries may be in flight at once [default: 256]
    #[arg(long, value_name = "N")]
    max_in_flight: Option<usize>,
    /// The backoff after an event's first failure; doubles with each further one [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    backoff: Option<Duration>,
    /// The maximum backoff [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_backoff: Option<Duration>,
    /// How many dead letters are kept [default: the setting dead_letter_max, 10000]
    #[arg(long, value_name = "N")]
    max_dead_letters: Option<usize>,
}

#[derive(Debug, clap::Args)]
struct Next {
    #[command(flatten)]
    named: Named,
    /// If there is none, keep checking for this long; other processes can append in the meantime
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    timeout: Duration,
}

#[derive(Debug, clap::Args)]
struct Resolve {
    #[command(flatten)]
    named: Named,
    /// The delivery's token, as printed by `next` and `show`
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    token: String,
}

#[derive(Debug, clap::Args)]
struct Nack {
    #[command(flatten)]
    of: Resolve,
    /// When to redeliver the event [default: after the consumer's backoff]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    delay: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Park {
    #[command(flatten)]
    of: Resolve,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct Reset {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    begin: Begin,
}

impl Begin {
    fn of(&self, config: ConsumerConfig) -> Result<ConsumerConfig, Failure> {
        let config = match self.from.as_deref() {
            None | Some("start") => config,
            Some("end") => config.from_end(),
            Some(n) => {
                let position = n.parse::<u64>().map_err(|_| {
                    Failure::Usage(format!("--from takes `start`, `end` or a position, not `{}`", clean(n)))
                })?;
                config.after_position(position)
            }
        };
        let config = match &self.since {
            Some(since) => config.since(past("since", since)?),
            None => config,
        };
        Ok(match &self.cursor {
            Some(cursor) => config.cursor(cursor.parse::<Cursor>()?),
            None => config,
        })
    }
}

impl Add {
    fn config(&self, new: ConsumerConfig) -> Result<ConsumerConfig, Failure> {
        let mut config = self.begin.of(new)?;
        if let Some(session) = &self.session {
            config = config.session(session.as_str())?;
        }
        for glob in &self.kinds {
            config = config.pattern(Pattern::new(glob)?);
        }
        for glob in &self.except {
            config = config.except(Pattern::new(glob)?);
        }
        let default = ConsumerConfig::new();
        config = config.priority_at_least(self.priority.unwrap_or_default());
        if let Some(deadline) = self.deadline {
            config = config.deadline(deadline);
        }
        if let Some(deliveries) = self.max_deliveries {
            config = config.max_deliveries(deliveries);
        }
        if let Some(events) = self.max_in_flight {
            config = config.max_in_flight(events);
        }
        if let Some(dead_letters) = self.max_dead_letters {
            config = config.max_dead_letters(dead_letters);
        }
        let (first, most) = default.backoffs();
        Ok(config.backoff(self.backoff.unwrap_or(first), self.max_backoff.unwrap_or(most)))
    }
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    match &args.verb {
        Verb::Add(add) => {
            let config = add.config(app.settings.consumer())?;
            let store = app.writing()?;
            let name = &add.named.name;
            with(&store, async || closed(store.consumers().open(name, config).await?).await)?;
            show(name, store, app)
        }
        Verb::Ls => ls(app),
        Verb::Show(named) => {
            let store = app.reading()?;
            show(&named.name, store, app)
        }
        Verb::Next(args) => next(args, app),
        Verb::Ack(args) => {
            resolve(args, app, async |consumer, token, _| consumer.ack(token).await.map(|()| "acknowledged"))
        }
        Verb::Nack(args) => resolve(&args.of, app, async |consumer, token, store| {
            consumer.nack(token, args.delay).await?;
            // A replayed dead letter remains one until it is handled.
            let owner = Owner::consumer(&args.of.named.name)?;
            match store.dead_letters().get(&owner, token.position()) {
                Ok(dead_letter) if !dead_letter.again => Ok("set aside"),
                Ok(_) | Err(Error::NotFound { .. }) => Ok("to be delivered again"),
                Err(e) => Err(e),
            }
        }),
        Verb::Touch(args) => resolve(args, app, async |consumer, token, _| {
            consumer.touch(token).await.map(|()| "has more time")
        }),
        Verb::Park(args) => resolve(&args.of, app, async |consumer, token, _| {
            consumer.park(token, args.reason.as_str()).await.map(|()| "set aside")
        }),
        Verb::Reset(args) => {
            let begin = args.begin.of(ConsumerConfig::new())?;
            let store = app.changing()?;
            let name = &args.named.name;
            with(&store, async || {
                store.consumers().reset(name, begin).await?;
                closed(store.consumers().open_existing(name).await?).await
            })?;
            show(name, store, app)
        }
        Verb::Rm(named) => {
            let store = app.changing()?;
            let name = &named.name;
            let dead_letters = with(&store, async || store.consumers().remove(name).await)?;
            store.close()?;
            if !app.out.is_table() {
                return app.out.document(&json!({ "name": name, "dead_letters": dead_letters }));
            }
            let gone = count(dead_letters as u64, "dead letter");
            app.out.line(format!("{} removed, with {gone}", paint(NAME, clean(name))))
        }
    }
}

/// Runs on its own runtime, which is shut down before it returns.
fn with<T>(_: &Store, work: impl AsyncFnOnce() -> Result<T, Error>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io { what: "the runtime".into(), source: e })?;
    Ok(runtime.block_on(work())?)
}

/// Opened and closed for one verb: the program ends afterwards.
async fn closed(consumer: Consumer) -> Result<(), Error> {
    consumer.close().await;
    Ok(())
}

fn ls(app: &mut App) -> Outcome {
    let infos = app.reading()?.consumers().list()?;
    let out = &mut app.out;
    if !out.is_table() {
        out.begin_list()?;
        return infos.iter().try_for_each(|info| out.item(&wire::ConsumerView::from(info)));
    }
    if infos.is_empty() {
        out.note("there are no consumers; `retold consumer add` creates one");
    }
    let names = ["NAME", "TYPES", "#ACK FLOOR", "#LAG", "#OUT", "#ACKNOWLEDGED", "#DEAD LETTERS"];
    let mut table = Table::new(&names, out.width()).spare(&["ACKNOWLEDGED", "ACK FLOOR"]);
    for info in &infos {
        let types = info.config.settings().into_iter().find(|(name, _)| *name == "pattern");
        let lines = table.row(vec![
            cell(&info.name).style(NAME),
            cell(types.map(|(_, globs)| globs).unwrap_or_default()),
            cell(grouped(info.ack_floor.get())),
            cell(grouped(info.lag)),
            cell(info.outstanding.len()),
            cell(grouped(info.acknowledged)),
            cell(grouped(info.dead_letters as u64)).style(if info.dead_letters > 0 { BAD } else { DIM }),
        ]);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}

fn show(name: &str, store: Store, app: &mut App) -> Outcome {
    let info: ConsumerInfo = store.consumers().info(name)?;
    store.close()?;
    let out = &mut app.out;
    if !out.is_table() {
        return out.document(&wire::ConsumerView::from(&info));
    }
    let mut lines = vec![("consumer", paint(NAME, &info.name)), ("created", short(info.created))];
    lines.extend(info.config.settings());
    lines.extend([
        ("ack floor", format!("up to position {}", grouped(info.ack_floor.get()))),
        ("lag", count(info.lag, "position")),
        ("acknowledged", count(info.acknowledged, "event")),
        ("dead letters", grouped(info.dead_letters as u64)),
    ]);
    for (what, value) in lines {
        out.line(format!("{}  {value}", paint(DIM, format!("{what:>14}"))))?;
    }
    let mut table = Table::new(&["OUT", "#DELIVERIES", "AGAIN AT", "TOKEN"], out.width())
        .spare(&["AGAIN AT"])
        .whole("TOKEN");
    for event in &info.outstanding {
        let token = event.token.map_or_else(|| "waits".to_owned(), |token| token.to_string());
        let cells =
            vec![cell(&event.at).style(NAME), cell(event.deliveries), cell(short(event.due)), cell(token)];
        let lines = table.row(cells);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}

fn next(args: &Next, app: &mut App) -> Outcome {
    let store = app.changing()?;
    let delivery = with(&store, async || {
        let consumer = store.consumers().open_existing(&args.named.name).await?;
        let begun = Instant::now();
        let delivery = loop {
            let delivery = consumer.try_next().await?;
            let left = args.timeout.saturating_sub(begun.elapsed());
            if delivery.is_some() || left.is_zero() {
                break delivery;
            }
            tokio::time::sleep(PAUSE.min(left)).await;
        };
        consumer.close().await;
        Ok(delivery)
    })?;
    store.close()?;
    let Some(delivery) = delivery else {
        app.out.note(format!("there is no event for {} now", clean(&args.named.name)));
        return Err(Failure::Reported(Exit::NotFound));
    };
    if !app.out.is_table() {
        return app.out.document(&wire::Delivered::from(&delivery));
    }
    for (name, value) in
        [("token", delivery.token().to_string()), ("delivery", delivery.deliveries().to_string())]
    {
        app.out.line(format!("{}  {value}", paint(DIM, format!("{name:>11}"))))?;
    }
    get::show(delivery.event(), &mut app.out)
}

fn resolve(
    args: &Resolve,
    app: &mut App,
    how: impl AsyncFnOnce(&Consumer, &Token, &Store) -> Result<&'static str, Error>,
) -> Outcome {
    let token: Token = args.token.parse()?;
    let store = app.changing()?;
    let name = &args.named.name;
    let done = with(&store, async || {
        let consumer = store.consumers().open_existing(name).await?;
        let resolved = how(&consumer, &token, &store).await;
        consumer.close().await;
        resolved
    })?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&json!({ "name": name, "position": token.position().get(), "done": done }));
    }
    app.out.line(format!("position {} of {}: {done}", token.position(), paint(NAME, clean(name))))
}
