//! The inventory side of a run: snapshots, what they grant, and what they leave open.

use std::collections::BTreeMap;

use crate::facts::fold::Dated;
use crate::inventory::grants::timeline::with_changes;
use crate::inventory::grants::{Enumerated, enumerate};
use crate::inventory::principals::Principals;
use crate::inventory::{Problem, load, newest};
use crate::model::fact::ChangeFact;
use crate::model::inventory::{ClusterInventory, Kubernetes};
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};
use crate::rbac::policies::PolicyTable;

/// All clusters of a run, by ARN.
pub(super) struct World {
    pub(super) clusters: Vec<(ClusterInventory, Enumerated)>,
    pub(super) principals: Principals,
    problems: Vec<Problem>,
}

impl World {
    pub(super) fn new(
        files: &[(String, Vec<u8>)],
        policies: &PolicyTable,
        hide_secret_names: bool,
    ) -> Self {
        let mut loaded = load(files);
        if hide_secret_names {
            let objects = loaded.clusters.iter_mut().filter_map(|c| c.kubernetes.as_mut());
            objects.for_each(Kubernetes::hide_secret_names);
        }
        let snapshots = newest(&loaded.clusters);
        let principals = Principals::new(&snapshots);
        let clusters = snapshots
            .into_iter()
            .map(|snapshot| (snapshot.clone(), enumerate(snapshot, policies)))
            .collect();
        World { clusters, principals, problems: loaded.problems }
    }

    /// Applies what the logs say of grants: when they were made and widened, which are gone.
    pub(super) fn learn(&mut self, changes: &[Dated<ChangeFact>], policies: &PolicyTable) {
        for (cluster, found) in &mut self.clusters {
            let own: Vec<(Micros, &ChangeFact)> = changes
                .iter()
                .filter(|change| change.body.cluster == cluster.arn)
                .map(|change| (change.at, &change.body))
                .collect();
            *found = with_changes(cluster, policies, std::mem::take(found), &own);
        }
    }

    pub(super) fn newest_capture(&self) -> Option<Micros> {
        self.clusters.iter().map(|(cluster, _)| cluster.captured_at).max()
    }

    pub(super) fn arns(&self) -> Vec<String> {
        self.clusters.iter().map(|(cluster, _)| cluster.arn.clone()).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.clusters.iter().map(|(cluster, _)| self.name_of(cluster)).collect()
    }

    /// The name, and where it stands where another cluster has the same.
    pub(super) fn name_of(&self, cluster: &ClusterInventory) -> String {
        let namesakes = self.clusters.iter().filter(|(other, _)| other.name == cluster.name);
        if namesakes.count() > 1 {
            format!("{} ({}, {})", cluster.name, cluster.account, cluster.region)
        } else {
            cluster.name.clone()
        }
    }

    pub(super) fn captured(&self) -> BTreeMap<String, String> {
        self.clusters
            .iter()
            .map(|(cluster, _)| (cluster.arn.clone(), cluster.captured_at.to_rfc3339()))
            .collect()
    }

    pub(super) fn holes(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (cluster, _) in &self.clusters {
            for hole in &cluster.holes {
                all.push(format!("{}: {}: {}", cluster.name, hole.what, hole.why));
            }
        }
        all.extend(self.problems.iter().map(|p| format!("{}: {}", p.file, p.what)));
        all
    }

    /// What a person must know before acting.
    pub(super) fn warnings(&self, window: Window) -> Vec<String> {
        let mut all = self.holes();
        if self.clusters.is_empty() {
            all.push(
                "no inventory was given: nothing is judged; add --inventory DIR to see verdicts"
                    .to_owned(),
            );
        }
        for (cluster, enumerated) in &self.clusters {
            let age = (window.until.0 - cluster.captured_at.0) / MICROS_PER_HOUR;
            if age > 24 {
                let name = &cluster.name;
                all.push(format!("the inventory of {name} is {age} h older than the window's end"));
            }
            for note in &enumerated.notes {
                all.push(format!("{}: {}: {}", cluster.name, note.code, note.what));
            }
        }
        all
    }
}
