//! What verification and statistics say.

use crate::codec::Bounded;
use crate::codec::link::{SentDeadSpace, SentFigures, SentReport};
use crate::engine::dead_space::DeadSpace;
use crate::engine::problem::Problem;
use crate::engine::report::{Figures, Report};
use crate::limits::SHARED_LIST;

pub(crate) fn sent_report(report: &Report) -> SentReport<'_> {
    let problems = report.problems.iter().take(SHARED_LIST).map(|p| (p.place.as_str(), p.reason.as_str()));
    SentReport {
        branches: report.branches,
        events: report.events,
        chunks: report.chunks,
        problems: Bounded(problems.collect()),
    }
}

pub(crate) fn report_of(sent: &SentReport<'_>) -> Report {
    let problems = sent.problems.0.iter().map(|(place, reason)| Problem::new(place, *reason));
    Report { branches: sent.branches, events: sent.events, chunks: sent.chunks, problems: problems.collect() }
}

pub(crate) fn sent_figures(figures: &Figures) -> SentFigures {
    SentFigures {
        sessions: figures.sessions,
        branches: figures.branches,
        events: figures.events,
        in_journal: figures.in_journal,
        chunks: figures.chunks,
        payload_bytes: figures.payload_bytes,
        file_bytes: figures.file_bytes,
    }
}

pub(crate) fn figures_of(sent: &SentFigures) -> Figures {
    Figures {
        sessions: sent.sessions,
        branches: sent.branches,
        events: sent.events,
        in_journal: sent.in_journal,
        chunks: sent.chunks,
        payload_bytes: sent.payload_bytes,
        file_bytes: sent.file_bytes,
    }
}

pub(crate) fn sent_dead_space(dead: &DeadSpace) -> SentDeadSpace {
    let DeadSpace { file, free, unpurged, is_partial } = *dead;
    SentDeadSpace { file, free, unpurged, is_partial }
}

pub(crate) fn dead_space_of(sent: &SentDeadSpace) -> DeadSpace {
    let SentDeadSpace { file, free, unpurged, is_partial } = *sent;
    DeadSpace { file, free, unpurged, is_partial }
}
