//! What was emitted and what never.

use std::path::Path;

use retold::agents::projections::{Coverage, CoverageReport};
use retold::{Catalogue, NewEvent, Store};

fn covered(store: &Store) -> CoverageReport {
    store.project(Coverage).unwrap().coverage(Catalogue::builtin()).unwrap()
}

#[test]
fn coverage_counts_once_across_forks_and_other_names_and_is_the_same_however_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("s.redb");
    let store = Store::open(path).unwrap();
    store.append("s", [NewEvent::new("plan.created"), NewEvent::new("plan_created")]).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", [NewEvent::new("plan.created"), NewEvent::new("our.own")]).unwrap();
    let check = |store: &Store| {
        let report = covered(store);
        assert_eq!((report.emitted(), report.unknown.len()), (1, 1));
        let plan = report.types.iter().find(|t| t.events > 0).unwrap();
        assert_eq!((plan.name.as_str(), plan.events, plan.domain.as_str()), ("plan.created", 3, "plan"));
        assert!(plan.first < plan.last && plan.last.is_some());
        assert_eq!((report.unknown[0].name.as_str(), report.unknown[0].events), ("our.own", 1));
    };
    check(&store);
    store.project(Coverage).unwrap().catch_up().unwrap();
    check(&store);
    store.close().unwrap();
    check(&Store::builder().read_only().open(path).unwrap());
}
