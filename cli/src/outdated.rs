//! Projections whose stored states another release has built.

use retold::agents::projections;
use retold::error::Result;
use retold::event::Catalogue;
use retold::store::Store;

/// What to say of them; `None` when there are none.
pub(super) fn outdated(store: &Store, catalogue: &Catalogue) -> Result<Option<String>> {
    let known = store.projections().list()?;
    let is_old = |name: &str, version: u32| {
        known.iter().any(|info| info.name == name && info.version.is_some_and(|stored| stored != version))
    };
    let all = projections::all(catalogue);
    let old = all.iter().filter(|projection| is_old(projection.name(), projection.version()));
    let old: Vec<&str> = old.map(|projection| projection.name()).collect();
    if old.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "{}: stored states are of another release, so events are folded anew; `retold rebuild --all` does it once",
        old.join(", ")
    )))
}
