//! The names that somebody probably meant who gave one that does not exist. A bounded number of them is looked at, however many
//! there are: those in the places of the listing where the right one lies if only one or two letters of it are wrong.

use std::collections::BTreeSet;

use super::known::is_session;
use retold::error::Result;
use retold::event::finding::nearest;
use retold::event::{BranchName, Place, SessionId};
use retold::store::{Store, names};

/// Names that are looked at in each place.
const WINDOW: usize = 64;
/// Names that are suggested at most.
const SUGGESTED: usize = 3;
/// Shorter names are all like each other.
const SHORTEST: usize = 4;

/// Sessions that may have been meant: those that begin so, then those with a similar name.
pub(super) fn sessions(store: &Store, name: &str) -> Result<Vec<String>> {
    let seen = around(store, name)?;
    Ok(likely(name, seen.iter().map(String::as_str)))
}

/// Branches of a session that may have been meant.
pub(super) fn branches(store: &Store, session: &SessionId, name: &str) -> Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    for begin in beginnings(name) {
        let after = BranchName::new(begin).ok();
        if let Some(exact) = after.as_ref().filter(|exact| exact.as_str() != name)
            && store.branch(Place::new(session.clone(), exact.clone())).is_ok()
        {
            seen.insert(exact.to_string());
        }
        if after.is_some() || begin.is_empty() {
            seen.extend(names::branches(store, session, after.as_ref(), WINDOW)?.names);
        }
    }
    Ok(likely(name, seen.iter().map(String::as_str)))
}

/// Names out of these that may have been meant: those that begin so, then similar ones.
pub(super) fn likely<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let begins = known.clone().filter(|known| known.starts_with(name) && *known != name);
    let mut likely: Vec<&str> = begins.take(SUGGESTED).collect();
    let is_long = name.chars().count() >= SHORTEST;
    for near in nearest(name, known.filter(|known| is_long && *known != name), SUGGESTED) {
        if likely.len() < SUGGESTED && !likely.contains(&near) {
            likely.push(near);
        }
    }
    likely.into_iter().map(str::to_owned).collect()
}

/// «did you mean a, b or c?»; `None` when nothing is near.
pub(super) fn question(names: &[String]) -> Option<String> {
    let (last, others) = names.split_last()?;
    Some(match others.is_empty() {
        true => format!("did you mean {last}?"),
        false => format!("did you mean {} or {last}?", others.join(", ")),
    })
}

/// A session whose name differs from this one in one letter, as if one of them were mistyped.
pub(super) fn mistyped(store: &Store, name: &SessionId) -> Result<Option<String>> {
    if name.as_str().chars().count() < SHORTEST {
        return Ok(None);
    }
    Ok(around(store, name.as_str())?.into_iter().find(|other| is_slip(name.as_str(), other)))
}

/// Names of sessions in the neighbourhood of one.
fn around(store: &Store, name: &str) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for begin in beginnings(name) {
        // A listing begins after a name, so the name itself is looked up; none has a beginning that is no name.
        let after = SessionId::new(begin).ok();
        if let Some(exact) = after.as_ref().filter(|exact| exact.as_str() != name)
            && is_session(store, exact)?
        {
            seen.insert(exact.to_string());
        }
        if after.is_some() || begin.is_empty() {
            seen.extend(names::sessions(store, after.as_ref(), WINDOW)?.names);
        }
    }
    Ok(seen)
}

/// Beginnings of a name, the longest first: what comes before a slip is right.
fn beginnings(name: &str) -> Vec<&str> {
    let ends: Vec<usize> = name.char_indices().map(|(at, _)| at).chain([name.len()]).collect();
    let all = ends.len() - 1;
    let cuts = [1, 2, 3, 4, 6].map(|less| all.saturating_sub(less));
    let cuts = cuts.into_iter().chain([all * 3 / 4, all / 2, all / 4, 1, 0]);
    let mut beginnings: Vec<&str> = cuts.filter_map(|cut| name.get(..*ends.get(cut)?)).collect();
    beginnings.sort_unstable_by_key(|begin| std::cmp::Reverse(begin.len()));
    beginnings.dedup();
    beginnings
}

