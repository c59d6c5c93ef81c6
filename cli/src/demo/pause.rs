//! Waiting between the parts of the demo, for somebody who reads along.

use std::io::{self, BufRead, IsTerminal};

use crate::app::App;
use crate::failure::Failure;
use crate::style::{DIM, paint};

/// Waits on a terminal, and never elsewhere.
pub(super) struct Pause {
    waits: bool,
}

impl Pause {
    pub(super) fn new(fast: bool, app: &App) -> Self {
        Self { waits: !fast && app.out.is_terminal() && io::stdin().is_terminal() }
    }

    /// `false` when the reader has had enough.
    pub(super) fn goes_on(&self, app: &mut App) -> Result<bool, Failure> {
        if !self.waits {
            return Ok(true);
        }
        app.out.say(paint(DIM, "\nPress Enter to continue, or q and Enter to stop."));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let read = read.map_err(|e| Failure::file("standard input", e))?;
        Ok(read > 0 && !answer.trim().eq_ignore_ascii_case("q"))
    }
}
