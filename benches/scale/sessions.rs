//! Issued sessions: facts to sorted runs to fact files to the index that resolves callers.

use std::borrow::Cow;
use std::error::Error;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use overgrant::facts::FactsError;
use overgrant::facts::fold::{FactSink, Folded, fold, records};
use overgrant::facts::read::FactReader;
use overgrant::facts::sort::{Run, Sorter, SpillDir};
use overgrant::facts::store::FactStore;
use overgrant::join::sessions::{Confidence, Sessions, SessionsBuilder};
use overgrant::model::fact::{AwsCaller, Fact, FactBody, IssuedBy, SessionFact};
use overgrant::model::outcome::Family;
use overgrant::model::time::Micros;

use super::ALWAYS;

use super::dice::Dice;
use super::meter::{FolderPeak, Meter, bytes_below, mega, resident_memory};
use super::{Arguments, is_equal};

const SORT_BUFFER: usize = 32 << 20;
/// Sessions that a thread makes at a time.
const STEP: u64 = 10_000;
const DAYS: u64 = 30;
/// Callers that are looked up.
const SAMPLE: u64 = 100_000;

/// The 128-bit key that a session of number `n` got.
fn key_of(n: u64) -> String {
    format!("ASIA{:016X}", Dice::new(n ^ 0x006b_6579).next())
}

fn issued_at(n: u64, sessions: u64) -> Micros {
    let start = Micros::parse("2026-06-01T00:00:00Z").unwrap_or_default();
    let span = u128::from(DAYS * 24 * 3600) * 1_000_000;
    // Issue times are whole seconds in CloudTrail.
    let after = u128::from(n) * span / u128::from(sessions.max(1)) / 1_000_000 * 1_000_000;
    Micros(start.0 + i64::try_from(after).unwrap_or(0))
}

fn role_arn(role: u64) -> String {
    format!("arn:aws:iam::111122223333:role/eks/role-{role}")
}

/// What a later call with the session of number `n` shows.
fn caller_of(n: u64, sessions: u64) -> AwsCaller {
    let fact = session(n, sessions);
    let role = PrincipalOf { arn: fact.role_arn, id: fact.role_id };
    AwsCaller {
        kind: "AssumedRole".to_owned(),
        principal_id: format!("{}:{}", role.id, fact.session_name),
        arn: format!("arn:aws:sts::111122223333:assumed-role/x/{}", fact.session_name),
        account: "111122223333".to_owned(),
        access_key_id: fact.access_key_id,
        issuer_arn: role.arn,
        issuer_id: role.id,
        created_at: Some(issued_at(n, sessions)),
        ..AwsCaller::default()
    }
}

struct PrincipalOf {
    arn: String,
    id: String,
}

