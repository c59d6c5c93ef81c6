//! `retold completions`

use clap_complete::Shell;

use super::app::App;
use super::failure::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold completions bash > ~/.local/share/bash-completion/completions/retold
  retold completions zsh > \"${fpath[1]}/_retold\"
  retold completions fish > ~/.config/fish/completions/retold.fish")]
pub(super) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command, app: &mut App) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "retold", &mut script);
    app.out.file(&script)
}
