//! `retold note`

use super::app::App;
use super::append::payload;
use super::failure::{Failure, Outcome};
use super::label::by;
use super::style::{DIM, NAME, paint};
use retold::agents::projections::Annotations;
use retold::event::SessionId;
use retold::event::payload::Payload;
use retold::event::payload::session::SessionNoted;
use retold::wire::Appended;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold note run-7 'the cause is in normalize()' --actor mara
  git log -1 | retold note run-7 -
  retold read run-7/annotations --type session.noted    all notes on it

`retold describe` shows the latest notes. A note is an event in the branch `annotations` of the session: it does not \
disturb whoever appends to main, works after main was closed, and does not count as activity of the session.")]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "SESSION")]
    session: String,
    /// The note; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    text: String,
    /// The person, agent or service that writes the note
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let session = SessionId::new(&args.session)?;
    let text = match args.text.as_str() {
        "-" => String::from_utf8(payload("@-".to_owned())?)
            .map_err(|_| Failure::Usage("standard input is not text in UTF-8".to_owned()))?,
        text => text.to_owned(),
    };
    let note = SessionNoted::new(text)?.event()?;
    let id = note.id();
    let events = by(vec![note], args.actor.as_deref());
    let store = app.changing()?;
    let receipt = Annotations::write(&store, &session, events)?;
    store.close()?;
    let Some(placed) = receipt.parts().first() else { return Ok(()) };
    if !app.out.is_table() {
        return app.out.document(&Appended::new(placed, id, &receipt));
    }
    let place = paint(NAME, format!("{}@{}", placed.place, placed.last));
    app.out.line(format!("{place}  {}", paint(DIM, format!("position {}, id {id}", placed.last_position))))
}
