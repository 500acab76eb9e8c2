//! Facts survive the disk, in order.
#![expect(clippy::disallowed_methods, reason = "the tests look at what is on disk")]

use super::super::fold::{Dated, Hourly, Issued};
use super::super::read::FactReader;
use super::super::sort::SpillDir;
use super::*;
use crate::model::fact::{
    AccessFact, AwsCallFact, ChangeFact, ChangeKind, IssuedBy, LoginFact, SessionFact,
};
use crate::model::time::{Hour, MICROS_PER_HOUR, Micros, Window};

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen(Vec<Folded>);

impl FactSink for Seen {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        self.0.push(fact);
        Ok(())
    }
}

fn hourly<T>(hour: i32, body: T) -> Hourly<T> {
    let at = Micros(i64::from(hour) * MICROS_PER_HOUR);
    Hourly { hour: Hour(hour), body, count: 2, first: at, last: Micros(at.0 + 5) }
}

fn access_of(cluster: &str, name: &str) -> AccessFact {
    let mut fact = AccessFact { cluster: cluster.to_owned(), ..AccessFact::default() };
    name.clone_into(&mut fact.permission.name);
    "AROA1".clone_into(&mut fact.caller.principal_id);
    fact.subject = fact.caller.clone();
    fact
}

#[test]
fn facts_come_back_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FactStore::new(dir.path().to_path_buf());
    let session = SessionFact {
        account: "012345678901".to_owned(),
        issued_by: IssuedBy::PodIdentity,
        tags: vec![("a".to_owned(), "b".to_owned())],
        expires_at: Some(Micros(9)),
        ..SessionFact::default()
    };
    let mut facts = vec![Folded::Session(Issued { at: Micros(3), body: session })];
    let call =
        |hour| hourly(hour, AwsCallFact { account: "1".to_owned(), ..AwsCallFact::default() });
    facts.extend([5, 30].map(|hour| Folded::Authentication(call(hour))));
    facts.extend([5, 30].map(|hour| Folded::AwsCall(call(hour))));
    let login = LoginFact { cluster: "a".to_owned(), granted: true, ..LoginFact::default() };
    facts.push(Folded::Login(hourly(5, login)));
    for (at, (kind, _)) in (0..).zip(ChangeKind::ALL) {
        let body = ChangeFact { cluster: "a".to_owned(), kind, ..ChangeFact::default() };
        facts.push(Folded::Change(Dated { at: Micros(at), body }));
    }
    for (hour, cluster) in [(5, "b"), (6, "a"), (30, "b")] {
        facts.push(Folded::Access(hourly(hour, access_of(cluster, "x")), hour == 6));
    }
    for fact in facts.clone() {
        store.take(fact).unwrap();
    }
    let paths = store.finish().unwrap();
    assert_eq!(paths.len(), 1 + 2 + 2 + 1 + 1 + 3);
    let mut seen = Seen::default();
    let scratch = tempfile::tempdir().unwrap();
    let spill = SpillDir::new(scratch.path().to_path_buf());
    let window = Window { since: Hour(0).start(), until: Hour(48).start() };
    let reader = FactReader::new(dir.path(), &paths, window, &spill);
    reader.read(|_| None, &mut seen).unwrap();
    // Clusters follow each other; time runs forward within each.
    facts.sort_by_key(|fact| match fact {
        Folded::Access(access, _) => Some((access.body.cluster.clone(), access.hour)),
        _ => None,
    });
    assert_eq!(seen.0, facts);
    assert_eq!(reader.changes().unwrap().len(), ChangeKind::ALL.len());
}

#[test]
fn partitions_are_safe_and_distinct() {
    let a = partition("p_cluster", "arn:aws:eks:r1:1:cluster/prod");
    let b = partition("p_cluster", "arn:aws:eks:r2:1:cluster/prod");
    assert!(a.starts_with("p_cluster=prod-") && b.starts_with("p_cluster=prod-") && a != b);
    assert!(!partition("p", "../../x\n").contains(['.', '\n']));
}

#[test]
fn late_facts_add_up_with_those_that_were_there() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let spill = SpillDir::new(scratch.path().to_path_buf());
    let fact = |hour, name: &str| Folded::Access(hourly(hour, access_of("a", name)), false);
    let login = |at| {
        let body = ChangeFact { cluster: "a".to_owned(), ..ChangeFact::default() };
        Folded::Change(Dated { at: Micros(at), body })
    };
    let mut paths = Vec::new();
    for (n, facts) in [
        vec![login(1), login(2), fact(5, "x"), fact(6, "x")],
        vec![login(2), fact(5, "x"), fact(5, "y")],
        vec![fact(6, "x")],
    ]
    .into_iter()
    .enumerate()
    {
        let mut store = FactStore::new(dir.path().to_path_buf());
        let unit = Unit { place: number_in(&partition("p_cluster", "a")), day: Day(0) };
        if n > 0 {
            store = store.with_late(BTreeMap::from([(unit, u32::try_from(n).unwrap())]));
        }
        for fact in facts {
            store.take(fact).unwrap();
        }
        paths.extend(store.finish().unwrap());
    }
    assert_eq!(paths.iter().filter(|path| is_late(path)).count(), 3, "{paths:?}");
    let read = |since, until| {
        let window = Window { since: Hour(since).start(), until: Hour(until).start() };
        let mut seen = Seen::default();
        FactReader::new(dir.path(), &paths, window, &spill).read(|_| None, &mut seen).unwrap();
        let say = |fact: &Folded| match fact {
            Folded::Access(access, _) => {
                format!("{} {} {}", access.hour.0, access.body.permission.name, access.count)
            }
            Folded::Change(change) => format!("change {}", change.at.0),
            other => panic!("{other:?}"),
        };
        seen.0.iter().map(say).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 24), ["change 1", "change 2", "5 x 4", "5 y 2", "6 x 4"]);
    assert_eq!(read(6, 24), ["6 x 4"], "hours outside are left out");
    assert!(read(24, 48).is_empty());
}

#[test]
fn a_thread_of_its_own_writes_the_same_files() {
    let write = |root: &Path, beside: bool| {
        let mut store = FactStore::new(root.to_path_buf());
        if beside {
            store = store.beside();
        }
        for n in 0..5_000 {
            let fact = hourly(n / 200, access_of("a", &format!("name-{n}")));
            store.take(Folded::Access(fact, n % 7 == 0))?;
        }
        store.finish()
    };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [here, beside] = [(0, false), (1, true)].map(|(n, beside)| {
        let paths = write(dirs[n].path(), beside).unwrap();
        let bytes = |path: &PathBuf| std::fs::read(dirs[n].path().join(path)).unwrap();
        paths.iter().map(|path| (path.clone(), bytes(path))).collect::<Vec<_>>()
    });
    assert_eq!(here.len(), 2, "two days");
    assert_eq!(here, beside);
    // A folder that is a file.
    let file = dirs[0].path().join("file");
    std::fs::write(&file, "").unwrap();
    for beside in [false, true] {
        let failed = write(&file, beside).unwrap_err();
        assert!(matches!(failed, FactsError::WriteFacts { .. }), "{failed:?}");
    }
}
