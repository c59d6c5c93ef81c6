//! `retold completions`

use clap_complete::Shell;

use super::app::App;
use super::complete;
use super::failure::{Failure, Outcome};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  echo 'source <(retold completions bash)' >> ~/.bashrc
  echo 'source <(retold completions zsh)' >> ~/.zshrc
  echo 'retold completions fish | source' >> ~/.config/fish/config.fish

Verbs, flags, formats, types and projections are completed, and sessions and branches of the store that the command line names. \
A store that does not answer within half a second offers nothing. After an upgrade, start a new shell: the script asks the program.")]
pub(super) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let script = complete::script(&args.shell.to_string());
    let script =
        script.ok_or_else(|| Failure::Usage(format!("there are no completions for {}", args.shell)))?;
    app.out.file(&script)
}
