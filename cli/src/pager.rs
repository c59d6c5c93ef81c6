//! The pager: what is longer than the screen can be scrolled, as git does it.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit codes of a shell that cannot run a command.
const NOT_RUN: [i32; 2] = [126, 127];

/// A running pager, which reads what is written to it.
pub(super) struct Pager {
    child: Child,
    /// `None` once it was closed.
    input: Option<ChildStdin>,
    failed: Arc<AtomicBool>,
}

impl Pager {
    /// Starts the one of `RETOLD_PAGER` or `PAGER`, else `less` if there is one. `None` if it is `cat` or empty, or cannot be
    /// started. `failed` is set when it turns out later that it could not be run.
    pub(super) fn start(failed: Arc<AtomicBool>) -> Option<Self> {
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return None;
        }
        let named = ["RETOLD_PAGER", "PAGER"].into_iter().find_map(|name| std::env::var(name).ok());
        let mut command = match named.as_deref().map(str::trim) {
            Some("" | "cat") => return None,
            Some(line) if cfg!(windows) => shell("cmd", "/C", line),
            Some(line) => shell("sh", "-c", line),
            // Started itself: a shell would start even where it is missing.
            None if cfg!(windows) => return None,
            None => Command::new("less"),
        };
        if std::env::var_os("LESS").is_none() {
            // Short output is printed as it is; colors pass; the screen keeps what was shown.
            command.env("LESS", "FRX");
        }
        let mut child = command.stdin(Stdio::piped()).spawn().ok()?;
        let input = child.stdin.take();
        Some(Self { child, input, failed })
    }
}

fn shell(program: &str, flag: &str, line: &str) -> Command {
    let mut command = Command::new(program);
    command.args([flag, line]);
    command
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.input {
            Some(input) => input.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Pager {
    /// Waits until the reader has left it.
    fn drop(&mut self) {
        drop(self.input.take());
        let code = self.child.wait().ok().and_then(|status| status.code());
        if code.is_some_and(|code| NOT_RUN.contains(&code)) {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}
