//! The program, as a user sees it. What its tests share.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with a store, and the program run in it.
pub(crate) struct Shell {
    dir: TempDir,
}

/// What a run of the program said, and how it ended.
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a session `s` of three events on main, and a branch `b` that left after the second.
    pub(crate) fn with_a_session() -> Self {
        let shell = Self::new();
        for n in 1..=3 {
            let (data, time) = (format!("{{\"n\": {n}}}"), format!("2026-02-03T04:05:0{n}Z"));
            shell.ok(&["append", "s", "step.done", "--data", &data, "--time", &time]);
        }
        shell.ok(&["fork", "s@2", "b"]);
        shell.ok(&["append", "s/b", "step.failed", "--time", "2026-02-03T04:05:07Z"]);
        shell
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("retold.redb")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("retold"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in [
            "RETOLD_CONFIG",
            "RETOLD_TOKEN",
            "RETOLD_TOKEN_FILE",
            "RETOLD_CA",
            "NO_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
            "COLUMNS",
            "LC_ALL",
            "LC_CTYPE",
            "LANG",
        ] {
            command.env_remove(name);
        }
        for key in &retold::config::KEYS {
            command.env_remove(key.variable());
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().unwrap())
    }

    /// With this on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &(impl AsRef<[u8]> + ?Sized)) -> Said {
        std::fs::write(self.path("input"), input).unwrap();
        let input = std::fs::File::open(self.path("input")).unwrap();
        Said::of(self.command(args).stdin(input).output().unwrap())
    }

    /// What it printed, when all went well.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!((said.exit, said.err.as_str()), (0, ""), "{args:?}");
        said.out
    }

    /// The sentence, when it failed with this exit code and printed nothing else.
    pub(crate) fn fails(&self, exit: i32, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!((said.exit, said.out.as_str()), (exit, ""), "{args:?}: {}", said.err);
        said.err
    }

    pub(crate) fn head(&self, address: &str) -> usize {
        self.ok(&["read", address]).lines().count()
    }
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Times and ids differ from run to run: each becomes one that does not, of the same length.
pub(crate) fn steady(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "DIR");
    let shapes =
        ["dddd-dd-ddTdd:dd:dd.dddddd", "dddd-dd-ddTdd:dd:dd", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"];
    let fits = |shape: char, c: char| match shape {
        'd' => c.is_ascii_digit(),
        'x' => c.is_ascii_hexdigit(),
        other => c == other,
    };
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < chars.len() {
        let found = shapes.iter().find(|shape| {
            shape.len() <= chars.len() - at && shape.chars().zip(&chars[at..]).all(|(s, c)| fits(s, *c))
        });
        match found {
            Some(shape) => {
                out.extend(shape.chars().map(|c| if matches!(c, 'd' | 'x') { '0' } else { c }));
                at += shape.len();
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}
