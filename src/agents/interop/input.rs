//! A file that is being read: the input of every format.

use std::collections::HashSet;

use crate::event::{Invalid, SessionId};

use super::builder::Builder;
use super::content::Content;
use super::format::Format;
use super::names;
use super::options::Options;
use super::piece::{Piece, Pieces, Text};

/// A file and how it is to be read.
pub(crate) struct Input<'a> {
    pub(crate) format: Format,
    pub(crate) file: &'a str,
    pub(crate) content: &'a Content,
    pub(crate) pieces: &'a Pieces,
    pub(crate) options: &'a Options,
}

impl<'a> Input<'a> {
    pub(crate) fn builder(&self) -> Builder<'a> {
        let notes = self.pieces.notes.clone();
        Builder::new((self.format, self.file), self.content, notes, self.options)
    }

    /// All records. Read errors are reported by [`Content::fault`].
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.pieces.iter().map_while(|piece| piece.map_err(|e| self.content.fail(e)).ok())
    }

    /// A record, or its problem.
    pub(crate) fn text(&self, piece: &Piece) -> Result<Text, String> {
        self.pieces.text(piece, self.content)
    }

    /// The session of each run whose records name none. The first run without a name is called after the file, so
    /// that a file that has gained a run keeps its names.
    pub(crate) fn sessions(&self) -> Result<Vec<SessionId>, Invalid> {
        let base = self.session_or_stem()?;
        let with_records = self.pieces.runs_with_records();
        // A document stays one run, but a file of lines may get more.
        let alone = with_records.len() < 2 && !names::is_lines(self.file);
        let mut taken: HashSet<SessionId> = HashSet::new();
        let mut sessions = vec![base.clone(); self.pieces.runs.len()];
        let mut n = 0;
        for run in with_records {
            n += 1;
            let label = self.pieces.runs.get(run).and_then(|r| r.label.as_deref()).filter(|_| !alone);
            let mut name = match label {
                Some(label) => names::session(&format!("{base}.{label}"))?,
                None if n == 1 => base.clone(),
                None => names::session(&format!("{base}.{n}"))?,
            };
            if !taken.insert(name.clone()) {
                name = names::session(&format!("{name}.{n}"))?;
                taken.insert(name.clone());
            }
            if let Some(session) = sessions.get_mut(run) {
                *session = name;
            }
        }
        Ok(sessions)
    }

    /// The session that was given, or one named after the file.
    pub(crate) fn session_or_stem(&self) -> Result<SessionId, Invalid> {
        names::session_or_stem(self.options.session.as_ref().or(self.options.home.as_ref()), self.file)
    }
}
