//! Listings of sessions as cards: which are shown, in which order, and where a page goes on.

mod list;
mod mark;
mod query;
mod sort;
#[cfg(test)]
mod tests;
mod wanted;

pub use list::{ListedSession, SessionPage};
pub use mark::SessionMark;
pub use query::SessionQuery;
pub use sort::SessionSort;
pub use wanted::{LabelTest, SessionStatus};
