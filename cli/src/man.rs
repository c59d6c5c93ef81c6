//! `retold man`

use super::app::App;
use super::failure::{Failure, Outcome};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold man | man -l -
  retold man append > retold-append.1")]
pub(super) struct Args {
    /// A verb; without one, the page of retold itself
    #[arg(value_name = "VERB")]
    verb: Option<String>,
}

pub(super) fn run(args: &Args, mut command: clap::Command, app: &mut App) -> Outcome {
    // Passes the global flags down to the verbs.
    command.build();
    let page = match &args.verb {
        None => command,
        Some(verb) => {
            let found = command.find_subcommand(verb).cloned();
            found.ok_or_else(|| Failure::Usage(format!("there is no verb `{verb}`")))?
        }
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut roff)
        .map_err(|e| Failure::Io { what: "the manual page".into(), source: e })?;
    app.out.file(&roff)
}
