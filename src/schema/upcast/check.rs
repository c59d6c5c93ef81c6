//! Checks that upcasters fit together.

use std::collections::{BTreeMap, HashMap};

use super::upcaster::{Kinds, Shape, Upcaster};
use crate::error::Result;
use crate::event::{Invalid, check_kind};
use crate::limits::{MAX_UPCAST_CHAIN, MAX_UPCAST_OPERATIONS};

pub(super) fn refused(upcaster: &Upcaster, reason: String) -> crate::error::Error {
    let reason = match &upcaster.origin {
        Some(origin) => format!("{origin}: {reason}"),
        None => format!("upcaster from {}: {reason}", upcaster.from),
    };
    Invalid::new("upcast", reason).into()
}

pub(super) fn check(upcaster: &Upcaster) -> Result<()> {
    let wrong = |e: Invalid| refused(upcaster, e.to_string());
    check_kind(&upcaster.from.kind).map_err(wrong)?;
    if upcaster.count() > MAX_UPCAST_OPERATIONS {
        let reason = format!("it has {} operations; the limit is {MAX_UPCAST_OPERATIONS}", upcaster.count());
        return Err(refused(upcaster, reason));
    }
    for to in upcaster.target.all() {
        check_kind(&to.kind).map_err(wrong)?;
        if to.kind == upcaster.from.kind && Some(to.version) != upcaster.from.version.checked_add(1) {
            let reason = format!(
                "an upcaster from {} goes to the next version or to another type, not to {to}",
                upcaster.from
            );
            return Err(refused(upcaster, reason));
        }
    }
    Ok(())
}

/// The target of an upcaster has to be the newest version of its type, or have an upcaster of its own.
pub(super) fn check_gaps(kinds: &Kinds) -> Result<()> {
    for upcaster in kinds.values().flat_map(BTreeMap::values) {
        for to in upcaster.target.all() {
            let Some(of_kind) = kinds.get(&to.kind) else { continue };
            let newer = of_kind.range(to.version..).next().map(|(version, _)| *version);
            if let Some(next) = newer.filter(|next| *next != to.version) {
                let reason = format!(
                    "it leads to {to}, and the next upcaster of that type is from version {next}: one is missing"
                );
                return Err(refused(upcaster, reason));
            }
        }
        let of_kind =
            kinds.get(&upcaster.from.kind).into_iter().flat_map(|k| k.range(..upcaster.from.version));
        // Versions that upcasters skip, and nothing leads to: a forgotten file.
        if let Some((last, _)) = of_kind.last().filter(|(last, _)| **last + 1 < upcaster.from.version) {
            let reason = format!(
                "there is an upcaster from version {last} of {} and none from version {}",
                upcaster.from.kind,
                last + 1
            );
            return Err(refused(upcaster, reason));
        }
    }
    Ok(())
}

/// Sorts the upcasters topologically; any that are left over form a cycle.
pub(super) fn check_order(kinds: &Kinds) -> Result<()> {
    let find = |shape: &Shape| kinds.get(&shape.kind)?.get(&shape.version);
    let all: Vec<&Upcaster> = kinds.values().flat_map(BTreeMap::values).collect();
    // How many upcasters lead to it, and the length of the longest path to it.
    let mut state: HashMap<&Shape, (usize, usize)> = all.iter().map(|s| (&s.from, (0, 1))).collect();
    for next in all.iter().flat_map(|s| s.target.all()).filter_map(find) {
        state.entry(&next.from).and_modify(|(leading, _)| *leading += 1);
    }
    let mut ready: Vec<&Upcaster> = all
        .iter()
        .filter(|s| state.get(&s.from).is_some_and(|(leading, _)| *leading == 0))
        .copied()
        .collect();
    let mut left = all.len();
    while let Some(upcaster) = ready.pop() {
        left -= 1;
        let long = state.get(&upcaster.from).map_or(1, |(_, long)| *long);
        if long > MAX_UPCAST_CHAIN {
            return Err(refused(
                upcaster,
                format!("events go through more than {MAX_UPCAST_CHAIN} upcasters"),
            ));
        }
        for next in upcaster.target.all().filter_map(find) {
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
    // Walk back from any that is left until one is met twice.
    let blocked = |s: &&Upcaster| state.get(&s.from).is_some_and(|(leading, _)| *leading > 0);
    let rest: Vec<&Upcaster> = all.iter().copied().filter(|s| blocked(s)).collect();
    let mut way: Vec<&Upcaster> = rest.first().copied().into_iter().collect();
    while let Some(at) = way.last().copied() {
        let before = rest.iter().find(|s| s.target.all().any(|to| *to == at.from)).copied();
        let Some(before) = before else { break };
        if let Some(met) = way.iter().position(|s| s.from == before.from) {
            let mut circle: Vec<String> = way.iter().skip(met).rev().map(|s| s.from.to_string()).collect();
            circle.extend(circle.first().cloned());
            return Err(refused(before, format!("these upcasters form a cycle: {}", circle.join(" → "))));
        }
        way.push(before);
    }
    match rest.first() {
        Some(upcaster) => Err(refused(upcaster, "these upcasters form a cycle".into())),
        None => Ok(()),
    }
}
