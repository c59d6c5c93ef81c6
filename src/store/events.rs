//! All events of a query, one after another, in bounded memory.

use super::ahead::Ahead;
use super::query::Query;
use super::read::Reader;
use super::scan::Piece;
use super::trouble::guarded;
use crate::error::{Error, Result};
use crate::event::{Event, Filter};

/// Reads on as it is asked for events. Ends after the first error.
#[derive(Debug)]
#[must_use]
pub struct Events {
    way: Way,
    left: usize,
}

#[derive(Debug)]
enum Way {
    /// Page by page: the latest first, the whole store, or only a few events.
    Pages { reader: Reader, next: Option<Query>, page: std::vec::IntoIter<Event> },
    /// A branch from its beginning on.
    Pieces { ahead: Box<Ahead>, filter: Filter, pieces: std::vec::IntoIter<Piece>, piece: Option<Piece> },
    /// At the end, or before an error that is still to be told.
    Over(Option<Error>),
}

impl Events {
    pub(super) fn new(reader: Reader, query: Query) -> Self {
        let left = query.max_events();
        let way = match query.long_read() {
            Some((place, from, to)) => match guarded(|| reader.branch(place)) {
                Ok(branch) => Way::Pieces {
                    ahead: Box::new(Ahead::new(reader, branch, from, to)),
                    filter: query.into_filter(),
                    pieces: Vec::new().into_iter(),
                    piece: None,
                },
                Err(e) => Way::Over(Some(e)),
            },
            None => Way::Pages { reader, next: Some(query), page: Vec::new().into_iter() },
        };
        Self { way, left }
    }
}

impl Way {
    fn next(&mut self, left: usize) -> Result<Option<Event>> {
        match self {
            Self::Over(error) => error.take().map_or(Ok(None), Err),
            Self::Pages { reader, next, page } => loop {
                if let Some(event) = page.next() {
                    return Ok(Some(event));
                }
                let Some(query) = next.take() else { return Ok(None) };
                let query = query.page_limit(left);
                let read = guarded(|| reader.read(&query))?;
                (*page, *next) = (read.events.into_iter(), read.next);
            },
            Self::Pieces { ahead, filter, pieces, piece } => loop {
                for event in piece.iter_mut().flatten() {
                    let event = event?;
                    if filter.is_empty() || filter.takes(&event) {
                        return Ok(Some(event));
                    }
                }
                *piece = pieces.next();
                if piece.is_none() {
                    *pieces = ahead.next()?.list.into_iter();
                    *piece = pieces.next();
                    if piece.is_none() {
                        return Ok(None);
                    }
                }
            },
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let found = self.way.next(self.left);
        match &found {
            Ok(Some(_)) => self.left -= 1,
            Ok(None) | Err(_) => self.way = Way::Over(None),
        }
        found.transpose()
    }
}
