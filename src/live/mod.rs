//! Asks AWS and Kubernetes what is granted now: one snapshot per cluster.
//!
//! Input: names of clusters. Output: the files of a snapshot in memory, as `aws` and `kubectl` print
//! them, and what could not be read. A file is whole or it is not there: half a list would look like
//! grants that do not exist. Every hole names the permission that was missing. Async; the only room
//! that knows the AWS APIs beside S3 and the Kubernetes API. Nothing is ever written to either.
//! Sources: <https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html>,
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

mod answer;
pub mod digest_keys;
mod eks;
mod iam;
mod kubernetes;
pub mod lookup;
mod reach;
mod token;
pub mod trails;

pub use reach::Reach;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use aws_config::SdkConfig;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::inventory::load;
use crate::inventory::principals::arns_of_grants;
use crate::model::arn::Arn;
use crate::model::inventory::{AuthMode, Hole};
use crate::model::time::Micros;

/// Clusters at once; each makes up to [`LivePlan::concurrency`] calls at once.
const CLUSTERS_AT_ONCE: usize = 4;
/// Files of which an empty list says that there is nothing: they were asked for one by one.
const WHOLE: [&str; 2] = ["iam-roles.json", "iam-users.json"];

/// What to take and how to reach it.
#[derive(Debug, Clone)]
pub struct LivePlan {
    /// Names or ARNs.
    pub clusters: Vec<String>,
    /// Where names are looked for; empty for the region of the environment. An ARN brings its own.
    pub regions: Vec<String>,
    /// Kubeconfig, in place of the cluster's endpoint and a token of one's own.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Calls at once.
    pub concurrency: usize,
    /// The clock, read by `cli` alone.
    pub now: fn() -> Micros,
    /// As whom, and where AWS is.
    pub reach: Reach,
}

/// What happens, for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many are to be done.
    Total(u64),
    /// One more is done.
    Done,
}

/// A snapshot, not yet written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Cluster ARN.
    pub arn: String,
    /// For people, and for the folder.
    pub name: String,
    /// Of the cluster.
    pub region: String,
    /// Of the cluster.
    pub account: String,
    /// Contents by file name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What could not be read, and why.
    pub holes: Vec<Hole>,
    /// What was read, for people: things and how many.
    pub counts: Vec<(&'static str, usize)>,
}

/// Why no snapshot of a cluster could be taken.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Nothing tells where the cluster is.
    #[error("{cluster}: no region is given; add --region or set AWS_REGION")]
    NoRegion {
        /// As given.
        cluster: String,
    },
    /// It is in none of the regions.
    #[error("{cluster}: no such cluster in {regions}")]
    NotFound {
        /// As given.
        cluster: String,
        /// Comma-joined.
        regions: String,
    },
    /// The one call that everything else hangs on failed.
    #[error("{cluster}: {why}")]
    Describe {
        /// As given.
        cluster: String,
        /// Which permission, or what AWS said.
        why: String,
    },
}

/// A cluster that exists, and how it is asked.
struct Found {
    config: SdkConfig,
    client: aws_sdk_eks::Client,
    described: eks::Described,
}

/// Takes one snapshot of every cluster, some at once, in the order asked for; a cluster that fails does
/// not keep the others back.
pub async fn take(plan: &LivePlan, step: &mut dyn FnMut(Step)) -> Vec<Result<Taken, LiveError>> {
    let located: Vec<Vec<Result<Found, LiveError>>> = stream::iter(&plan.clusters)
        .map(|cluster| locate(plan, cluster))
        .buffered(CLUSTERS_AT_ONCE)
        .collect()
        .await;
    let mut seen = BTreeSet::new();
    let each: Vec<Result<Found, LiveError>> = located
        .into_iter()
        .flatten()
        .filter(|one| one.as_ref().map_or(true, |found| seen.insert(found.described.arn.clone())))
        .collect();
    step(Step::Total(u64::try_from(each.len()).unwrap_or(u64::MAX)));
    let step = &RefCell::new(step);
    stream::iter(each)
        .map(async |one| {
            let taken = match one {
                Ok(found) => Ok(snapshot(plan, found).await),
                Err(error) => Err(error),
            };
            (step.borrow_mut())(Step::Done);
            taken
        })
        .buffered(CLUSTERS_AT_ONCE)
        .collect()
        .await
}

/// Finds a cluster: an ARN where it says, as the role of its account; a name in every region and as
/// every role.
async fn locate(plan: &LivePlan, cluster: &str) -> Vec<Result<Found, LiveError>> {
    let arn = Arn::parse(cluster).filter(|arn| arn.service == "eks");
    let name = arn.map_or(cluster, |arn| arn.resource.trim_start_matches("cluster/"));
    let regions: Vec<Option<String>> = match arn {
        Some(arn) => vec![Some(arn.region.to_owned())],
        None if plan.regions.is_empty() => vec![None],
        None => plan.regions.iter().cloned().map(Some).collect(),
    };
    let roles = match arn {
        Some(arn) => vec![plan.reach.role_of(arn.account)],
        None => plan.reach.everybody(),
    };
    let failed = |why| LiveError::Describe { cluster: cluster.to_owned(), why };
    let (mut all, mut tried) = (Vec::new(), BTreeSet::new());
    for role in roles {
        for region in &regions {
            let config = match plan.reach.config(region.clone(), role).await {
                Ok(config) => config,
                Err(why) => {
                    all.push(Err(failed(why)));
                    break;
                }
            };
            let Some(region) = config.region().map(|region| region.as_ref().to_owned()) else {
                all.push(Err(LiveError::NoRegion { cluster: cluster.to_owned() }));
                continue;
            };
            let client = aws_sdk_eks::Client::new(&config);
            match eks::describe(&client, name).await {
                Ok(Some(described)) if arn.is_some() && described.arn != cluster => {
                    let why = format!("the credentials are of another account: {}", described.arn);
                    all.push(Err(failed(why)));
                }
                Ok(Some(described)) => all.push(Ok(Found { config, client, described })),
                Ok(None) => {
                    tried.insert(region);
                }
                Err(why) => all.push(Err(failed(why))),
            }
        }
    }
    if all.is_empty() {
        let regions = tried.into_iter().collect::<Vec<_>>().join(", ");
        all.push(Err(LiveError::NotFound { cluster: cluster.to_owned(), regions }));
    }
    all
}

