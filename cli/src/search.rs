//! `retold search`

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::progress::Progress;
use super::select::Select;
use super::style::{DIM, HEADER, NAME, NOTICE, of_kind, paint};
use super::table::clean;
use super::view::{count, short};
use super::who::Who;
use retold::agents::search::{Hit, Search, SearchRequest, Snippet};
use retold::limits::SEARCH_HITS;
use retold::wire::SearchHit;

/// With fewer events that are not indexed yet, a search finds everything at once.
const MANY: u64 = 10_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold search login timeout               both words, in one text
  retold search '\"login timeout\" -test'     one after the other, and no \"test\" beside them
  retold search 'time* OR deadline'         the beginning of a word, or another word
  retold search panicked --role tool --since 7d
  retold search umlaut --session run-7 -o json
  retold search -- '-test login'            a query that begins with -

Case and accents do not count. The index lies beside the store, in a folder that ends in .search; searches make it, and it can be \
deleted at any time.")]
pub(super) struct Args {
    /// Words, "phrases", beginnings*, and what must not be there: -word
    #[arg(value_name = "QUERY", required = true)]
    query: Vec<String>,
    /// Only in this session
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Only what these say: user, assistant, thinking, tool or system; repeat to add more
    #[arg(long, value_name = "WHO", hide_possible_values = true)]
    role: Vec<Who>,
    /// Show at most this many events
    #[arg(long, value_name = "N", default_value_t = SEARCH_HITS)]
    limit: usize,
    /// Leave out this many of the best
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    offset: usize,
    #[command(flatten)]
    select: Select,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let filter = args.select.filter(app)?;
    let store = app.reading()?;
    let mut request = SearchRequest::new(args.query.join(" "))
        .speakers(args.role.iter().flat_map(|who| who.speakers().iter().copied()))
        .filter(filter)
        .limit(args.limit)
        .offset(args.offset);
    if let Some(session) = &args.session {
        request = request.session(named::session(&store, session, &mut app.out)?);
    }
    let search = store.search();
    prepare(&search, store.committed().get(), app);
    let found = search.find(&request)?;
    if !app.out.is_table() {
        app.out.begin_list()?;
        found.hits.iter().try_for_each(|hit| app.out.item(&SearchHit::from(hit)))?;
    } else {
        found.hits.iter().try_for_each(|hit| show(hit, app))?;
        if found.hits.is_empty() && args.offset == 0 {
            app.out.note(format!("nothing found in {}", count(found.up_to.get(), "event")));
        } else if found.more {
            let next = args.offset + found.hits.len();
            app.out.note(paint(DIM, format!("there is more: --offset {next}, or a higher --limit")));
        }
    }
    if found.unread > 0 {
        let events = count(found.unread, "event");
        app.out.note(format!("{events} could not be read and may hold more; `retold verify` says which"));
    }
    Ok(())
}

/// Brings an index that is far behind up to date, with a bar. What does not work here does not matter: a search reads what is
/// not in the index.
fn prepare(search: &Search, committed: u64, app: &App) {
    let reached = search.info().ok().flatten().map_or(0, |index| index.up_to.get());
    if committed.saturating_sub(reached) < MANY {
        return;
    }
    let mut progress = Progress::at_once(&app.out, "events indexed", Some(committed));
    let _ = search.update_with(|reached, all| {
        progress.total(all);
        progress.set(reached);
    });
}

fn show(hit: &Hit, app: &mut App) -> Outcome {
    let event = &hit.event;
    let who = match hit.speaker {
        Some(speaker) => paint(HEADER, speaker),
        None => paint(of_kind(event.kind()), event.kind()),
    };
    let when = paint(DIM, short(event.occurred()));
    app.out.line(format!("{}  {who}  {when}", paint(NAME, event.address())))?;
    app.out.line(format!("    {}", marked(&hit.snippet)))
}

/// The snippet on one line, with what was found in color.
fn marked(snippet: &Snippet) -> String {
    let mut line = String::new();
    if snippet.begins_later {
        line.push('…');
    }
    let mut from = 0;
    for mark in &snippet.marks {
        line.push_str(&piece(snippet.text.get(from..mark.start).unwrap_or_default()));
        line.push_str(&paint(NOTICE.bold(), clean(snippet.text.get(mark.clone()).unwrap_or_default())));
        from = mark.end;
    }
    line.push_str(&piece(snippet.text.get(from..).unwrap_or_default()));
    if snippet.ends_earlier {
        line.push('…');
    }
    line
}

/// A piece with its line breaks as spaces, and the spaces at its ends kept.
fn piece(text: &str) -> String {
    let space = |is_there: bool| if is_there { " " } else { "" };
    let inner = clean(text);
    match inner.is_empty() {
        true => space(!text.is_empty()).to_owned(),
        false => {
            let begin = space(text.starts_with(char::is_whitespace));
            format!("{begin}{inner}{}", space(text.ends_with(char::is_whitespace)))
        }
    }
}
