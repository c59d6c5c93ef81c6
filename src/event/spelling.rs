/// A name of any spelling in small letters and underscores: `PlanCreated`, `PLAN_CREATED` and `plan.created` all give
/// `plan_created`. Empty when the name has neither letter nor digit.
pub(crate) fn snake(name: &str) -> String {
    // Types as they are recorded have no capitals to look around at.
    if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.') {
        let mut out = String::with_capacity(name.len());
        for part in name.split(['_', '.']).filter(|part| !part.is_empty()) {
            if !out.is_empty() {
                out.push('_');
            }
            out.push_str(part);
        }
        return out;
    }
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(i + 1);
        let new_word = c.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || (b.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if (new_word || !c.is_ascii_alphanumeric()) && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

/// Characters to insert, delete, replace, or exchange with their neighbour: how far a name is from the one that was meant.
/// Names are short; what lies behind their first 64 characters does not count.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    let mut last = None;
    for (i, y) in b.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, (x, (left_above, above))) in a.iter().zip(row.iter().zip(row.iter().skip(1))).enumerate() {
            let left = next.last().copied().unwrap_or_default();
            let mut least = (left_above + usize::from(*x != y)).min(above + 1).min(left + 1);
            let exchanged = j.checked_sub(1).filter(|j| a.get(*j) == Some(&y) && last == Some(*x));
            if let Some(two_above) = exchanged.and_then(|j| before.get(j)) {
                least = least.min(two_above + 1);
            }
            next.push(least);
        }
        (before, row, last) = (row, next, Some(y));
    }
    row.last().copied().unwrap_or_default()
}

/// How far a name may be from the one that was meant: a third of it, and no more than four slips.
pub(crate) fn slips(meant: &str) -> usize {
    (meant.chars().count() / 3).clamp(1, 4)
}

/// Those of these names that one which is none of them was probably meant to be: at most `most`, the nearest first. Up to a third
/// of it may be wrong.
///
/// ```
/// let known = ["deploy", "destroy", "test"];
/// assert_eq!(retold::event::finding::nearest("depoly", known, 3), ["deploy"]);
/// assert!(retold::event::finding::nearest("release", known, 3).is_empty());
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let far = slips(name);
    let near = known.into_iter().map(|known| (distance(known, name), known));
    let mut near: Vec<(usize, &str)> = near.filter(|(distance, _)| *distance <= far).collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(most).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_is_one() {
        for name in
            ["PlanCreated", "PLAN_CREATED", "plan.created", "plan-created", "_plan__created_", "Plan created"]
        {
            assert_eq!(snake(name), "plan_created", "{name}");
        }
        assert_eq!(snake("LLMCallEnded"), "llm_call_ended");
        assert_eq!(snake("…"), "");
    }

    proptest! {
        #[test]
        fn spelling_twice_changes_nothing(name in "[a-zA-Z0-9_. -]{0,40}") {
            let once = snake(&name);
            prop_assert_eq!(snake(&once), once);
        }

        #[test]
        fn small_letters_are_spelt_as_with_a_capital_that_changes_nothing(name in "[a-z0-9_.]{0,20}") {
            // A space sends the same name down the other way.
            prop_assert_eq!(snake(&name), snake(&format!("{name} ")));
        }
    }

    #[test]
    fn the_nearest_come_first_and_what_is_far_not_at_all() {
        let known = ["run-8", "fix-build", "fix-built", "fox-built", "nightly"];
        assert_eq!(nearest("fix-biuld", known, 5), ["fix-build", "fix-built", "fox-built"]);
        assert_eq!(nearest("fix-biuld", known, 1), ["fix-build"]);
        assert_eq!(nearest("run-7", known, 5), ["run-8"]);
        assert!(nearest("", known, 5).is_empty() && nearest("weekly", known, 0).is_empty());
    }

    #[test]
    fn a_slip_counts_once_and_so_do_two_letters_that_changed_places() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("remove", "remvoe", 1),
            ("ab", "ba", 1),
            ("abcd", "badc", 2),
            ("é", "e", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (want, want), "{a} {b}");
        }
    }
}
