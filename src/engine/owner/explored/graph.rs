//! All states, and whether each is right.

use std::collections::HashMap;
use std::rc::Rc;

use super::steps::{Note, Setup};
use super::world::World;

/// What was found: how many states, or what is wrong and the steps that lead there.
pub(super) type Found = Result<usize, (String, Vec<String>)>;

pub(super) struct Seen {
    pub(super) states: HashMap<Rc<World>, u32>,
    pub(super) order: Vec<Rc<World>>,
    /// From where, and by which step.
    pub(super) came: Vec<Option<(u32, Note)>>,
    /// Steps of the processes themselves, turned round.
    pub(super) back: Vec<Vec<u32>>,
}

impl Seen {
    pub(super) fn add(&mut self, world: World, came: Option<(u32, Note)>) -> u32 {
        if let Some(known) = self.states.get(&world) {
            return *known;
        }
        let number = self.order.len() as u32;
        let world = Rc::new(world);
        self.states.insert(world.clone(), number);
        self.order.push(world);
        self.came.push(came);
        self.back.push(Vec::new());
        number
    }

    pub(super) fn way(&self, mut at: u32) -> Vec<String> {
        let mut steps = Vec::new();
        while let Some((from, step)) = &self.came[at as usize] {
            steps.push(step.to_string());
            at = *from;
        }
        steps.reverse();
        steps
    }
}

pub(super) fn explore(setup: &Setup) -> Found {
    let mut seen = Seen { states: HashMap::new(), order: Vec::new(), came: Vec::new(), back: Vec::new() };
    seen.add(setup.start(), None);
    let mut at = 0;
    while let Some(world) = seen.order.get(at).cloned() {
        if let Some(broken) = setup.broken(&world) {
            return Err((broken.into(), seen.way(at as u32)));
        }
        let settled = setup.is_settled(&world);
        for (step, outside, next) in setup.steps(&world) {
            let stays = outside || !settled || setup.is_settled(&next);
            let to = seen.add(next, Some((at as u32, step)));
            if !stays {
                return Err(("what was settled does not stay so".into(), seen.way(to)));
            }
            if !outside {
                seen.back[to as usize].push(at as u32);
            }
        }
        at += 1;
    }
    // Backwards from where everybody is in, by steps of their own.
    let mut can: Vec<bool> = seen.order.iter().map(|world| setup.is_settled(world)).collect();
    let mut todo: Vec<u32> = (0..can.len() as u32).filter(|n| can[*n as usize]).collect();
    while let Some(n) = todo.pop() {
        for from in std::mem::take(&mut seen.back[n as usize]) {
            if !std::mem::replace(&mut can[from as usize], true) {
                todo.push(from);
            }
        }
    }
    match can.iter().position(|can| !can) {
        Some(stuck) => Err(("somebody can never get in".into(), seen.way(stuck as u32))),
        None => Ok(seen.order.len()),
    }
}
