//! The join of many sessions and many rows of use, in one process of bounded memory.
//!
//! Facts are made as a scan would leave them, and joined by the program itself, whose memory is read while
//! it works. Small by default; `OVERGRANT_SCALE=ROWS,SESSIONS,MIB,CLUSTERS,NAMES` says how many, how much
//! memory the program may take, over how many clusters the rows go and how many objects of each kind
//! are named; `OVERGRANT_SCALE_PROGRAM` another program than that of this build. `docs/scale.md` tells
//! what it came to.

use std::borrow::Cow;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use overgrant::facts::records;
use overgrant::facts::sort::{Run, Sorter, SpillDir};
use overgrant::model::digest;
use overgrant::model::fact::{
    AccessFact, AwsCaller, Decision, Fact, FactBody, IssuedBy, KubeUser, SessionFact,
};
use overgrant::model::permission::Permission;
use overgrant::model::time::Micros;
use overgrant::table::parquet::RowWriter;
use overgrant::table::scanned::FactRow;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::*;

const HOUR: i64 = 3_600_000_000;
/// Hours of the window.
const HOURS: u64 = 14 * 24;
const ROLES: [(&str, &str); 3] = [
    ("ci-deployer", "AROACIDEPLOYER0000001"),
    ("release-bot", "AROARELEASE0000000001"),
    ("jenkins", "AROAJENKINS0000000001"),
];
const VERBS: [&str; 4] = ["get", "list", "create", "patch"];
const KINDS: [(&str, &str); 5] = [
    ("", "pods"),
    ("", "configmaps"),
    ("apps", "deployments"),
    ("batch", "jobs"),
    ("networking.k8s.io", "ingresses"),
];

struct Load {
    rows: u64,
    sessions: u64,
    clusters: u64,
    names: u64,
}

/// The name of a cluster; the first is that of the samples.
fn cluster(number: u64) -> String {
    if number == 0 { "prod".to_owned() } else { format!("prod-{number}") }
}

/// The inventory of the samples, once for each cluster.
fn take_inventory(world: &World, clusters: u64) {
    let of_samples = project("samples/inventory/prod");
    for number in 0..clusters {
        let name = cluster(number);
        let folder = world.at("inventory").join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        for file in files_below(&of_samples) {
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text
                .replace("cluster/prod", &format!("cluster/{name}"))
                .replace(r#""name": "prod""#, &format!(r#""name": "{name}""#))
                .replace(r#""clusterName": "prod""#, &format!(r#""clusterName": "{name}""#));
            std::fs::write(folder.join(file.file_name().unwrap()), text).unwrap();
        }
    }
}

impl Load {
    /// When a session is issued: evenly over the window.
    fn issued_at(&self, session: u64) -> Micros {
        let start = Micros::parse("2026-11-10T00:00:00Z").unwrap();
        let hour = i64::try_from(session * HOURS / self.sessions.max(1)).unwrap();
        Micros(start.0 + hour * HOUR + i64::try_from(session % 3_500).unwrap() * 1_000_000)
    }

    fn session(&self, n: u64) -> Fact<'static> {
        let (role, id) = ROLES[usize::try_from(n % 3).unwrap()];
        let at = self.issued_at(n);
        let body = SessionFact {
            account: "111122223333".to_owned(),
            region: "us-west-2".to_owned(),
            issued_by: IssuedBy::AssumeRole,
            role_arn: format!("arn:aws:iam::111122223333:role/{role}"),
            role_id: id.to_owned(),
            session_name: format!("run-{n}"),
            access_key_id: format!("ASIA{n:016}"),
            expires_at: Some(Micros(at.0 + HOUR)),
            source: Arc::new(AwsCaller {
                kind: "IAMUser".to_owned(),
                principal_id: format!("AIDA{:017}", n % 900),
                arn: format!("arn:aws:iam::111122223333:user/person-{}", n % 900),
                account: "111122223333".to_owned(),
                access_key_id: format!("AKIA{:016}", n % 900),
                ..AwsCaller::default()
            }),
            tags: vec![("team".to_owned(), format!("team-{}", n % 200))],
            ..SessionFact::default()
        };
        fact(at, &format!("s{n}"), "", FactBody::Session(Box::new(body)))
    }

    /// Row `n` of use: what one session did of one kind in the hour after it was issued.
    fn access(&self, n: u64) -> Fact<'static> {
        let session = n % self.sessions.max(1);
        let turn = n / self.sessions.max(1);
        let (role, id) = ROLES[usize::try_from(session % 3).unwrap()];
        let (group, resource) = KINDS[usize::try_from(turn % 5).unwrap()];
        let verb = VERBS[usize::try_from(turn / 5 % 4).unwrap()];
        let namespace = format!("team-{}", (session / 3 + turn / 20) % 400);
        let canonical = format!("arn:aws:iam::111122223333:role/{role}");
        let caller = KubeUser {
            username: format!("arn:aws:sts::111122223333:assumed-role/{role}/run-{session}"),
            uid: format!("aws-iam-authenticator:111122223333:{id}"),
            groups: vec!["system:authenticated".to_owned()],
            access_key_id: format!("ASIA{session:016}"),
            principal_id: id.to_owned(),
            session_name: format!("run-{session}"),
            arn: format!("arn:aws:sts::111122223333:assumed-role/{role}/run-{session}"),
            canonical_arn: canonical,
            ..KubeUser::default()
        };
        let body = AccessFact {
            cluster: format!(
                "arn:aws:eks:us-west-2:111122223333:cluster/{}",
                cluster((session + turn) % self.clusters)
            ),
            caller,
            permission: Permission {
                verb: verb.to_owned(),
                api_group: group.to_owned(),
                resource: resource.to_owned(),
                namespace,
                ..Permission::default()
            },
            decision: Decision::Allow,
            status_class: 2,
            user_agent_family: "kubectl".to_owned(),
            ..AccessFact::default()
        };
        let at = Micros(self.issued_at(session).0 + 60_000_000);
        let name = (n / 7).checked_rem(self.names).map_or_else(String::new, |n| format!("web-{n}"));
        fact(at, &format!("a{n}"), &name, FactBody::Access(Box::new(body)))
    }
}

