//! This machine and its processes, as far as a lock on a file depends on them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, getuid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Where a process runs. Equal boot ids mean one kernel, whose file locks hold for all of its processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// Changes with every start of the machine; empty where the system does not tell.
    pub(crate) boot: String,
    pub(crate) name: String,
    /// Tells machines of one name apart; empty where the system does not tell.
    #[serde(default)]
    pub(crate) machine: String,
    /// Of containers: process ids mean something within one namespace only.
    pub(crate) pids: String,
}

impl Host {
    pub(crate) fn this() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let pids = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string());
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
            machine: machine.trim().to_owned(),
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pids: pids.unwrap_or_default(),
        }
    }

    /// Whether it is certainly one machine, though it may have been started anew since.
    pub(crate) fn is_same_machine(&self, other: &Self) -> bool {
        let is_same_start = !self.boot.is_empty() && self.boot == other.boot;
        let is_told_apart = !self.machine.is_empty() || self.boot.is_empty();
        is_same_start || is_told_apart && (&self.name, &self.machine) == (&other.name, &other.machine)
    }

    /// Whether the kernel is certainly another one than that of `other`.
    pub(crate) fn is_elsewhere(&self, other: &Self) -> bool {
        self.boot != other.boot
    }
}

/// The user that this process acts for.
pub(crate) fn user() -> u32 {
    getuid().as_raw()
}

/// When a process began, in a unit of the system's. With the number, it names one process for as long as the machine
/// runs. `None` for no such process, or where the system does not tell.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // One that has ended, and was not waited for, holds nothing any more.
    let state = fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    debug_assert!(!state.is_empty(), "split by whitespace");
    fields.nth(18)?.parse().ok()
}

/// Whether this process, which began then, is there.
pub(crate) fn is_running(pid: u32, start: Option<u64>) -> bool {
    match start {
        Some(start) => start_of(pid) == Some(start),
        None => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
        }
    }
}

/// Whether only this machine can have the file system of this folder mounted, so that locks on it hold. On others two
/// machines may both believe that they have one.
#[cfg(target_os = "linux")]
pub(crate) fn is_local(folder: &Path) -> bool {
    // NFS, SMB and CIFS, AFS, Coda, Ceph, 9P, FUSE, GFS2, OCFS2, Lustre, GPFS.
    const SHARED: [u32; 13] = [
        0x6969,
        0x517B,
        0xFF53_4D42,
        0xFE53_4D42,
        0x5346_414F,
        0x7375_7245,
        0x00C3_6400,
        0x0102_1997,
        0x6573_5546,
        0x0116_1970,
        0x7461_636F,
        0x0BD0_0BD0,
        0x4750_4653,
    ];
    let kind = rustix::fs::statfs(folder).map(|found| found.f_type as u32);
    kind.is_ok_and(|kind| !SHARED.contains(&kind))
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_local(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_an_earlier_one_with_its_number() {
        let me = std::process::id();
        let start = start_of(me);
        assert!(is_running(me, start) && is_running(me, None));
        if let Some(start) = start {
            assert!(!is_running(me, Some(start + 1)));
        }
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (pid, started) = (child.id(), start_of(child.id()));
        child.wait().unwrap();
        assert!(!is_running(pid, started.or(Some(0))));
    }

    #[test]
    fn the_same_machine_is_not_elsewhere() {
        let host = Host::this();
        assert!(!host.is_elsewhere(&Host { pids: "of a container".into(), ..host.clone() }));
        assert!(host.is_elsewhere(&Host { boot: "another".into(), ..host.clone() }));
    }

    #[test]
    fn a_machine_is_the_same_after_a_start_and_not_for_its_name_alone() {
        let host = |boot: &str, name: &str, machine: &str| {
            let [boot, name, machine] = [boot, name, machine].map(str::to_owned);
            Host { boot, name, machine, pids: String::new() }
        };
        let one = host("b", "n", "m");
        assert!(one.is_same_machine(&host("b", "renamed", "m")) && one.is_same_machine(&host("c", "n", "m")));
        assert!(
            !one.is_same_machine(&host("c", "n", "other")) && !one.is_same_machine(&host("c", "other", "m"))
        );
        // Without an id of the machine a start is all that tells; without either, the name.
        assert!(!host("b", "n", "").is_same_machine(&host("c", "n", "")));
        assert!(host("", "n", "").is_same_machine(&host("", "n", "")));
        assert!(!host("", "n", "").is_same_machine(&host("", "other", "")));
    }
}
