//! Finds the snapshots among the inventory files and reads each file of them.
//!
//! A folder that holds `inventory.json` or `cluster.json` is one snapshot of one cluster, whatever
//! its name and depth. Elements that do not read are problems, told one by one; the rest of the file
//! counts, and the file is named a hole, because a lost element may be a grant.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{aws, kubernetes};
use crate::model::arn::Arn;
use crate::model::inventory::{ClusterInventory, Hole};
use crate::model::tally::example_from_bytes;
use crate::model::time::Micros;

/// Something in the inventory that does not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path of the file, as given.
    pub file: String,
    /// What is wrong, for people; escaped.
    pub what: String,
}

/// All snapshots that were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// By ARN, then time.
    pub clusters: Vec<ClusterInventory>,
    /// In the order of files.
    pub problems: Vec<Problem>,
}

/// What the readers of single files use to say what they lost.
#[derive(Debug, Default)]
pub struct Notes {
    file: String,
    problems: Vec<Problem>,
    lost: bool,
}

impl Notes {
    /// True when something was lost.
    #[must_use]
    pub fn any_lost(&self) -> bool {
        self.lost
    }

    /// Something of the current file is lost.
    pub fn lost(&mut self, what: impl AsRef<str>) {
        self.lost = true;
        let what = example_from_bytes(what.as_ref().as_bytes());
        self.problems.push(Problem { file: self.file.clone(), what });
    }
}

/// Reads all snapshots of `files`: relative paths with `/`, and their bytes.
#[must_use]
pub fn load(files: &[(String, Vec<u8>)]) -> Loaded {
    let mut folders: BTreeMap<&str, BTreeMap<&str, &[u8]>> = BTreeMap::new();
    for (path, _) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if matches!(name, "inventory.json" | "cluster.json") {
            folders.entry(folder).or_default();
        }
    }
    for (path, bytes) in files {
        let mut folder = path.as_str();
        while let Some((parent, _)) =
            folder.rsplit_once('/').or((!folder.is_empty()).then_some(("", "")))
        {
            folder = parent;
            if let Some(snapshot) = folders.get_mut(folder) {
                let inside = path.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
                snapshot.insert(inside, bytes);
                break;
            }
        }
    }
    let mut loaded = Loaded::default();
    for (folder, snapshot) in folders {
        let mut notes = Notes::default();
        if let Some(cluster) = read_snapshot(folder, &snapshot, &mut notes) {
            loaded.clusters.push(cluster);
        }
        loaded.problems.append(&mut notes.problems);
    }
    loaded.clusters.sort_by(|a, b| (&a.arn, a.captured_at).cmp(&(&b.arn, b.captured_at)));
    loaded
}

/// The newest snapshot of each cluster, by ARN.
#[must_use]
pub fn newest(clusters: &[ClusterInventory]) -> Vec<&ClusterInventory> {
    let mut by_arn: BTreeMap<&str, &ClusterInventory> = BTreeMap::new();
    for cluster in clusters {
        let slot = by_arn.entry(&cluster.arn).or_insert(cluster);
        if cluster.captured_at >= slot.captured_at {
            *slot = cluster;
        }
    }
    by_arn.into_values().collect()
}

struct Snapshot<'a, 'n> {
    folder: &'a str,
    files: &'a BTreeMap<&'a str, &'a [u8]>,
    notes: &'n mut Notes,
    holes: Vec<Hole>,
}

impl Snapshot<'_, '_> {
    /// Reads `name` with `read`; a missing or broken file is a hole.
    fn file<T>(&mut self, name: &str, read: impl FnOnce(&Value, &mut Notes) -> T) -> Option<T> {
        let Some(bytes) = self.files.get(name) else {
            self.hole(name, "the file is missing");
            return None;
        };
        self.notes.file = join(self.folder, name);
        self.notes.lost = false;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match serde_json::from_slice(bytes) {
            Ok(value) => {
                let read = read(&value, self.notes);
                if self.notes.lost {
                    self.hole(name, "some of its elements do not read");
                }
                Some(read)
            }
            Err(error) => {
                self.notes.lost(error.to_string());
                self.hole(name, "the file does not read");
                None
            }
        }
    }

    fn hole(&mut self, what: &str, why: &str) {
        // Whoever took the snapshot knows better why a file is not there.
        if self.holes.iter().any(|hole| hole.what == what) {
            return;
        }
        self.holes.push(Hole { what: what.to_owned(), why: why.to_owned() });
    }
}

