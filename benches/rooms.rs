//! One group per room, in bytes or elements per second. `cargo bench` needs nothing else.
//!
//! Input is generated, the same in every run. Ratios between groups of one run say more than times:
//! `decode/inflate` is what any reader of these logs has to pay.

#![expect(missing_docs, reason = "the macro that names the group takes no comment")]

mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use overgrant::decode::gunzip::{Inflater, Limits};
use overgrant::decode::split;
use overgrant::extract::{Batch, Extractor};
use overgrant::facts::FactsError;
use overgrant::facts::fold::{FactSink, Folded, Issued, fold};
use overgrant::facts::sort::{Sorter, SpillDir};
use overgrant::inventory::grants::enumerate;
use overgrant::inventory::load;
use overgrant::join::sessions::Sessions;
use overgrant::model::fact::{Fact, FactBody};
use overgrant::model::permission::{Permission, Rule, Scope, ScopedRule};
use overgrant::rbac::cells::{Universe, cells};
use overgrant::rbac::policies::PolicyTable;
use overgrant::rbac::{covers, reason};
use overgrant::source::key::{Prune, read_key};
use overgrant::table::Row;
use overgrant::table::parquet::RowWriter;
use overgrant::table::rows::access::ApiAccessRow;

fn bytes(n: usize) -> Throughput {
    Throughput::Bytes(u64::try_from(n).unwrap_or(u64::MAX))
}

fn elements(n: usize) -> Throughput {
    Throughput::Elements(u64::try_from(n).unwrap_or(u64::MAX))
}

