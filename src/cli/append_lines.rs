//! `retold append --ndjson`
use super::App;
use super::failure::Outcome;
pub(super) fn run(_file: &str, _session: Option<&str>, _app: &mut App) -> Outcome {
    Ok(())
}
