//! How much of a listing is shown, and where it goes on.

use super::output::Out;
use super::style::{DIM, paint};
use super::view::grouped;

/// Rows on a terminal when nobody says how many: what can be looked through.
const ON_A_TERMINAL: usize = 50;

/// Flags of a listing of sessions.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Page {
    /// At most this many [default: 50 on a terminal, all in a pipe]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only those after this session, in the order of the listing: the next page
    #[arg(long, value_name = "SESSION")]
    pub(super) after: Option<String>,
}

impl Page {
    /// How many to show.
    pub(super) fn limit(&self, out: &Out) -> usize {
        limit(self.limit, out.is_table() && out.is_terminal())
    }
}

/// Says that there are more than were shown, and how to see them. Documents say nothing: whoever reads them gave the limit.
pub(super) fn left_out(shown: usize, last: &str, more: Option<usize>, out: &mut Out) {
    if !out.is_table() || shown == 0 {
        return;
    }
    let how_many = match more {
        Some(0) => return,
        Some(n) => format!("{} more", grouped(n as u64)),
        None => "there are more".to_owned(),
    };
    let how = format!("`--after {last}` shows the next ones, `--limit N` more at once");
    out.note(paint(DIM, format!("{how_many}; {how}")));
}

fn limit(given: Option<usize>, on_a_terminal: bool) -> usize {
    given.unwrap_or(if on_a_terminal { ON_A_TERMINAL } else { usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_has_a_limit_that_nobody_gave() {
        assert_eq!([limit(None, true), limit(None, false)], [ON_A_TERMINAL, usize::MAX]);
        assert_eq!([limit(Some(7), true), limit(Some(700), true), limit(Some(0), false)], [7, 700, 0]);
    }
}
