//! The meta row of a file that is being opened, and whether this release may use the file.

use redb::ReadTransaction;

use super::refusal::not_a_store;
use crate::codec::{BackupLabel, FORMAT, Features, Meta};
use crate::engine::file::disk::mend::mended;
use crate::engine::file::redb_errors::{corrupt, malformed};
use crate::engine::file::tables::definitions::{META, META_KEY};
use crate::engine::file::tables::lookup;
use crate::engine::problem::Problem;
use crate::error::{Error, Result};
use crate::event::Invalid;

/// In a read-only store, a damaged meta row is reported and corrected.
pub(crate) fn read_meta(
    txn: &ReadTransaction,
    name: &str,
    damage: Option<&mut Vec<Problem>>,
) -> Result<Meta> {
    let Some(table) = lookup::open_if_made(txn, META)? else {
        return Err(not_a_store(name, "is a redb file of another program"));
    };
    let place = || format!("the meta row of {name}");
    let row = lookup::get(&table, META_KEY)?.ok_or_else(|| corrupt(place(), "it is missing"))?;
    let found = match (Meta::format(row.value()), damage) {
        (Ok(found), _) => found,
        (Err(malformed), damage) => {
            let meta = damage.and_then(|damage| Some((mended(row.value(), Meta::decode)?, damage)));
            let Some((meta, damage)) = meta else { return Err(corrupt(place(), malformed.to_string())) };
            damage.push(Problem::new(place(), format!("{malformed}; one bit of it is wrong")));
            return Ok(meta);
        }
    };
    if found > FORMAT {
        return Err(Error::NewerFormat { path: name.to_owned(), found, supported: FORMAT });
    }
    Meta::decode(row.value()).map_err(malformed(place()))
}

/// Whether this release may use a store with these features. A file of an earlier format is upgraded before it is written.
pub(crate) fn usable(meta: &Meta, name: &str, read_only: bool) -> Result<()> {
    if meta.features.incompatible & Features::INCREMENT != 0 {
        let since = match BackupLabel::of(meta) {
            Ok(Some((label, _))) => label.since.map(|base| format!(" since {}", base.name)),
            _ => None,
        };
        let why = format!("is an incremental backup{}", since.unwrap_or_default());
        let way_out = "restore it together with the backups before it";
        return Err(
            Invalid::new("store", format!("{name} {why}, and is not a store by itself: {way_out}")).into()
        );
    }
    if meta.format < FORMAT && !read_only {
        let reason = format!("{name} is of an earlier format; only a file is upgraded: open it by its path");
        return Err(Error::storage(reason));
    }
    match meta.features.barring(!read_only) {
        0 => Ok(()),
        features => {
            let may_read = meta.features.barring(false) == 0;
            Err(Error::UnknownFeatures { path: name.to_owned(), features, may_read })
        }
    }
}