fn source(c: &mut Criterion) {
    let keys: Vec<String> = (0..1000)
        .map(|n| {
            format!(
                "p/AWSLogs/o-x/111122223333/CloudTrail/us-west-2/2026/06/{:02}/f{n}.json.gz",
                n % 28 + 1
            )
        })
        .collect();
    let prune = Prune::window(overgrant::model::time::Micros(0), overgrant::model::time::Micros(1));
    let mut group = c.benchmark_group("source");
    group.throughput(elements(keys.len()));
    group.bench_function("prune keys", |b| {
        b.iter(|| {
            keys.iter().filter(|key| prune.reason(&read_key(black_box(key))).is_none()).count()
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let text = support::cloudtrail(4000, 5, 1);
    let object = support::gzip(text.as_bytes());
    let mut group = c.benchmark_group("decode");
    group.throughput(bytes(text.len()));
    let mut inflater = Inflater::default();
    group.bench_function("inflate", |b| {
        b.iter(|| inflater.inflate(black_box(&object), Limits::default()).map_or(0, <[u8]>::len));
    });
    group.bench_function("split", |b| {
        let inner = text.as_bytes().get(11..text.len() - 1).unwrap_or_default();
        b.iter(|| split::elements(black_box(inner)).count());
    });
    group.finish();
}

fn extract(c: &mut Criterion) {
    let mut group = c.benchmark_group("extract");
    for (name, relevant) in [("cloudtrail 5 % relevant", 5), ("cloudtrail 40 % relevant", 40)] {
        let text = support::cloudtrail(4000, relevant, 1);
        let object = support::gzip(text.as_bytes());
        group.throughput(bytes(text.len()));
        let mut extractor = Extractor::new(support::context());
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                Batch::default,
                |batch| {
                    extractor.object("k", black_box(&object), batch, &mut |fact| {
                        black_box(fact);
                    });
                },
                BatchSize::LargeInput,
            );
        });
    }
    let events = support::audit_events(4000, 1);
    let (object, _) = support::firehose(&events);
    group.throughput(bytes(events.iter().map(String::len).sum()));
    let mut extractor = Extractor::new(support::context());
    group.bench_function("audit through firehose", |b| {
        b.iter_batched_ref(
            Batch::default,
            |batch| {
                extractor.object("k", black_box(&object), batch, &mut |fact| {
                    black_box(fact);
                });
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Counts what it is given.
#[derive(Default)]
struct Counting(usize);

impl FactSink for Counting {
    fn take(&mut self, _: Folded) -> Result<(), FactsError> {
        self.0 += 1;
        Ok(())
    }
}

fn facts_of(object: &[u8]) -> Vec<Fact<'static>> {
    let mut facts = Vec::new();
    let mut batch = Batch::default();
    let mut extractor = Extractor::new(support::context());
    extractor.object("k", object, &mut batch, &mut |fact| facts.push(fact.into_owned()));
    facts
}

fn facts(c: &mut Criterion) {
    let facts = facts_of(&support::firehose(&support::audit_events(20_000, 2)).0);
    let Ok(dir) = tempfile::tempdir() else { return };
    let spill = SpillDir::new(dir.path().to_path_buf());
    let mut group = c.benchmark_group("facts");
    group.throughput(elements(facts.len()));
    for (name, buffer) in
        [("sort and fold in memory", 64 << 20), ("sort and fold spilling", 1 << 20)]
    {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut sorter = Sorter::new(&spill, buffer);
                for fact in &facts {
                    sorter.push(black_box(fact)).ok();
                }
                let mut sink = Counting::default();
                fold(sorter.finish(), &spill, &mut sink).ok();
                sink.0
            });
        });
    }
    group.finish();
}

fn join(c: &mut Criterion) {
    let facts = facts_of(&support::gzip(support::cloudtrail(20_000, 60, 3).as_bytes()));
    let issued: Vec<Issued> = facts
        .iter()
        .filter_map(|fact| match &*fact.body {
            FactBody::Session(body) => Some(Issued { at: fact.at, body: (**body).clone() }),
            _ => None,
        })
        .collect();
    let mut group = c.benchmark_group("join");
    group.throughput(elements(issued.len()));
    group.bench_function("index sessions", |b| {
        b.iter_batched(|| issued.clone(), Sessions::new, BatchSize::LargeInput);
    });
    group.finish();
}

fn rbac(c: &mut Criterion) {
    let rules: Vec<ScopedRule> = PolicyTable::builtin()
        .published()
        .filter(|(name, _)| *name == "AmazonEKSAdminPolicy")
        .flat_map(|(_, rules)| rules.iter())
        .map(|rule: &Rule| ScopedRule { scope: Scope::Cluster, rule: rule.clone() })
        .collect();
    let permission = Permission {
        verb: "patch".to_owned(),
        api_group: "networking.k8s.io".to_owned(),
        resource: "ingresses".to_owned(),
        namespace: "shop".to_owned(),
        ..Permission::default()
    };
    let universe = Universe::new(
        None,
        &(0..50).map(|n| format!("ns-{n}")).collect::<Vec<_>>(),
        std::iter::empty(),
    );
    let text = r#"RBAC: allowed by RoleBinding "team/ns" of ClusterRole "edit" to Group "team""#;
    let mut group = c.benchmark_group("rbac");
    group.bench_function("covers, Admin policy", |b| {
        b.iter(|| covers(black_box(&rules), black_box(&permission)));
    });
    group.bench_function("cells, Admin policy", |b| {
        b.iter(|| cells(black_box(&rules), black_box(&universe)));
    });
    group.bench_function("parse a reason", |b| b.iter(|| reason::parse(black_box(text))));
    group.finish();
}

fn inventory(c: &mut Criterion) {
    let entries: Vec<String> = (0..500)
        .map(|n| format!(r#"{{"accessEntry":{{"principalArn":"arn:aws:iam::111122223333:role/r{n}","kubernetesGroups":["g{n}"],"username":"u{n}","type":"STANDARD","createdAt":"2026-01-01T00:00:00Z"}},"associatedAccessPolicies":[{{"policyArn":"arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy","accessScope":{{"type":"cluster"}}}}]}}"#))
        .collect();
    let header =
        format!(r#"{{"captured_at":"2026-06-02T00:00:00Z","cluster_arn":"{}"}}"#, support::CLUSTER);
    let files = [
        ("inventory.json".to_owned(), header.into_bytes()),
        ("access-entries.json".to_owned(), format!("[{}]", entries.join(",")).into_bytes()),
    ];
    let mut group = c.benchmark_group("inventory");
    group.throughput(elements(entries.len()));
    group.bench_function("load and enumerate entries", |b| {
        b.iter(|| {
            let loaded = load(black_box(&files));
            loaded
                .clusters
                .iter()
                .map(|c| enumerate(c, PolicyTable::builtin()).grants.len())
                .sum::<usize>()
        });
    });
    group.finish();
}

fn table(c: &mut Criterion) {
    let rows: Vec<ApiAccessRow> = (0..20_000_i64)
        .map(|n| ApiAccessRow {
            cluster: support::CLUSTER.to_owned(),
            hour: overgrant::model::time::Micros(n / 500 * 3_600_000_000),
            principal_arn: format!("arn:aws:iam::111122223333:role/role-{}", n % 40),
            verb: "list".to_owned(),
            resource: "pods".to_owned(),
            namespace: format!("ns-{}", n % 12),
            decision: "allow".to_owned(),
            count: n,
            ..ApiAccessRow::default()
        })
        .collect();
    let mut group = c.benchmark_group("table");
    group.throughput(elements(rows.len()));
    group.bench_function("api_access to Parquet", |b| {
        b.iter(|| {
            let mut writer = RowWriter::<ApiAccessRow, _>::new(Vec::new());
            for row in &rows {
                writer.push(row.clone()).ok();
            }
            writer.finish().map_or(0, |(bytes, _)| bytes.len())
        });
    });
    group.bench_function("api_access to Arrow", |b| {
        b.iter(|| ApiAccessRow::to_batch(black_box(&rows)).map_or(0, |batch| batch.num_rows()));
    });
    group.finish();
}

criterion_group! {
    name = rooms;
    config = Criterion::default().sample_size(20);
    targets = source, decode, extract, facts, inventory, rbac, join, table
}
criterion_main!(rooms);
