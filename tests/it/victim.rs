//! A process of its own that works on a store until it is killed: this binary, with one of its ignored tests.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::support::Dice;

const STORE: &str = "RETOLD_VICTIM_STORE";
const SEED: &str = "RETOLD_VICTIM_SEED";

/// In the victim: the store that it works on, and its seed. `None` when nobody means to kill it.
pub(crate) fn orders() -> Option<(PathBuf, u64)> {
    let path = std::env::var_os(STORE)?.into();
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    // A victim that fails must not look like one that was killed.
    std::panic::set_hook(Box::new(|info| {
        tell(&format!("\npanic {}\n", info.to_string().replace('\n', " ")));
        std::process::exit(1);
    }));
    Some((path, seed))
}

/// In the victim: whole lines to the one who will kill it, at once. Nobody listens any more: nothing is left to do.
pub(crate) fn tell(lines: &str) {
    if std::io::stdout().lock().write_all(lines.as_bytes()).is_err() {
        std::process::exit(0);
    }
}

/// The victim, as the one who will kill it sees it.
pub(crate) struct Victim {
    child: Child,
    lines: Receiver<String>,
}

impl Victim {
    /// Begins the ignored test of this name, which asks for its [`orders`].
    pub(crate) fn begin(test: &str, store: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--include-ignored", "--nocapture"])
            .env(STORE, store)
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Read all along: a pipe that is full would hold up the victim.
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = channel();
        std::thread::spawn(move || {
            // Half a line was not said.
            while let Some(line) = whole_line(&mut out) {
                if told.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// Its process.
    #[cfg(unix)]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, and leaves what it said: a child of its own may say more.
    #[cfg(unix)]
    pub(crate) fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The next thing that it says, without the end of the line.
    pub(crate) fn line(&mut self) -> String {
        self.whole_line().expect("the victim ended before it was killed")
    }

    fn whole_line(&mut self) -> Option<String> {
        let line = self.lines.recv().ok()?;
        assert!(!line.contains("panic "), "the victim failed: {line}");
        Some(line)
    }

    /// Waits until it has said so many lines that count.
    pub(crate) fn until(&mut self, mut enough: u64, mut counts: impl FnMut(&str) -> bool) {
        while enough > 0 {
            enough -= u64::from(counts(&self.line()));
        }
    }

    /// Kills it, after up to so many turns. Answers with what it had said before it died.
    pub(crate) fn kill(mut self, dice: &mut Dice, turns: u64) -> Vec<String> {
        (0..dice.under(turns)).for_each(|_| std::hint::spin_loop());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.whole_line()).collect()
    }
}

fn whole_line(out: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    out.read_line(&mut line).ok()?;
    line.ends_with('\n').then(|| line.trim_end_matches('\n').to_owned())
}