fn read_snapshot(
    folder: &str,
    files: &BTreeMap<&str, &[u8]>,
    notes: &mut Notes,
) -> Option<ClusterInventory> {
    let mut snapshot = Snapshot { folder, files, notes, holes: Vec::new() };
    let mut header =
        snapshot.file("inventory.json", |value, _| aws::header(value)).unwrap_or_default();
    snapshot.holes.append(&mut header.holes);
    let described = snapshot.file("cluster.json", aws::cluster);
    let (cluster_arn, cluster) = described.flatten().unzip();
    let arn = header.cluster_arn.or(cluster_arn).unwrap_or_default();
    let parsed = Arn::parse(&arn).filter(|arn| arn.resource.starts_with("cluster/"));
    let (Some(parsed), Some(captured_at)) = (parsed, header.captured_at) else {
        let what = if header.captured_at.is_none() { "captured_at" } else { "cluster_arn" };
        notes.file = join(folder, "inventory.json");
        notes.lost(format!("{what} is missing or does not read: this cluster cannot be judged"));
        return None;
    };
    let access_entries = snapshot.file("access-entries.json", aws::access_entries);
    let pod_identities = snapshot.file("pod-identity-associations.json", aws::pod_identities);
    let identity_providers = snapshot.file("identity-provider-configs.json", aws::oidc_providers);
    let iam_roles = snapshot.file("iam-roles.json", aws::iam_principals);
    let iam_users = snapshot.file("iam-users.json", aws::iam_principals);
    let api_resources = snapshot.file("api-resources.json", aws::api_resources);
    let trails = snapshot
        .files
        .contains_key("trails.json")
        .then(|| snapshot.file("trails.json", aws::trails));
    let kubernetes = read_kubernetes(&mut snapshot);
    let mut holes = snapshot.holes;
    holes.sort();
    holes.dedup();
    Some(ClusterInventory {
        name: parsed.resource.trim_start_matches("cluster/").to_owned(),
        account: parsed.account.to_owned(),
        region: parsed.region.to_owned(),
        captured_at,
        cluster,
        access_entries,
        pod_identities,
        identity_providers,
        iam_roles,
        iam_users,
        kubernetes,
        api_resources,
        trails: trails.flatten(),
        holes,
        whole: header.whole,
        arn,
    })
}

/// `kubernetes.json`, `kubernetes-*.json` and everything under `kubernetes/`.
fn read_kubernetes(snapshot: &mut Snapshot<'_, '_>) -> Option<crate::model::inventory::Kubernetes> {
    let names: Vec<String> = snapshot
        .files
        .keys()
        .filter(|name| name.starts_with("kubernetes") && name.ends_with("json"))
        .map(|name| (*name).to_owned())
        .collect();
    if names.is_empty() {
        snapshot.hole("kubernetes.json", "the file is missing");
        return None;
    }
    let mut reader = kubernetes::Reader::default();
    for name in names {
        snapshot.notes.file = join(snapshot.folder, &name);
        snapshot.notes.lost = false;
        let bytes = snapshot.files.get(name.as_str()).copied().unwrap_or_default();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
            match value {
                Ok(value) => reader.take(&value, snapshot.notes),
                Err(error) => snapshot.notes.lost(error.to_string()),
            }
        }
        if snapshot.notes.lost {
            snapshot.hole(&name, "some of its objects do not read");
        }
    }
    Some(reader.finish())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A field under its camelCase name, or as other tools capitalise it.
#[must_use]
pub fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    let found = object.get(name).or_else(|| {
        object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    });
    found.filter(|value| !value.is_null())
}

/// A text field.
#[must_use]
pub fn text(value: &Value, name: &str) -> Option<String> {
    match field(value, name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A list of text; empty when absent. Sorted, without repetition.
#[must_use]
pub fn texts(value: &Value, name: &str) -> Vec<String> {
    let list = field(value, name).and_then(Value::as_array);
    let mut texts: Vec<String> =
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    texts.sort();
    texts.dedup();
    texts
}

/// A time: RFC 3339, or epoch seconds as some tools print them.
#[must_use]
pub fn time(value: &Value, name: &str) -> Option<Micros> {
    match field(value, name)? {
        Value::String(text) => Micros::parse(text),
        Value::Number(number) => {
            let (seconds, fraction) = if let Some(seconds) = number.as_i64() {
                (seconds, 0.0)
            } else {
                let float = number.as_f64().filter(|f| f.abs() < 1e11)?;
                (format!("{:.0}", float.trunc()).parse().ok()?, float.fract())
            };
            let micros: i64 = format!("{:.0}", fraction * 1e6).parse().ok()?;
            seconds.checked_mul(1_000_000)?.checked_add(micros).map(Micros)
        }
        _ => None,
    }
}

/// The elements of an array, or of the array under `name`.
#[must_use]
pub fn list<'a>(value: &'a Value, name: &str) -> Option<&'a Vec<Value>> {
    value.as_array().or_else(|| field(value, name).and_then(Value::as_array))
}

#[cfg(test)]
mod tests;
