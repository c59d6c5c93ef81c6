//! Whether a runner may write what a projection keeps, and what it has to do then: a function of what is stored.
//!
//! Of those that run the same code, the one that holds the lease does. Code of another version has a lease of its own, and
//! gives way by these rules: a rebuild is not disturbed while it goes on; a newer version takes the place of an older one,
//! which folds in memory from then on; and an older one comes back when nobody runs the newer one any more.

use super::keys::Built;
use super::lease::Standing;
use crate::event::Timestamp;

/// What is known when a runner looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// The version of the code that looks.
    pub(super) version: u32,
    pub(super) current: Option<Maker<'a>>,
    pub(super) next: Option<Maker<'a>>,
    /// Its own lease; `None` when it holds it.
    pub(super) own: Option<Standing>,
    /// The last position that is committed.
    pub(super) committed: u64,
    pub(super) patience: Patience,
}

/// A generation, and the code that makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker<'a> {
    pub(super) built: &'a Built,
    /// It is the code that looks.
    pub(super) is_own: bool,
    /// The lease of that code.
    pub(super) lease: Standing,
}

/// What is done about a lapsed lease: its holder may be there, and only had nothing to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The holder is given the time to do what there is to do.
    Left,
    /// It has had that time, or somebody waits: what lies undone is done.
    Over,
    /// The lease is taken, also when nothing lies undone.
    None,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Keep up the generation that is read. `resume`: and go on with the rebuild; `abandon`: nobody goes on with the one
    /// that is there.
    Follow { resume: bool, abandon: bool },
    /// Go on with the rebuild.
    Resume,
    /// Begin a generation: beside the one that is read, if there is one. `abandon` as above.
    Begin { abandon: bool },
    /// Write nothing until then.
    Wait(Until),
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Time(Timestamp),
    /// The holder of a lapsed lease is given so much time from here on.
    Patience,
    /// Everything is done, whoever did it: when more is committed.
    News,
}

pub(super) fn claim(sight: &Sight<'_>) -> Claim {
    let is_done = |maker: &Maker<'_>| maker.built.position >= sight.committed;
    let Sight { current, next, .. } = sight;
    let own_current = current.filter(|maker| maker.is_own);
    let own_next = next.filter(|maker| maker.is_own);
    if let Some(lease) = sight.own {
        let done = own_current.as_ref().is_some_and(is_done) && own_next.is_none();
        if let Err(until) = sight.patience.with(lease, done) {
            return Claim::Wait(until);
        }
    }
    // A rebuild renews the lease however long it takes, so one that has lapsed does not go on.
    let others_next = next.filter(|maker| !maker.is_own);
    let building = others_next.and_then(|maker| match maker.lease {
        Standing::Held { until } => Some(until),
        Standing::Lapsed | Standing::Free => None,
    });
    let abandon = others_next.is_some() && building.is_none();
    match (own_current, own_next, building, current) {
        (Some(_), resumed, _, _) => Claim::Follow { resume: resumed.is_some(), abandon },
        (None, Some(_), _, _) => Claim::Resume,
        (None, None, Some(until), _) => Claim::Wait(Until::Time(until)),
        (None, None, None, None) => Claim::Begin { abandon },
        (None, None, None, Some(other)) if sight.version > other.built.version => Claim::Begin { abandon },
        (None, None, None, Some(other)) => match sight.patience.with(other.lease, is_done(other)) {
            Ok(()) => Claim::Begin { abandon },
            Err(until) => Claim::Wait(until),
        },
    }
}

