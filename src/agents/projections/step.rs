//! What it means when an entity is said to go from one phase to another.

use crate::event::Phase;

/// What a report of a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is in that phase already.
    Same,
    /// It goes there.
    On,
    /// It had ended, and begins again.
    Again,
    /// That makes no sense: it stays where it is.
    Odd,
}

/// From where it is (nowhere before the first report) to where it is said to be.
pub(super) fn step(from: Option<Phase>, to: Phase) -> Step {
    use Phase::{Created, Deleted, Running};
    let Some(from) = from else { return Step::On };
    match (from, to) {
        (from, to) if from == to => Step::Same,
        (Deleted, Created) => Step::Again,
        (Deleted, _) => Step::Odd,
        (_, Deleted) => Step::On,
        (from, Created | Running) if from.is_final() => Step::Again,
        // Neither halted, nor ended once more.
        (from, _) if from.is_final() => Step::Odd,
        // What is at work is not yet to begin.
        (_, Created) => Step::Odd,
        _ => Step::On,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase::*;

    #[test]
    fn what_makes_sense_goes_on_what_ended_begins_again_and_the_rest_is_odd() {
        for (from, to, is) in [
            (None, Completed, Step::On),
            (Some(Created), Completed, Step::On),
            (Some(Running), Waiting, Step::On),
            (Some(Paused), Stopped, Step::On),
            (Some(Failed), Deleted, Step::On),
            (Some(Running), Running, Step::Same),
            (Some(Failed), Running, Step::Again),
            (Some(Completed), Created, Step::Again),
            (Some(Deleted), Created, Step::Again),
            (Some(Deleted), Running, Step::Odd),
            (Some(Completed), Failed, Step::Odd),
            (Some(Cancelled), Paused, Step::Odd),
            (Some(Running), Created, Step::Odd),
        ] {
            assert_eq!(step(from, to), is, "{from:?} to {to}");
        }
    }
}
