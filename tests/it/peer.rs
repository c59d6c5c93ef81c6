//! Another process with the same store: this binary, with its ignored test `sharing::another_process`, which does what it
//! is told over its standard input.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

const IS_PEER: &str = "RETOLD_PEER";
/// What begins a line that is an answer, among those of the test harness.
const MARK: &str = "= ";
/// What no answer takes, however busy the machine is.
const ANSWER: Duration = Duration::from_secs(300);

/// In the peer: each order and its answer, until nobody gives orders any more.
pub(crate) fn serve(mut obey: impl FnMut(&[&str]) -> String) {
    if std::env::var_os(IS_PEER).is_none() {
        return;
    }
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let answer = obey(&words).replace('\n', " ");
        println!("\n{MARK}{answer}");
    }
}

/// Another process, as the one that gives the orders sees it.
pub(crate) struct Peer {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Peer {
    pub(crate) fn begin() -> Self {
        Self::begin_with(|_| {})
    }

    /// Begins it in another environment, or as another user.
    pub(crate) fn begin_with(change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        change(&mut command);
        Self::spawn(command)
    }

    /// Begins it with a script that is given its program and arguments, and becomes it.
    pub(crate) fn begin_in_shell(script: &str) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command
            .args(["--exact", "sharing::another_process", "--include-ignored", "--nocapture"])
            .env(IS_PEER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            let answers =
                lines.map_while(Result::ok).filter_map(|line| Some(line.strip_prefix(MARK)?.to_owned()));
            for answer in answers {
                if tell.send(answer).is_err() {
                    return;
                }
            }
        });
        Self { child, orders, answers }
    }

    /// One that has the store open.
    pub(crate) fn with(store: &Path, how: &str) -> Self {
        let mut peer = Self::begin();
        assert_eq!(peer.open(store, how), "ok");
        peer
    }

    pub(crate) fn open(&mut self, store: &Path, how: &str) -> String {
        self.ask(&format!("open {} {how}", store.display()))
    }

    /// Gives an order and waits for the answer.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.answer()
    }

    /// Gives an order.
    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
    }

    /// What it answers. One that does not is named, and does not hold up everything.
    pub(crate) fn answer(&mut self) -> String {
        match self.answers.recv_timeout(ANSWER) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                panic!("process {} has not answered for {ANSWER:?}", self.pid())
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the other process has ended"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// With this signal: STOP, CONT, KILL.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
        if name == "STOP" {
            until_stopped(self.pid());
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever sends the signal does not wait for the process to be stopped, and one of its threads may go on for a moment.
pub(crate) fn until_stopped(pid: u32) {
    while !states(pid).is_some_and(|states| states.iter().all(|state| *state == 'T')) {
        std::thread::yield_now();
    }
}

/// Those of the threads of a process; of the process alone where the system does not say more.
fn states(pid: u32) -> Option<Vec<char>> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        let said = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().ok()?;
        return Some(vec![String::from_utf8(said.stdout).ok()?.chars().next()?]);
    };
    let state = |stat: String| stat.rsplit_once(") ")?.1.chars().next();
    // One that has just ended cannot be read.
    threads.map(|thread| state(std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?)).collect()
}
