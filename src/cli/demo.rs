//! `retold demo`
use super::App;
use super::failure::Outcome;
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    app.out.for_people();
    let _ = &app.store_flag;
    Ok(())
}
