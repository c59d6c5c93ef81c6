use crate::event::{Filter, NamePattern, SessionId, Speaker};
use crate::limits::{MAX_SEARCH_HITS, SEARCH_HITS};

/// What to search for, and where.
///
/// All words have to be in one text: `login timeout`. Words in quotes have to follow each other: `"login timeout"`. `time*` is the
/// beginning of a word, `-test` must not be there, and of `login OR sign-in` one is enough. Case and accents do not count.
///
/// ```
/// use retold::agents::search::SearchRequest;
/// use retold::event::roles::Speaker;
/// let request = SearchRequest::new("\"login timeout\" -test").speakers([Speaker::User]).limit(5);
/// # let _ = request;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SearchRequest {
    pub(super) text: String,
    pub(super) session: Option<SessionId>,
    pub(super) sessions: Option<NamePattern>,
    pub(super) speakers: Vec<Speaker>,
    pub(super) filter: Filter,
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl SearchRequest {
    /// In all events; the best ten.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            session: None,
            sessions: None,
            speakers: Vec::new(),
            filter: Filter::new(),
            limit: SEARCH_HITS,
            offset: 0,
        }
    }

    /// Only in this session, on all its branches.
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Only in sessions whose name matches. What is in others neither counts nor takes the place of anything; only how much a word
    /// weighs depends on how often all sessions say it.
    pub fn sessions(mut self, sessions: NamePattern) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Only what these say. More calls add more.
    pub fn speakers(mut self, speakers: impl IntoIterator<Item = Speaker>) -> Self {
        self.speakers.extend(speakers);
        self
    }

    /// Only events that this filter matches, in their newest shape.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// At most so many events; 1,000 at the most.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(MAX_SEARCH_HITS);
        self
    }

    /// Leaves out the best ones, this many: for the next page.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }
}
