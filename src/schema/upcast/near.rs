/// The known name that a misspelt one was probably meant to be.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let close = known.iter().map(|k| (distance(name, k), *k)).min()?;
    (close.0 <= 2.max(name.chars().count() / 3)).then_some(close.1)
}

/// ", did you mean …" or the list of what there is.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// Characters to insert, delete or replace. Names here are short.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, y) in b.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (x, (left_above, above)) in a.iter().zip(row.iter().zip(row.iter().skip(1))) {
            let left = next.last().copied().unwrap_or_default();
            next.push((left_above + usize::from(*x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_nonsense_is_not() {
        let known = ["rename", "remove", "move", "default"];
        assert_eq!(nearest("renam", &known), Some("rename"));
        assert_eq!(nearest("remvoe", &known), Some("remove"));
        assert_eq!(nearest("defualt", &known), Some("default"));
        assert_eq!(nearest("explode", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
