//! Who is on the other side of a socket.

use crate::event::Timestamp;
use crate::limits::MAX_PROGRAM_BYTES;

/// A client of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientInfo {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) program: String,
    /// What it is entitled to: higher is more.
    pub(crate) rank: u8,
    pub(crate) since: Timestamp,
    /// Bytes that wait for it to read them.
    pub(crate) queued: u64,
}

/// Where the other end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On this machine: the system says which process it is.
    Local,
    /// On any machine: what it says of itself is all that is known, and its paths are not those of this one.
    Remote,
}

/// Why a client on another machine gets no incremental backup, nor any under a name: it would name files of this one.
pub(super) const NO_FILES_FROM_AFAR: &str = "an incremental backup is made on the machine of the store, which has the earlier one: run \
                                            `retold backup` there; a full one can be made from anywhere";

/// The process with this number, which says that it runs this program. What it says is shown to people.
pub(super) fn program_name(said: &str) -> String {
    let plain = said.chars().filter(|c| !c.is_control());
    let mut name = String::new();
    for c in plain {
        if name.len() + c.len_utf8() > MAX_PROGRAM_BYTES {
            break;
        }
        name.push(c);
    }
    name
}

/// Whether a peer of this user may use the store: the same user, or root.
pub(super) fn may_talk(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_is_cut_between_letters_and_without_control_characters() {
        assert_eq!(program_name("re\u{1b}[31mtold\n"), "re[31mtold");
        let long = program_name(&"ä".repeat(MAX_PROGRAM_BYTES));
        assert_eq!(long, "ä".repeat(MAX_PROGRAM_BYTES / 2));
    }

    #[test]
    fn only_the_same_user_and_root_may_use_a_store() {
        let own = rustix::process::geteuid().as_raw();
        assert!(may_talk(own) && may_talk(0) && !may_talk(own + 1));
    }
}
