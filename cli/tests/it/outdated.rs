//! A store after an upgrade: what another release has folded is said to be folded anew.

use retold::event::Event;
use retold::project::{ApplyError, Projection, Scope};
use retold::store::Store;

use crate::shell::Shell;

/// The statistics of an earlier release.
struct OldStats;

impl Projection for OldStats {
    type State = u64;

    fn name(&self) -> &str {
        "stats"
    }

    fn version(&self) -> u32 {
        1
    }

    fn scope(&self) -> Scope {
        Scope::Session
    }

    fn apply(&self, events: &mut u64, _: &Event) -> Result<(), ApplyError> {
        *events += 1;
        Ok(())
    }
}

#[test]
fn states_of_another_release_are_named_with_the_way_to_build_them_anew() {
    let shell = Shell::with_a_session();
    assert!(!shell.ok(&["-o", "table", "info"]).contains("outdated"));
    let store = Store::open(shell.store()).unwrap();
    store.project(OldStats).unwrap().catch_up().unwrap();
    store.close().unwrap();
    let said = "stats: stored states are of another release, so events are folded anew; `retold rebuild --all` does it once";
    let info = shell.ok(&["-o", "table", "info"]);
    assert!(info.lines().any(|line| line.trim_start() == format!("outdated  {said}")), "{info}");
    let ls = shell.run(&["-o", "table", "ls"]);
    assert_eq!((ls.exit, ls.err.trim_end()), (0, said));
    // A listing for programs says it in no way.
    assert_eq!(shell.run(&["ls"]).err, "");
    shell.run(&["rebuild", "--all"]);
    assert_eq!(shell.run(&["-o", "table", "ls"]).err, "");
    assert!(!shell.ok(&["-o", "table", "info"]).contains("outdated"));
}
