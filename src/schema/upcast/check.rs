//! Whether steps fit together.

use std::collections::{BTreeMap, HashMap};

use super::step::{Kinds, Shape, Step};
use crate::error::Result;
use crate::event::{Invalid, check_kind};
use crate::limits::{MAX_UPCAST_CHAIN, MAX_UPCAST_OPERATIONS};

pub(super) fn refused(step: &Step, reason: String) -> crate::error::Error {
    let reason = match &step.origin {
        Some(origin) => format!("{origin}: {reason}"),
        None => format!("step from {}: {reason}", step.from),
    };
    Invalid::new("upcast", reason).into()
}

pub(super) fn check(step: &Step) -> Result<()> {
    let wrong = |e: Invalid| refused(step, e.to_string());
    check_kind(&step.from.kind).map_err(wrong)?;
    if step.count() > MAX_UPCAST_OPERATIONS {
        let reason = format!("it has {} operations; {MAX_UPCAST_OPERATIONS} are the most", step.count());
        return Err(refused(step, reason));
    }
    for to in step.target.all() {
        check_kind(&to.kind).map_err(wrong)?;
        if to.kind == step.from.kind && Some(to.version) != step.from.version.checked_add(1) {
            let reason =
                format!("a step from {} goes to the next version or to another type, not to {to}", step.from);
            return Err(refused(step, reason));
        }
    }
    Ok(())
}

/// What a step leads to has to be the newest version of its type, or have a step of its own.
pub(super) fn check_gaps(kinds: &Kinds) -> Result<()> {
    for step in kinds.values().flat_map(BTreeMap::values) {
        for to in step.target.all() {
            let Some(of_kind) = kinds.get(&to.kind) else { continue };
            let newer = of_kind.range(to.version..).next().map(|(version, _)| *version);
            if let Some(next) = newer.filter(|next| *next != to.version) {
                let reason = format!(
                    "it leads to {to}, and the next step of that type is from version {next}: one is missing"
                );
                return Err(refused(step, reason));
            }
        }
        let of_kind = kinds.get(&step.from.kind).into_iter().flat_map(|k| k.range(..step.from.version));
        // Versions that steps skip over, and nothing leads to: a file that was forgotten.
        if let Some((last, _)) = of_kind.last().filter(|(last, _)| **last + 1 < step.from.version) {
            let reason = format!(
                "there is a step from version {last} of {} and none from version {}",
                step.from.kind,
                last + 1
            );
            return Err(refused(step, reason));
        }
    }
    Ok(())
}

/// Orders all steps so that each stands before those it leads to: what is left over goes in a circle.
pub(super) fn check_order(kinds: &Kinds) -> Result<()> {
    let find = |shape: &Shape| kinds.get(&shape.kind)?.get(&shape.version);
    let all: Vec<&Step> = kinds.values().flat_map(BTreeMap::values).collect();
    // How many steps lead to it, and how long the longest way there is.
    let mut state: HashMap<&Shape, (usize, usize)> = all.iter().map(|s| (&s.from, (0, 1))).collect();
    for next in all.iter().flat_map(|s| s.target.all()).filter_map(find) {
        state.entry(&next.from).and_modify(|(leading, _)| *leading += 1);
    }
    let mut ready: Vec<&Step> = all
        .iter()
        .filter(|s| state.get(&s.from).is_some_and(|(leading, _)| *leading == 0))
        .copied()
        .collect();
    let mut left = all.len();
    while let Some(step) = ready.pop() {
        left -= 1;
        let long = state.get(&step.from).map_or(1, |(_, long)| *long);
        if long > MAX_UPCAST_CHAIN {
            return Err(refused(step, format!("events go through more than {MAX_UPCAST_CHAIN} steps")));
        }
        for next in step.target.all().filter_map(find) {
            if let Some((leading, far)) = state.get_mut(&next.from) {
                *leading -= 1;
                *far = (*far).max(long + 1);
                if *leading == 0 {
                    ready.push(next);
                }
            }
        }
    }
    if left == 0 {
        return Ok(());
    }
    // Walk back from any that is left: somebody is met twice.
    let blocked = |s: &&Step| state.get(&s.from).is_some_and(|(leading, _)| *leading > 0);
    let rest: Vec<&Step> = all.iter().copied().filter(|s| blocked(s)).collect();
    let mut way: Vec<&Step> = rest.first().copied().into_iter().collect();
    while let Some(at) = way.last().copied() {
        let before = rest.iter().find(|s| s.target.all().any(|to| *to == at.from)).copied();
        let Some(before) = before else { break };
        if let Some(met) = way.iter().position(|s| s.from == before.from) {
            let mut circle: Vec<String> = way.iter().skip(met).rev().map(|s| s.from.to_string()).collect();
            circle.extend(circle.first().cloned());
            return Err(refused(before, format!("these steps go in a circle: {}", circle.join(" → "))));
        }
        way.push(before);
    }
    match rest.first() {
        Some(step) => Err(refused(step, "these steps go in a circle".into())),
        None => Ok(()),
    }
}
