//! Progress bars on stderr for work that takes more than a moment, on a terminal only.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Out;

/// Nothing is drawn for work that ends before this.
const PATIENCE: Duration = Duration::from_millis(400);

/// The progress of some work. Draws nothing until it has taken a while.
pub(super) struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    begun: Instant,
    bar: Option<ProgressBar>,
    drawn: bool,
}

impl Progress {
    /// `what` is counted, up to `total` if that is known.
    pub(super) fn new(out: &Out, what: &'static str, total: Option<u64>) -> Self {
        Self { what, total, done: 0, begun: Instant::now(), bar: None, drawn: out.may_draw() }
    }

    /// For work of unknown duration: drawn from the start.
    pub(super) fn at_once(out: &Out, what: &'static str, total: Option<u64>) -> Self {
        let mut progress = Self::new(out, what, total);
        if progress.drawn {
            progress.bar = Some(progress.draw());
        }
        progress
    }

    /// For work that prints as it goes: a bar would appear between lines on the same terminal.
    pub(super) fn beside(out: &Out, what: &'static str, total: Option<u64>) -> Self {
        let mut progress = Self::new(out, what, total);
        progress.drawn &= !out.is_terminal();
        progress
    }

    /// Hides the bar while something is printed.
    pub(super) fn aside<T>(&self, say: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    pub(super) fn add(&mut self, n: u64) {
        self.set(self.done + n);
    }

    pub(super) fn total(&mut self, total: u64) {
        self.total = Some(total);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    pub(super) fn set(&mut self, done: u64) {
        self.done = done;
        if !self.drawn {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.begun.elapsed() >= PATIENCE => self.bar = Some(self.draw()),
            None => {}
        }
    }

    fn draw(&self) -> ProgressBar {
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(self.total, target);
        let counted = if self.what == "bytes" {
            "{bytes}/{total_bytes}, {bytes_per_sec}".to_owned()
        } else if self.total.is_some() {
            format!("{{human_pos}}/{{human_len}} {}", self.what)
        } else {
            format!("{{human_pos}} {}", self.what)
        };
        let template = match self.total {
            Some(_) => format!("{{bar:30.cyan/dim}} {counted}, {{eta}} left"),
            None => format!("{{spinner:.cyan}} {counted}"),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_position(self.done);
        bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