/// Everything of one cluster. Kubernetes comes first: its token is short-lived, and it names roles.
async fn snapshot(plan: &LivePlan, found: Found) -> Taken {
    let Found { config, client, described } = found;
    let (config, client) = (&config, &client);
    let captured_at = (plan.now)();
    let mut making = Making::default();
    making.put("cluster.json", &described.json);

    let kubernetes = match kubernetes::connect(plan, config, &described).await {
        Ok(client) => kubernetes::read(&client).await,
        Err(why) => kubernetes::Read::unreachable(&why),
    };
    making.counts.extend(kubernetes.counts);
    making.holes.extend(kubernetes.holes);
    if let Some(objects) = kubernetes.objects {
        making.put("kubernetes.json", &objects);
    }
    if let Some(resources) = kubernetes.api_resources {
        making.put("api-resources.json", &resources);
    }

    if described.auth_mode == AuthMode::ConfigMap {
        // The API refuses to list entries in this mode; there are none.
        making.put("access-entries.json", &json!([]));
    } else {
        let entries = eks::access_entries(client, &described, plan.concurrency).await;
        making.list("access-entries.json", "access entries", entries);
    }
    let pods = eks::pod_identities(client, &described, plan.concurrency).await;
    making.list("pod-identity-associations.json", "Pod Identity associations", pods);
    let providers = eks::identity_providers(client, &described).await;
    making.list("identity-provider-configs.json", "identity providers", providers);

    making.put("inventory.json", &header(&described.arn, captured_at, &[]));
    let seen = making.principals();
    let iam =
        iam::read(&aws_sdk_iam::Client::new(config), &described, &seen, plan.concurrency).await;
    making.holes.extend(iam.holes);
    making.list("iam-roles.json", "IAM roles", Ok(iam.roles));
    making.list("iam-users.json", "IAM users", Ok(iam.users));

    match trails::read(&aws_sdk_cloudtrail::Client::new(config)).await {
        Ok(trails) => making.put("trails.json", &trails),
        Err(why) => making.hole("trails.json", why),
    }

    making.holes.sort();
    making.holes.dedup();
    let header = header(&described.arn, captured_at, &making.holes);
    making.put("inventory.json", &header);
    Taken {
        arn: described.arn,
        name: described.name,
        region: described.region,
        account: described.account,
        files: making.files,
        holes: making.holes,
        counts: making.counts,
    }
}

fn header(arn: &str, captured_at: Micros, holes: &[Hole]) -> Value {
    let holes: Vec<Value> =
        holes.iter().map(|hole| json!({ "what": hole.what, "why": hole.why })).collect();
    json!({
        "captured_at": captured_at.to_rfc3339(),
        "cluster_arn": arn,
        "tool": concat!("overgrant ", env!("CARGO_PKG_VERSION")),
        "whole": WHOLE,
        "holes": holes,
    })
}

/// A snapshot in the making.
#[derive(Debug, Default)]
struct Making {
    files: BTreeMap<String, Vec<u8>>,
    holes: Vec<Hole>,
    counts: Vec<(&'static str, usize)>,
}

impl Making {
    fn put(&mut self, file: &str, value: &Value) {
        // A JSON value always serialises.
        let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
        bytes.push(b'\n');
        self.files.insert(file.to_owned(), bytes);
    }

    fn list(&mut self, file: &str, what: &'static str, list: Result<Vec<Value>, String>) {
        match list {
            Ok(list) => {
                self.counts.push((what, list.len()));
                self.put(file, &Value::Array(list));
            }
            Err(why) => self.hole(file, why),
        }
    }

    fn hole(&mut self, what: &str, why: String) {
        self.holes.push(Hole { what: what.to_owned(), why });
    }

    /// Every IAM ARN that what was read so far mentions, as whoever reads the snapshot will see it.
    fn principals(&self) -> BTreeSet<String> {
        let files: Vec<(String, Vec<u8>)> =
            self.files.iter().map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
        let loaded = load(&files);
        loaded.clusters.iter().flat_map(arns_of_grants).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_those_that_grants_mention() {
        let mut making = Making::default();
        making.put("inventory.json", &header("arn:aws:eks:r:1:cluster/c", Micros(0), &[]));
        making.put(
            "access-entries.json",
            &json!([{"accessEntry": {"principalArn": "arn:aws:iam::1:role/p/a"}}]),
        );
        making.put(
            "pod-identity-associations.json",
            &json!([{"association": {"namespace": "n", "serviceAccount": "s",
                "roleArn": "arn:aws:iam::1:role/b", "targetRoleArn": "arn:aws:iam::2:role/c"}}]),
        );
        making.put(
            "kubernetes.json",
            &json!({"kind": "List", "items": [
                {"kind": "ServiceAccount", "metadata": {"name": "s", "namespace": "n",
                    "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/d"}}},
                {"kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"},
                 "data": {"mapUsers": "- userarn: arn:aws:iam::1:user/e\n"}},
            ]}),
        );
        let names: Vec<String> = making
            .principals()
            .iter()
            .map(|arn| arn.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(names, ["b", "d", "a", "e", "c"]);
    }
}
