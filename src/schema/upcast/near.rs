use crate::event::nearest;

/// "did you mean …" or the list of known names.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied(), 1).first() {
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
        for (slip, meant) in [("renam", "rename"), ("remvoe", "remove"), ("defualt", "default")] {
            assert_eq!(suggestion(slip, &known), format!("did you mean `{meant}`?"));
        }
        assert_eq!(suggestion("explode", &known), "there are rename, remove, move, default");
    }
}