/// Pods, web identities, and chains of three that a person starts.
fn session(n: u64, sessions: u64) -> SessionFact {
    let mut dice = Dice::new(n);
    let random = dice.next();
    let role = dice.small(400);
    let tag = |key: &str, value: String| (key.to_owned(), value);
    let mut fact = SessionFact {
        account: format!("1111222233{:02}", role % 8),
        region: "us-west-2".to_owned(),
        role_arn: role_arn(role),
        role_id: format!("AROA{role:017}"),
        access_key_id: key_of(n),
        expires_at: Some(Micros(issued_at(n, sessions).0 + 3_600_000_000)),
        shared_event_id: format!("{random:016x}-4000-8000-{n:012x}"),
        ..SessionFact::default()
    };
    match n % 10 {
        0..5 => {
            let pod = dice.below(sessions / 12 + 1);
            fact.issued_by = IssuedBy::PodIdentity;
            fact.session_name = format!("eks-bench-app-{pod:08x}-{random:016x}");
            fact.source = Arc::new(AwsCaller {
                kind: "AWSService".to_owned(),
                invoked_by: "pods.eks.amazonaws.com".to_owned(),
                ..AwsCaller::default()
            });
            fact.tags = vec![
                tag("eks-cluster-arn", "arn:aws:eks:us-west-2:111122223333:cluster/bench".into()),
                tag("eks-cluster-name", "bench".into()),
                tag("kubernetes-namespace", format!("ns-{}", pod % 600)),
                tag("kubernetes-pod-name", format!("app-{}-7c9d8f6b5-{pod:05x}", pod % 1500)),
                tag("kubernetes-pod-uid", format!("{:016x}-{pod:012x}", Dice::new(pod).next())),
                tag("kubernetes-service-account", format!("app-{}", pod % 1500)),
            ];
            fact.transitive_keys = fact.tags.iter().map(|(key, _)| key.clone()).collect();
        }
        5..7 => {
            fact.issued_by = IssuedBy::WebIdentity;
            fact.session_name = format!("{}", random >> 1);
            fact.subject = format!("system:serviceaccount:ns-{}:app-{}", role % 600, role);
            "arn:aws:iam::111122223333:oidc-provider/oidc.eks.example"
                .clone_into(&mut fact.provider);
            fact.source = Arc::new(AwsCaller {
                kind: "WebIdentityUser".to_owned(),
                user_name: fact.subject.clone(),
                ..AwsCaller::default()
            });
        }
        7 => {
            let person = dice.below(3000);
            fact.session_name = format!("person-{person}@example.com");
            fact.source_identity = format!("person-{person}");
            fact.tags = vec![
                tag("cost-center", format!("{}", person % 50)),
                tag("team", format!("team-{}", person % 200)),
            ];
            fact.transitive_keys = vec!["team".to_owned()];
            fact.source = Arc::new(AwsCaller {
                kind: "IAMUser".to_owned(),
                principal_id: format!("AIDA{person:017}"),
                arn: format!("arn:aws:iam::111122223333:user/person-{person}"),
                account: "111122223333".to_owned(),
                access_key_id: format!("AKIA{person:016}"),
                user_name: format!("person-{person}"),
                ..AwsCaller::default()
            });
        }
        _ => {
            fact.session_name = format!("chained-{random:08x}");
            fact.tags = vec![tag("step", format!("{}", n % 10))];
            fact.source = Arc::new(caller_of(n - 1, sessions));
        }
    }
    fact
}

