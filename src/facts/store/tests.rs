//! Facts survive the disk, in order, and names are capped.

use super::*;
use crate::model::time::{MICROS_PER_HOUR, Micros};

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    sessions: Vec<Issued>,
    authentications: Vec<Hourly<AwsCallFact>>,
    calls: Vec<Hourly<AwsCallFact>>,
    access: Vec<Hourly<AccessFact>>,
}

impl FactSink for Seen {
    fn session(&mut self, issued: Issued) -> Result<(), FactsError> {
        self.sessions.push(issued);
        Ok(())
    }
    fn authentication(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError> {
        self.authentications.push(call);
        Ok(())
    }
    fn aws_call(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError> {
        self.calls.push(call);
        Ok(())
    }
    fn access(&mut self, access: Hourly<AccessFact>) -> Result<(), FactsError> {
        self.access.push(access);
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
    let mut expected = Seen::default();
    let session = SessionFact {
        account: "012345678901".to_owned(),
        issued_by: IssuedBy::PodIdentity,
        tags: vec![("a".to_owned(), "b".to_owned())],
        expires_at: Some(Micros(9)),
        ..SessionFact::default()
    };
    let issued = Issued { at: Micros(3), body: session };
    store.session(issued.clone()).unwrap();
    expected.sessions.push(issued);
    for hour in [5, 30] {
        let call = hourly(hour, AwsCallFact { account: "1".to_owned(), ..AwsCallFact::default() });
        store.authentication(call.clone()).unwrap();
        expected.authentications.push(call);
    }
    for hour in [5, 30] {
        let call = hourly(hour, AwsCallFact { account: "1".to_owned(), ..AwsCallFact::default() });
        store.aws_call(call.clone()).unwrap();
        expected.calls.push(call);
    }
    for (hour, cluster) in [(5, "b"), (6, "a"), (30, "b")] {
        let fact = hourly(hour, access_of(cluster, "x"));
        store.access(fact.clone()).unwrap();
        expected.access.push(fact);
    }
    let paths = store.finish().unwrap();
    assert_eq!(paths.len(), 1 + 2 + 2 + 3);
    let mut seen = Seen::default();
    read(dir.path(), &paths, &mut seen).unwrap();
    // Clusters follow each other; time runs forward within each.
    expected.access.sort_by_key(|fact| (fact.body.cluster.clone(), fact.hour));
    assert_eq!(seen, expected);
}

#[test]
fn names_beyond_the_cap_are_added_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FactStore::new(dir.path().to_path_buf());
    for n in 0..MAX_NAMES + 10 {
        store.access(hourly(5, access_of("c", &format!("n{n:03}")))).unwrap();
    }
    store.access(hourly(6, access_of("c", "n000"))).unwrap();
    store.access(hourly(30, access_of("c", "fresh day"))).unwrap();
    let paths = store.finish().unwrap();
    let mut seen = Seen::default();
    read(dir.path(), &paths, &mut seen).unwrap();
    let names: Vec<_> =
        seen.access.iter().map(|a| (a.body.permission.name.as_str(), a.count)).collect();
    assert_eq!(names.len(), MAX_NAMES + 1 + 2);
    assert_eq!(names[0], ("", 20));
    assert_eq!(names[MAX_NAMES + 1..], [("n000", 2), ("fresh day", 2)]);
}

#[test]
fn partitions_are_safe_and_distinct() {
    let a = partition("p_cluster", "arn:aws:eks:r1:1:cluster/prod");
    let b = partition("p_cluster", "arn:aws:eks:r2:1:cluster/prod");
    assert!(a.starts_with("p_cluster=prod-") && b.starts_with("p_cluster=prod-") && a != b);
    assert!(!partition("p", "../../x\n").contains(['.', '\n']));
}