fn fact(at: Micros, id: &str, name: &str, body: FactBody) -> Fact<'static> {
    Fact {
        at,
        id: digest::id(&digest::of_bytes(id.as_bytes())),
        group: 0,
        ordinal: 0,
        rank: 0,
        name: Cow::Owned(name.to_owned()),
        body: Rc::new(body),
    }
}

/// Puts the facts of `load` in the place of what a scan left.
fn leave(world: &World, load: &Load) {
    let spill = world.at("spill");
    std::fs::create_dir_all(&spill).unwrap();
    let spill = SpillDir::new(spill);
    let make = |which: u64| -> Vec<Run> {
        let mut sorter = Sorter::new(&spill, 64 << 20);
        for n in (which..load.sessions).step_by(2) {
            sorter.push(&load.session(n)).unwrap();
        }
        for n in (which..load.rows).step_by(2) {
            sorter.push(&load.access(n)).unwrap();
        }
        sorter.finish()
    };
    let runs = std::thread::scope(|scope| {
        let halves = [0, 1].map(|which| scope.spawn(move || make(which)));
        halves.map(|half| half.join().unwrap()).into_iter().flatten().collect()
    });
    let mut files = Vec::new();
    let mut writer: RowWriter<FactRow, Vec<u8>> = RowWriter::new(Vec::new());
    let mut rows = 0;
    let mut put = |bytes: Vec<u8>| {
        let path = format!("of-0001/shard-0000/facts-{:016}.parquet", files.len());
        std::fs::write(world.at("facts").join(&path), &bytes).unwrap();
        let sha256 = digest::hex(&digest::of_bytes(&bytes), 64);
        files.push(serde_json::json!({
            "path": path, "at": "", "bytes": bytes.len(), "sha256": sha256,
        }));
    };
    records::rows(runs, &spill, |row| {
        if rows == 1 << 20 {
            let full = std::mem::replace(&mut writer, RowWriter::new(Vec::new()));
            put(full.finish()?.0);
            rows = 0;
        }
        rows += 1;
        Ok(writer.push(row)?)
    })
    .unwrap();
    put(writer.finish().unwrap().0);
    let path = world.at("facts/of-0001/shard-0000.json");
    let mut note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    note["facts"] = files.into();
    std::fs::write(path, note.to_string()).unwrap();
}

/// Peak of the resident memory of a process, in MiB; `None` once it is gone.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
}

#[test]
fn many_rows_and_sessions_are_joined_in_bounded_memory() {
    let given =
        std::env::var("OVERGRANT_SCALE").unwrap_or_else(|_| "40000,4000,700,3,10".to_owned());
    let numbers: Vec<u64> = given.split(',').map(|n| n.parse().unwrap()).collect();
    let &[rows, sessions, most, clusters, names] = numbers.as_slice() else {
        panic!("ROWS,SESSIONS,MIB,CLUSTERS,NAMES: {given}")
    };
    let load = Load { rows, sessions, clusters, names };
    let world = World::new(3);
    take_inventory(&world, clusters);
    let inventories = vec![location(&world.at("inventory"))];
    let window = Plan { since: Since::Days(14), inventories, ..world.plan("facts") };
    scan(&window, Some(Shard { number: 0, of: 1 }), &mut Deaf).unwrap();
    let begun = Instant::now();
    leave(&world, &load);
    let made = begun.elapsed();
    let begun = Instant::now();
    let program = std::env::var_os("OVERGRANT_SCALE_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_overgrant").into());
    let mut child = Command::new(program)
        .args(["audit", "--since", "14d", "--memory", "1024", "--format", "json", "--facts"])
        .arg(world.at("facts"))
        .arg("--inventory")
        .arg(world.at("inventory"))
        .arg("--out")
        .arg(world.at("out"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut most_used = 0;
    let status = loop {
        most_used = peak(child.id()).unwrap_or(0).max(most_used);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    let of = |path: &str| -> u64 {
        let path = world.at("out/tables").join(path).join("part-0.parquet");
        let file = std::fs::File::open(path).unwrap();
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).unwrap();
        u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap()
    };
    eprintln!(
        "scale: {rows} rows and {sessions} sessions in {clusters} clusters, {names} names: facts made in {made:.0?}, {} MiB; joined in {:.0?}, peak {most_used} MiB; \
         {} rows of use, {} sessions, {} permissions used by members",
        files_below(&world.at("facts")).iter().map(|p| p.metadata().unwrap().len()).sum::<u64>()
            >> 20,
        begun.elapsed(),
        of("api_access"),
        of("sessions"),
        of("member_usage"),
    );
    assert_eq!((of("api_access"), of("sessions")), (rows, sessions));
    assert!(most_used <= most, "{most_used} MiB");
}