impl Patience {
    /// Whether what a lease is for may be taken over. `done`: there is nothing for its holder to do.
    fn with(self, lease: Standing, done: bool) -> Result<(), Until> {
        match (lease, self) {
            (Standing::Free, _) | (Standing::Lapsed, Self::None) => Ok(()),
            (Standing::Held { until }, _) => Err(Until::Time(until)),
            (Standing::Lapsed, _) if done => Err(Until::News),
            (Standing::Lapsed, Self::Over) => Ok(()),
            (Standing::Lapsed, Self::Left) => Err(Until::Patience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::fold::Scope;

    const HELD: Standing = Standing::Held { until: Timestamp::from_micros(7) };
    const TIME: Claim = Claim::Wait(Until::Time(Timestamp::from_micros(7)));
    const BEGIN: Claim = Claim::Begin { abandon: false };
    const FOLLOW: Claim = Claim::Follow { resume: false, abandon: false };

    fn built(version: u32, position: u64) -> Built {
        Built { generation: version, version, shape: 0, scope: Scope::Branch, position, target: None }
    }

    /// What code of version 2 does, when ten events are committed.
    fn second(
        current: Option<(u32, u64, Standing)>,
        next: Option<(u32, Standing)>,
        own: Option<Standing>,
        patience: Patience,
    ) -> Claim {
        // Leaked: a few bytes of a test.
        let maker = |version, position, lease| {
            let built: &'static Built = Box::leak(Box::new(built(version, position)));
            Maker { built, is_own: version == 2, lease }
        };
        claim(&Sight {
            version: 2,
            current: current.map(|(version, position, lease)| maker(version, position, lease)),
            next: next.map(|(version, lease)| maker(version, 0, lease)),
            own,
            committed: 10,
            patience,
        })
    }

    use Patience::{Left, Over};
    use Standing::{Free, Lapsed};

    #[test]
    fn one_of_those_with_the_same_code_follows_and_the_others_wait() {
        let own = |own, position, patience| second(Some((2, position, Free)), None, own, patience);
        assert_eq!(own(None, 3, Left), FOLLOW);
        assert_eq!(own(Some(Free), 3, Left), FOLLOW);
        assert_eq!(own(Some(HELD), 3, Over), TIME);
        // One whose time is over is given more, and until there is something to do.
        assert_eq!(own(Some(Lapsed), 3, Left), Claim::Wait(Until::Patience));
        assert_eq!(own(Some(Lapsed), 10, Left), Claim::Wait(Until::News));
        assert_eq!(own(Some(Lapsed), 9, Over), FOLLOW);
        assert_eq!(own(Some(Lapsed), 10, Over), Claim::Wait(Until::News));
        assert_eq!(own(Some(Lapsed), 10, Patience::None), FOLLOW);
        assert_eq!(own(Some(HELD), 3, Patience::None), TIME);
        // Whose rebuild does not go on has something to do.
        let resumed = second(Some((2, 10, Free)), Some((2, Free)), Some(Lapsed), Left);
        assert_eq!(resumed, Claim::Wait(Until::Patience));
        let resumed = second(Some((2, 10, Free)), Some((2, Free)), Some(Lapsed), Over);
        assert_eq!(resumed, Claim::Follow { resume: true, abandon: false });
        assert_eq!(second(None, None, Some(HELD), Over), TIME);
        assert_eq!(second(None, None, Some(Free), Left), BEGIN);
    }

    #[test]
    fn a_newer_version_takes_the_place_of_one_that_runs_and_an_older_one_does_not() {
        for lease in [Free, Lapsed, HELD] {
            assert_eq!(second(Some((1, 10, lease)), None, Some(Free), Left), BEGIN);
        }
        assert_eq!(second(Some((3, 10, HELD)), None, Some(Free), Over), TIME);
        assert_eq!(second(Some((3, 10, Lapsed)), None, Some(Free), Left), Claim::Wait(Until::News));
        assert_eq!(second(Some((3, 9, Lapsed)), None, Some(Free), Left), Claim::Wait(Until::Patience));
        assert_eq!(second(Some((3, 9, Lapsed)), None, Some(Free), Over), BEGIN);
        assert_eq!(second(Some((3, 10, Free)), None, Some(Free), Left), BEGIN);
    }

    #[test]
    fn a_rebuild_of_other_code_is_left_alone_while_it_goes_on_whatever_its_version() {
        for version in [1, 3] {
            let beside = |lease| second(Some((2, 5, Free)), Some((version, lease)), Some(Free), Left);
            assert_eq!(beside(HELD), FOLLOW);
            for gone in [Free, Lapsed] {
                assert_eq!(beside(gone), Claim::Follow { resume: false, abandon: true });
            }
            for current in [None, Some((1, 5, Free)), Some((1, 5, HELD))] {
                let instead = |lease| second(current, Some((version, lease)), Some(Free), Left);
                assert_eq!(instead(HELD), TIME);
                for gone in [Free, Lapsed] {
                    assert_eq!(instead(gone), Claim::Begin { abandon: true });
                }
            }
        }
    }

    #[test]
    fn its_own_rebuild_is_gone_on_with() {
        for current in [None, Some((1, 5, HELD)), Some((3, 5, HELD))] {
            assert_eq!(second(current, Some((2, Free)), Some(Free), Left), Claim::Resume);
        }
    }
}
