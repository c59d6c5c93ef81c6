//! A backup of a store on another machine: the owner makes a copy, and the client takes it part by part into a file of its own.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::asking::wait;
use super::engine::SharedEngine;
use crate::codec::link::{SentAnswer, SentAsk};
use crate::engine::backup::Backup;
use crate::engine::port::OnProgress;
use crate::error::{Error, Result};
use crate::event::Position;
use crate::files::{new_file, remove};

impl SharedEngine {
    /// Writes a full backup into a new file here. Whoever asks for it checks it.
    ///
    /// # Errors
    /// What making the copy fails with, and [`Error::Storage`] when it cannot be written here.
    pub(super) fn copy(&self, to: &Path, progress: &mut OnProgress<'_>) -> Result<Backup> {
        let mut reached = (0, 0);
        let copied = |answer: &SentAnswer<'_>| match answer {
            SentAnswer::Copied(position, bytes) => Some((*position, *bytes)),
            _ => None,
        };
        let (position, bytes) = self.walk(&SentAsk::Copy, copied, &mut |done, of| {
            reached = (done, of);
            progress(done, of)
        })?;
        let failed = |e: io::Error| Error::storage(format!("{} cannot be written: {e}", to.display()));
        let mut file = new_file(to).map_err(failed)?;
        let taken = self.take(bytes, &mut file, &failed, &mut || progress(reached.0, reached.1).is_break());
        if taken.is_err() {
            // It is begun anew with the next owner.
            drop(file);
            let _ = remove(to);
        }
        taken?;
        Ok(Backup { path: to.to_owned(), position: Position::new(position), since: None, bytes })
    }

    /// Takes all parts of a copy.
    fn take(
        &self,
        bytes: u64,
        file: &mut File,
        failed: &dyn Fn(io::Error) -> Error,
        ends: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let link = &self.connection.0;
        let mut at = 0;
        while at < bytes {
            if ends() {
                return Err(Error::Closed { after: None });
            }
            let message = wait(link, link.ask_plain(SentAsk::CopyPart(at)))?;
            let SentAnswer::CopyPart(part) = link.answered(&message)? else {
                return Err(link.misunderstood("it is no part of a copy"));
            };
            let len = part.len() as u64;
            if len == 0 || len > bytes - at {
                return Err(link.misunderstood("a part of a copy has another length than it can have"));
            }
            file.write_all(part).map_err(failed)?;
            at += len;
        }
        file.sync_all().map_err(failed)
    }
}
