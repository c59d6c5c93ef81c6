//! Which events go to a handler: patterns, exclusions, and a user's predicate.

use std::fmt;
use std::sync::Arc;

use super::message::Message;
use crate::error::Result;
use crate::event::{Catalogue, Filter, Invalid, Pattern, PayloadView};
use crate::limits::MAX_HANDLER_PATTERNS;
use crate::panics::caught;

type Question = Arc<dyn Fn(&Message) -> bool + Send + Sync>;

/// Which events.
#[derive(Clone, Default)]
pub(super) struct Route {
    /// The patterns as given, for people.
    patterns: Vec<Pattern>,
    except: Vec<Pattern>,
    /// The same, with the other names that the catalogue knows, and what else was asked for.
    filter: Filter,
    not: Option<Filter>,
    question: Option<Question>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} except {:?}", self.patterns, self.except)
    }
}

impl Route {
    pub(super) fn pattern(&mut self, glob: &str) -> Result<()> {
        let pattern = Pattern::new(glob)?;
        self.filter = std::mem::take(&mut self.filter).pattern(pattern.clone());
        self.patterns.push(pattern);
        self.bounded()
    }

    pub(super) fn except(&mut self, glob: &str) -> Result<()> {
        let pattern = Pattern::new(glob)?;
        self.not = Some(self.not.take().unwrap_or_default().pattern(pattern.clone()));
        self.except.push(pattern);
        self.bounded()
    }

    fn bounded(&self) -> Result<()> {
        let count = self.patterns.len() + self.except.len();
        if count > MAX_HANDLER_PATTERNS {
            let reason = format!("is one of {count}; the limit per handler is {MAX_HANDLER_PATTERNS}");
            return Err(Invalid::new("pattern", reason).into());
        }
        Ok(())
    }

    pub(super) fn narrow(&mut self, narrow: impl FnOnce(Filter) -> Filter) {
        self.filter = narrow(std::mem::take(&mut self.filter));
    }

    pub(super) fn question(&mut self, question: impl Fn(&Message) -> bool + Send + Sync + 'static) {
        self.question = Some(match self.question.take() {
            None => Arc::new(question),
            Some(earlier) => Arc::new(move |message| earlier(message) && question(message)),
        });
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    pub(super) fn exclusions(&self) -> &[Pattern] {
        &self.except
    }

    /// The same with the aliases of a store's catalogue.
    pub(super) fn resolved_in(mut self, catalogue: &Catalogue) -> Self {
        self.filter = self.filter.resolved_in(catalogue);
        self.not = self.not.map(|not| not.resolved_in(catalogue));
        self
    }

    /// The part that a follower can filter.
    pub(super) fn filter(&self) -> Filter {
        self.filter.clone()
    }

    /// Whether events of this type can match.
    pub(super) fn may_take(&self, kind: &str) -> bool {
        self.filter.takes_kind(kind) && !self.not.as_ref().is_some_and(|not| not.takes_kind(kind))
    }

    pub(super) fn takes(&self, message: &Message) -> bool {
        self.takes_with(message, &PayloadView::of(message.record()))
    }

    /// The same with its payload, which others test too. A predicate that panics matches nothing.
    pub(super) fn takes_with(&self, message: &Message, payload: &PayloadView<'_>) -> bool {
        if !self.may_take(message.kind()) {
            return false;
        }
        self.filter.takes_but_kind(payload) && self.answers(message)
    }

    /// The same of what a follower with this [filter](Self::filter) has brought.
    pub(super) fn takes_followed(&self, message: &Message) -> bool {
        self.may_take(message.kind()) && self.answers(message)
    }

    fn answers(&self, message: &Message) -> bool {
        match &self.question {
            None => true,
            Some(question) => caught(|| question(message)).unwrap_or(false),
        }
    }
}

/// A glob as other systems write it: there a lone `*` matches every type, here it matches every type with one part. For
/// configuration from other systems; for this bus, write `**`. Where such a system lets `*` cross dots, so that
/// `build.*` also matches `build.step.done`, use [`Pattern::fnmatch`].
///
/// ```
/// use retold::bus::imported_pattern;
/// assert_eq!(imported_pattern("*")?.as_str(), "**");
/// assert_eq!(imported_pattern("tool.*")?.as_str(), "tool.*");
/// # Ok::<(), retold::Invalid>(())
/// ```
///
/// # Errors
/// [`Invalid`] as [`Pattern::new`].
pub fn imported_pattern(glob: &str) -> Result<Pattern, Invalid> {
    Pattern::new(if glob.trim() == "*" { "**" } else { glob })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_record;
    use crate::event::{NewEvent, PAYLOADS_READ, Place};

    #[test]
    fn handlers_that_test_a_payload_read_it_once_and_what_a_follower_brought_not_at_all() {
        let route = |test: &str| {
            let mut route = Route::default();
            route.pattern("a.*").unwrap();
            route.narrow(|filter| filter.payload(test.parse().unwrap()));
            route
        };
        let record = encode_record(&NewEvent::new("a.b").json_text("{\"n\":7}"), 100).unwrap();
        let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
        let message = Message::ephemeral(Arc::new(place), record);
        let (payload, before) = (PayloadView::of(message.record()), PAYLOADS_READ.get());
        let taken = ["/n == 7", "/n > 7", "/n", "/m"].map(|test| route(test).takes_with(&message, &payload));
        assert_eq!((taken, PAYLOADS_READ.get() - before), ([true, false, true, false], 1));
        assert!(route("/n > 7").takes_followed(&message));
        assert_eq!(PAYLOADS_READ.get() - before, 1);
    }
}
