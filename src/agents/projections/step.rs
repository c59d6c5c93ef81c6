//! What it means when an entity is reported to go from one phase to another.

use crate::event::Phase;

/// The effect of a report of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PhaseStep {
    /// It is in that phase already.
    Same,
    /// It moves there.
    On,
    /// It had ended, and begins again.
    Again,
    /// That is impossible: it stays where it is.
    Odd,
}

/// From the current phase (none before the first report) to the reported one.
pub(super) fn step(from: Option<Phase>, to: Phase) -> PhaseStep {
    use Phase::{Created, Deleted, Running};
    let Some(from) = from else { return PhaseStep::On };
    match (from, to) {
        (from, to) if from == to => PhaseStep::Same,
        (Deleted, Created) => PhaseStep::Again,
        (Deleted, _) => PhaseStep::Odd,
        (_, Deleted) => PhaseStep::On,
        (from, Created | Running) if from.is_final() => PhaseStep::Again,
        // What has ended can neither pause nor end again.
        (from, _) if from.is_final() => PhaseStep::Odd,
        // What is running cannot be about to begin.
        (_, Created) => PhaseStep::Odd,
        _ => PhaseStep::On,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase::*;

    #[test]
    fn what_makes_sense_goes_on_what_ended_begins_again_and_the_rest_is_odd() {
        for (from, to, is) in [
            (None, Completed, PhaseStep::On),
            (Some(Created), Completed, PhaseStep::On),
            (Some(Running), Waiting, PhaseStep::On),
            (Some(Paused), Stopped, PhaseStep::On),
            (Some(Failed), Deleted, PhaseStep::On),
            (Some(Running), Running, PhaseStep::Same),
            (Some(Failed), Running, PhaseStep::Again),
            (Some(Completed), Created, PhaseStep::Again),
            (Some(Deleted), Created, PhaseStep::Again),
            (Some(Deleted), Running, PhaseStep::Odd),
            (Some(Completed), Failed, PhaseStep::Odd),
            (Some(Cancelled), Paused, PhaseStep::Odd),
            (Some(Running), Created, PhaseStep::Odd),
        ] {
            assert_eq!(step(from, to), is, "{from:?} to {to}");
        }
    }
}
