//! What the port speaks of, as messages.

mod answers;
mod ask;
mod changes;
mod commits;
#[cfg(feature = "testkit")]
mod exchange;
mod notice;
mod parts;
mod problem;
mod reads;
mod reports;
mod words;

pub(super) use answers::{failed, got_message, outcome, outcome_message, read_got};
pub(super) use ask::{ask_commit, ask_read};
pub(super) use commits::{Takes, commit_of};
#[cfg(feature = "testkit")]
pub(crate) use exchange::exchange;
pub(super) use notice::{Noticed, notice_message, noticed};
pub(super) use problem::problem_of;
pub(super) use reads::{Look, is_in_memory, read_of};
pub(super) use reports::{dead_space_of, figures_of, report_of, sent_dead_space, sent_figures, sent_report};
