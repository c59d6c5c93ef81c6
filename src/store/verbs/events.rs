//! All events of a query, one after another, in bounded memory.

use super::ahead::Ahead;
use super::query::{Items, Query};
use crate::engine::Piece;
use crate::error::{Error, Result};
use crate::event::{Event, Filter};
use crate::store::handle::reader::{Reader, Shape};

/// An iterator that reads page by page. Ends after the first error, except [`Error::Upcast`], which is followed by
/// the next event.
#[derive(Debug)]
#[must_use]
pub struct Events {
    way: Way,
    left: usize,
}

#[derive(Debug)]
enum Way {
    /// Page by page: the latest first, the whole store, or only a few events.
    Pages { reader: Reader, next: Option<Query>, page: Box<Items> },
    /// A branch from its beginning on.
    Pieces {
        ahead: Box<Ahead>,
        filter: Filter,
        shape: Shape,
        pieces: std::vec::IntoIter<Piece>,
        piece: Option<Piece>,
    },
    /// At the end, or before an error that is still to be told.
    Over(Option<Error>),
}

impl Events {
    pub(crate) fn new(reader: Reader, mut query: Query) -> Self {
        query.filter = reader.resolved(query.filter);
        let left = query.max_events();
        let way = match query.long_read() {
            Some((place, from, to)) => match reader.branch(place) {
                Ok(branch) => Way::Pieces {
                    ahead: Box::new({
                        // Whoever reads from the beginning gets what is left.
                        let from = if from == 1 && branch.first() <= to { branch.first() } else { from };
                        Ahead::new(reader, branch, from, to)
                    }),
                    shape: query.shape(),
                    filter: query.into_filter(),
                    pieces: Vec::new().into_iter(),
                    piece: None,
                },
                Err(e) => Way::Over(Some(e)),
            },
            None => Way::Pages { reader, next: Some(query), page: Box::default() },
        };
        Self { way, left }
    }
}

impl Way {
    #[inline]
    fn next(&mut self, left: usize) -> Result<Option<Event>> {
        match self {
            Self::Over(error) => error.take().map_or(Ok(None), Err),
            Self::Pages { reader, next, page } => loop {
                if let Some(item) = page.next() {
                    return item.map(Some);
                }
                let Some(query) = next.take() else { return Ok(None) };
                let query = query.page_limit(left);
                let scanned = reader.scan(&query)?;
                *next = scanned.next.clone();
                **page = scanned.items();
            },
            Self::Pieces { ahead, filter, shape, pieces, piece } => loop {
                let as_it_is = filter.is_empty() && ahead.reader().steps_for(*shape).is_none();
                for event in piece.iter_mut().flatten() {
                    let event = event?;
                    if as_it_is {
                        return Ok(Some(event));
                    }
                    if let Some(taken) = ahead.reader().taken(event, filter, *shape) {
                        return taken.map(Some);
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

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let found = self.way.next(self.left);
        match &found {
            Ok(Some(_)) => self.left -= 1,
            Err(Error::Upcast { .. }) => {}
            Ok(None) | Err(_) => self.way = Way::Over(None),
        }
        found.transpose()
    }
}
