use crate::event::distance;

/// The known name that a misspelled one was probably meant to be.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let close = known.iter().map(|k| (distance(name, k), *k)).min()?;
    (close.0 <= 2.max(name.chars().count() / 3)).then_some(close.1)
}

/// "did you mean …" or the list of known names.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    }
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
    }
}
