//! The lines of a tree before a name, as far as there is room for them.

use unicode_width::UnicodeWidthStr;

/// Share of a terminal that the lines of a tree may take.
const SHARE: usize = 3;

/// The lines of a tree whose levels are so many columns wide. On a terminal, those of the levels nearest to the name stay, behind `…`.
pub(super) fn fitted(stem: &str, level: usize, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |width| (width / SHARE).max(2 * level));
    let wide = stem.width();
    if wide <= room {
        return stem.to_owned();
    }
    let kept = (room.saturating_sub(2) / level.max(1)).max(1) * level;
    // Each of its characters is one column wide.
    let end: String = stem.chars().skip(wide.saturating_sub(kept)).collect();
    format!("… {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_trees_keep_the_levels_next_to_the_name() {
        let deep = "│ ".repeat(20) + "└ ";
        assert_eq!(fitted(&deep, 2, None), deep);
        assert_eq!(fitted(&deep, 2, Some(126)), deep);
        assert_eq!(fitted(&deep, 2, Some(30)), format!("… {}└ ", "│ ".repeat(3)));
        assert_eq!(fitted(&deep, 2, Some(1)), "… └ ");
        let deep = "   ".repeat(20) + "└─ ";
        assert_eq!(fitted(&deep, 3, Some(60)), format!("… {}└─ ", "   ".repeat(5)));
        assert_eq!(fitted("", 3, Some(60)), "");
    }
}