/// Whether two names differ as one that was mistyped differs from the right one: in one letter, or in two that changed places.
/// Numbers count sessions, and so does a letter that stands alone: `run-7` and `run-8`, `job-a` and `job-b` are no slips.
fn is_slip(name: &str, other: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (name.chars().collect(), other.chars().collect());
    if a.len().min(b.len()) < SHORTEST || a == b {
        return false;
    }
    let alike = |(x, y): &(&char, &char)| x == y;
    let before = a.iter().zip(&b).take_while(alike).count();
    let most = a.len().min(b.len()) - before;
    let after = a.iter().rev().zip(b.iter().rev()).take(most).take_while(alike).count();
    let middle = |name: &[char]| name.get(before..name.len() - after).unwrap_or_default().to_vec();
    let (from, to) = (middle(&a), middle(&b));
    let is_one = match (from.as_slice(), to.as_slice()) {
        ([_], [_]) | ([], [_]) | ([_], []) => true,
        ([x, y], [z, w]) => x == w && y == z,
        _ => false,
    };
    let is_part = |at: Option<usize>| at.and_then(|at| a.get(at)).is_some_and(|c| c.is_alphanumeric());
    let stands_alone = !is_part(before.checked_sub(1)) && !is_part(Some(a.len() - after));
    let numbers = from.iter().chain(&to).any(char::is_ascii_digit);
    is_one && !numbers && !(stands_alone && from.len().max(to.len()) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::NewEvent;

    #[test]
    fn a_slip_is_one_letter_and_no_number() {
        for (a, b) in [
            ("fix-build", "fix-biuld"),
            ("fix-build", "fix-buid"),
            ("fix-build", "fix-builld"),
            ("fix-build", "fix_build"),
            ("tests", "test"),
            ("Überprüfung", "Uberprüfung"),
        ] {
            assert!(is_slip(a, b) && is_slip(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("run-7", "run-8"),
            ("run-1", "run-10"),
            ("run-7", "run-7"),
            ("job-a", "job-b"),
            ("job.a.x", "job.b.x"),
            ("abc", "abd"),
            ("fix-build", "fix-bulid-2"),
            ("deploy", "destroy"),
        ] {
            assert!(!is_slip(a, b) && !is_slip(b, a), "{a} {b}");
        }
    }

    #[test]
    fn the_right_name_is_found_among_many_by_looking_at_few() {
        let store = Store::in_memory().unwrap();
        for n in 0..3_000 {
            store.append(format!("run-{n:04}-build").as_str(), NewEvent::new("a")).unwrap();
        }
        store.append("nightly", NewEvent::new("a")).unwrap();
        let near = |name: &str| sessions(&store, name).unwrap();
        assert_eq!(near("run-2718-biuld")[0], "run-2718-build");
        assert_eq!(near("run-2718-buil")[0], "run-2718-build");
        assert_eq!(near("run-2718"), ["run-2718-build"]);
        assert_eq!(near("nihgtly"), ["nightly"]);
        assert_eq!(near("zebra-crossing"), Vec::<String>::new());
        assert!(around(&store, "run-2718-biuld").unwrap().len() <= 10 * (WINDOW + 1));
        let mistyped = |name: &str| mistyped(&store, &SessionId::new(name).unwrap()).unwrap();
        assert_eq!(mistyped("nightyl").as_deref(), Some("nightly"));
        assert_eq!(mistyped("run-3000-build"), None);
    }

    #[test]
    fn a_question_names_all_of_them() {
        let of = |names: &[&str]| question(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["a"]).as_deref(), Some("did you mean a?"));
        assert_eq!(of(&["a", "b", "c"]).as_deref(), Some("did you mean a, b or c?"));
    }
}
