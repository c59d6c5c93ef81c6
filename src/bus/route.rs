//! Which events go to a handler: patterns, exclusions, and a user's predicate.

use std::fmt;
use std::sync::Arc;

use super::message::Message;
use crate::error::Result;
use crate::event::{Catalogue, Filter, Invalid, Pattern};
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

    /// A predicate that panics matches nothing.
    pub(super) fn takes(&self, message: &Message) -> bool {
        if !self.may_take(message.kind()) {
            return false;
        }
        if !self.filter.takes_but_kind(message.record()) {
            return false;
        }
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
