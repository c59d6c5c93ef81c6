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
}
