//! The current branch of a session: the one that is meant when only the session is named. A sidecar record that
//! import and `adopt` set; an append never changes it.

use super::file_reader::FileReader;
use crate::error::Result;
use crate::event::{BranchName, Place, SessionId};
use crate::store::engine::tables::sidecar_view::SidecarView;
use crate::store::sidecar::{SidecarRange, SidecarTable, SidecarWrites};

/// What makes this branch the current one of its session.
pub(crate) fn current_mark(place: &Place) -> SidecarWrites {
    let mut records = SidecarWrites::new();
    let (session, branch) = (place.session.as_str(), place.branch.as_str());
    records.put(SidecarTable::Current, session.as_bytes().to_vec(), branch.as_bytes().to_vec());
    records
}

impl FileReader {
    /// The branch that was made current, if one was and it exists.
    pub(crate) fn current(&self, session: &SessionId) -> Result<Option<BranchName>> {
        self.current_in(&self.records()?, session)
    }

    /// The same, from these sidecar records.
    pub(crate) fn current_in(
        &self,
        records: &SidecarView,
        session: &SessionId,
    ) -> Result<Option<BranchName>> {
        let row = match records.get(SidecarTable::Current, session.as_str().as_bytes()) {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            Err(e) if e.is_damage() => return Ok(None),
            Err(e) => return Err(e),
        };
        let Some(branch) = named(&row) else { return Ok(None) };
        let place = Place::new(session.clone(), branch);
        Ok(self.find(&place)?.map(|_| place.branch))
    }
}

fn named(row: &[u8]) -> Option<BranchName> {
    BranchName::new(std::str::from_utf8(row).ok()?).ok()
}

impl SidecarView {
    /// Tells of each record that names no branch of `exists`.
    pub(crate) fn verify_current(
        &self,
        exists: impl Fn(&Place) -> Result<bool>,
        problem: &mut dyn FnMut(String, String),
    ) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = SidecarRange { after: after.as_deref(), ..SidecarRange::under(b"", PAGE) };
            let rows = self.rows(SidecarTable::Current, &rows)?;
            let Some(last) = rows.last() else { return Ok(()) };
            let next = Some(last.key.clone());
            for row in rows {
                // One that does not decode was reported with the other sidecar records.
                let Ok(value) = row.value else { continue };
                let session = std::str::from_utf8(&row.key).ok().and_then(|s| SessionId::new(s).ok());
                let place = session.zip(named(&value)).map(|(s, b)| Place::new(s, b));
                match place {
                    Some(place) if exists(&place)? => {}
                    Some(place) => problem(
                        format!("current branch of {}", place.session),
                        format!("it is {}, which does not exist", place.branch),
                    ),
                    None => problem(
                        format!("row {} of current", row.key.escape_ascii()),
                        "it does not name a session and a branch".to_owned(),
                    ),
                }
            }
            after = next;
        }
    }
}

/// Rows that are read at a time.
const PAGE: usize = 1_000;
