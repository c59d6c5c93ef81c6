//! Every order in which three processes can own a store: each takes its steps when it likes, so it may stand still for as
//! long as it likes; messages arrive when they like; processes are killed and opened again.
//!
//! A search of the whole graph and not of paths, because one of the two questions is about the whole: whether everybody who
//! is left can get in *from every state*, however the machine got there. Model checkers of paths, such as stateright, answer
//! "eventually" along each path, and give up on paths that meet again.

mod graph;
mod steps;
mod world;
mod wrong;

use graph::explore;
use steps::Setup;
use world::N;
use wrong::WRONG;

use crate::engine::rank::Rank;

const RANKS: [[Rank; N]; 3] = [
    [Rank::Application, Rank::Cli, Rank::Cli],
    [Rank::Application, Rank::Serve, Rank::Cli],
    [Rank::Application, Rank::Application, Rank::Cli],
];

#[test]
fn never_two_owners_never_nobody_for_ever_and_nothing_acknowledged_is_lost() {
    let soak = std::env::var_os("RETOLD_SOAK").is_some();
    let mut states = 0;
    for ranks in RANKS {
        let (kills, opens) = if soak { (2, 4) } else { (1, 3) };
        let (more, fewer) = if soak { (1, 2) } else { (0, 2) };
        let setups = [
            Setup { ranks, kills, opens, closes: 1, fails: 0, walks: 0, errors: 0, wrong: None },
            Setup { ranks, kills: more, opens: fewer, closes: 1, fails: 1, walks: 1, errors: 0, wrong: None },
            // It fails again when it was just opened, or cannot be opened.
            Setup { ranks, kills: more, opens: 2, closes: 0, fails: 2, walks: 0, errors: 1, wrong: None },
        ];
        for setup in setups {
            match explore(&setup) {
                Ok(found) => {
                    eprintln!("{ranks:?}: {found} states");
                    states += found;
                }
                Err((what, way)) => panic!("{what}, with {ranks:?}:\n{}", way.join("\n")),
            }
        }
    }
    assert!(states > 100_000, "only {states} states were seen");
}

#[test]
fn every_wrong_order_is_found_to_be_wrong() {
    for wrong in WRONG {
        let sizes = [(0, 2, 0, 0), (0, 2, 1, 1), (1, 2, 1, 0), (1, 3, 1, 0)];
        let found = sizes.iter().find_map(|(kills, opens, closes, others)| {
            let (kills, opens, closes) = (*kills, *opens, *closes);
            let (fails, walks, errors) = (2 * *others, *others, *others);
            let setup =
                Setup { ranks: RANKS[0], kills, opens, closes, fails, walks, errors, wrong: Some(wrong) };
            explore(&setup).err()
        });
        match found {
            Some((what, way)) => eprintln!("{wrong:?}: {what}, after {} steps", way.len()),
            None => panic!("{wrong:?} was not noticed"),
        }
    }
}