/// Facts of session `n`: of twenty sessions, one is also in another account's trail with its key
/// and one without.
fn facts(n: u64, sessions: u64, take: &mut dyn FnMut(Fact<'_>)) {
    let at = issued_at(n, sessions);
    let mut push = |id: u128, body: SessionFact| {
        let body = Rc::new(FactBody::Session(Box::new(body)));
        let name = Cow::Borrowed("");
        take(Fact { group: 0, id, ordinal: 0, rank: 1, at, name, body });
    };
    let fact = session(n, sessions);
    let mut dice = Dice::new(n ^ 0x1d);
    let mut id = || (u128::from(dice.next()) << 64) | u128::from(n << 2);
    match n % 20 {
        3 => push(id() | 1, SessionFact { account: "999922223333".to_owned(), ..fact.clone() }),
        13 => push(
            id() | 1,
            SessionFact {
                account: "999922223333".to_owned(),
                access_key_id: String::new(),
                ..fact.clone()
            },
        ),
        _ => {}
    }
    push(id() | 2, fact);
}

struct Index(SessionsBuilder);

impl FactSink for Index {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        if let Folded::Session(issued) = fact {
            self.0.add(&issued);
        }
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments, folder: &Path) -> Result<bool, Box<dyn Error>> {
    let sessions = arguments.sessions;
    let (spilled, out) = (folder.join("spill"), folder.join("out"));
    std::fs::create_dir_all(&spilled)?;
    std::fs::create_dir_all(&out)?;
    println!("{sessions} sessions of {DAYS} days, {} threads", arguments.threads);
    let spill = SpillDir::new(spilled.clone());
    let watch = FolderPeak::watch(&spilled);
    let mut meter = Meter::default();
    let all = (sessions, "sessions");

    let runs = meter.stage("make, sort", all, || sort(sessions, arguments.threads, &spill))?;
    let mut store = FactStore::new(out.clone());
    let counts = meter.stage("fold", all, || fold(runs, &spill, &mut store))?;
    let files = store.finish()?;
    let before = resident_memory().unwrap_or(0);
    let mut index = Index(SessionsBuilder::default());
    meter.stage("read the facts back", all, || {
        FactReader::new(&out, &files, ALWAYS, &spill).read(|_| None, &mut index)
    })?;
    let index = meter.stage("index, link chains", all, || index.0.finish());
    let held = resident_memory().unwrap_or(0).saturating_sub(before);
    let found = meter.stage("look callers up", (SAMPLE, "callers"), || look_up(&index, sessions));
    println!(
        "  {} facts, {} MB spilled at most, {} files of {} MB",
        records(&counts, Family::Session).0,
        mega(watch.end()),
        files.len(),
        mega(bytes_below(&out))
    );
    println!("  {} bytes per session in the index", held / sessions.max(1));
    let sample = SAMPLE.min(sessions);
    let good = [
        is_equal("sessions", u64::try_from(index.all.len())?, sessions),
        is_equal("callers found by key", found.by_key, sample),
        is_equal("callers found by second and name", found.by_second, sample),
        is_equal("chained sessions with their person", found.people, found.chained),
        is_equal("bytes left in the spill folder", bytes_below(&spilled), 0),
        meter.within(arguments.sessions_bound),
    ];
    Ok(good.iter().all(|good| *good))
}

fn sort(sessions: u64, threads: usize, spill: &SpillDir) -> Result<Vec<Run>, FactsError> {
    let next = AtomicU64::new(0);
    let parts: Vec<Result<Vec<Run>, FactsError>> = std::thread::scope(|scope| {
        let worker = || {
            let mut sorter = Sorter::new(spill, SORT_BUFFER);
            loop {
                let from = next.fetch_add(STEP, Ordering::Relaxed);
                if from >= sessions {
                    return Ok(sorter.finish());
                }
                let mut failed = None;
                for n in from..(from + STEP).min(sessions) {
                    facts(n, sessions, &mut |fact| {
                        if failed.is_none() {
                            failed = sorter.push(&fact).err();
                        }
                    });
                }
                if let Some(error) = failed {
                    return Err(error);
                }
            }
        };
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut runs = Vec::new();
    for part in parts {
        runs.extend(part?);
    }
    Ok(runs)
}

#[derive(Default)]
struct Found {
    by_key: u64,
    by_second: u64,
    chained: u64,
    people: u64,
}

fn look_up(index: &Sessions, sessions: u64) -> Found {
    let mut found = Found::default();
    let sample = SAMPLE.min(sessions);
    for at in 0..sample {
        let n = at * sessions / sample;
        let mut caller = caller_of(n, sessions);
        let is_it = |idx: Option<usize>| {
            let session = idx.and_then(|idx| index.get(idx));
            session.is_some_and(|session| index.text(session.access_key_id) == key_of(n))
        };
        let at = issued_at(n, sessions);
        let (idx, confidence) = index.of_aws_caller(&caller, at);
        found.by_key += u64::from(is_it(idx) && confidence == Confidence::AccessKey);
        if n % 10 > 7 {
            found.chained += 1;
            let person = idx.and_then(|idx| index.get(idx)).map(|s| index.text(s.person));
            found.people += u64::from(person.is_some_and(|p| p.starts_with("person-")));
        }
        // A key that no record showed, as most of a session's keys are.
        "ASIANEVERSEEN".clone_into(&mut caller.access_key_id);
        let (idx, confidence) = index.of_aws_caller(&caller, at);
        found.by_second += u64::from(is_it(idx) && confidence == Confidence::IssueSecond);
    }
    found
}
