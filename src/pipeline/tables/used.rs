//! Rows of `grant_usage` and `member_usage`, and those of `grant_members` that were seen: added cluster by
//! cluster as each is judged, and brought into the order of the tables without being held.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Inputs;
use crate::analyse::evidence::Evidence;
use crate::facts::FactsError;
use crate::facts::ordered::{Key, Ordered, ROW_BUFFER};
use crate::join::cluster::Cluster;
use crate::join::usage::{Usage, Use};
use crate::model::fact::Via;
use crate::model::permission::Permission;
use crate::model::time::{Day, Micros};
use crate::pipeline::access::digest_of_groups;
use crate::pipeline::{PipelineError, finish};
use crate::table::rows::access::{GrantUsageRow, MemberUsageRow};
use crate::table::rows::grants::GrantMemberRow;

/// What was used of the clusters that are judged.
pub(super) struct UsedRows<'a> {
    members: Vec<GrantMemberRow>,
    of_grants: Ordered<'a>,
    of_members: Ordered<'a>,
}

/// What a row is about: of whom, and which permission used how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Used<T> {
    of: T,
    via: Via,
    permission: Permission,
}

/// A member, as the table names it: cluster, principal id, username, digest of the groups.
type Who = (String, String, String, String);

/// Use added up over several [`Use`]s.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    first: Option<Micros>,
    last: Option<Micros>,
    /// Distinct.
    days: BTreeSet<Day>,
    count: i64,
    /// The authorizer named the grant.
    credited: bool,
    /// The rules of the grant cover it.
    covered: bool,
    /// Grants that cover it, by number.
    grants: BTreeSet<usize>,
}

impl Sum {
    fn of(used: &Use) -> Self {
        Sum {
            first: Some(used.first),
            last: Some(used.last),
            days: used.days.iter().copied().collect(),
            count: used.count,
            ..Sum::default()
        }
    }

    fn add(&mut self, other: Sum) {
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.days.extend(other.days);
        self.count += other.count;
        self.credited |= other.credited;
        self.covered |= other.covered;
        self.grants.extend(other.grants);
    }

    fn days(&self) -> i64 {
        i64::try_from(self.days.len()).unwrap_or(i64::MAX)
    }
}

impl<'a> UsedRows<'a> {
    pub(super) fn new(inputs: &Inputs<'a>) -> Self {
        let ordered = || Ordered::new(inputs.spill, ROW_BUFFER);
        UsedRows { members: Vec::new(), of_grants: ordered(), of_members: ordered() }
    }

    /// Takes what was used of a cluster.
    pub(super) fn add(
        &mut self,
        cluster: &Cluster<'_>,
        usage: &Usage,
        evidence: &[Evidence<'_>],
    ) -> Result<(), FactsError> {
        self.add_members(cluster, usage, evidence);
        let whose: Vec<Who> = usage
            .members
            .iter()
            .map(|member| {
                let (id, name) = (member.principal_id.clone(), member.username.clone());
                (cluster.arn.to_owned(), id, name, digest_of_groups(&member.groups))
            })
            .collect();
        for used in &usage.uses {
            for &(idx, credited) in &used.grants {
                let Some(grant) = cluster.grants.get(idx) else { continue };
                let covered = cluster.allows(idx, &used.permission);
                let sum = Sum { credited, covered, ..Sum::of(used) };
                put(&mut self.of_grants, (&[&grant.id], &grant.id), used, &sum)?;
            }
            let Some(who) = whose.get(used.member) else { continue };
            let grants = used.grants.iter().map(|(grant, _)| *grant).collect();
            let names = [&who.0, &who.1, &who.2, &who.3];
            put(&mut self.of_members, (&names, who), used, &Sum { grants, ..Sum::of(used) })?;
        }
        Ok(())
    }

    fn add_members(&mut self, cluster: &Cluster<'_>, usage: &Usage, evidence: &[Evidence<'_>]) {
        for (grant, seen) in cluster.grants.iter().zip(evidence) {
            let mut by_member: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
            for used in seen.uses.iter().filter_map(|&used| usage.uses.get(used)) {
                let Some(member) = usage.members.get(used.member) else { continue };
                let key = (member.principal_id.as_str(), member.username.as_str());
                by_member.entry(key).or_default().add(Sum::of(used));
            }
            for ((principal_id, username), sum) in by_member {
                self.members.push(GrantMemberRow {
                    grant_id: grant.id.clone(),
                    principal_id: principal_id.to_owned(),
                    username: username.to_owned(),
                    via_identity: grant.identity_kind.map_or("", |kind| kind.as_str()).to_owned(),
                    via_group: grant.group.clone().unwrap_or_default(),
                    source: "observed".to_owned(),
                    open_ended: grant.open_ended,
                    used_days: sum.days(),
                    first_used: sum.first,
                    last_used: sum.last,
                });
            }
        }
    }

    /// Writes the two tables; returns the members that were seen.
    pub(super) fn write(self, inputs: &Inputs<'_>) -> Result<Vec<GrantMemberRow>, PipelineError> {
        let mut writer = inputs.out.table_writer::<GrantUsageRow>()?;
        each_sum(self.of_grants, |Used { of, via, permission: p }, sum| {
            Ok(writer.push(GrantUsageRow {
                grant_id: of,
                via: via.as_str().to_owned(),
                verb: p.verb,
                api_group: p.api_group,
                resource: p.resource,
                subresource: p.subresource,
                namespace: p.namespace,
                name: p.name,
                path: p.path,
                credited: sum.credited,
                covered: sum.covered,
                first_used: sum.first.unwrap_or_default(),
                last_used: sum.last.unwrap_or_default(),
                used_days: sum.days(),
                count: sum.count,
            })?)
        })?;
        finish(writer)?;
        let mut writer = inputs.out.table_writer::<MemberUsageRow>()?;
        each_sum(self.of_members, |Used { of, via, permission: p }: Used<Who>, sum| {
            let (cluster, principal_id, username, groups_digest) = of;
            Ok(writer.push(MemberUsageRow {
                cluster,
                principal_id,
                username,
                groups_digest,
                via: via.as_str().to_owned(),
                verb: p.verb,
                api_group: p.api_group,
                resource: p.resource,
                subresource: p.subresource,
                namespace: p.namespace,
                name: p.name,
                path: p.path,
                grants: i64::try_from(sum.grants.len()).unwrap_or(i64::MAX),
                first_used: sum.first.unwrap_or_default(),
                last_used: sum.last.unwrap_or_default(),
                used_days: sum.days(),
                count: sum.count,
            })?)
        })?;
        finish(writer)?;
        Ok(self.members)
    }
}

/// Puts a use in its place: by what it is of, then as both tables go on.
fn put(
    ordered: &mut Ordered<'_>,
    (names, of): (&[&String], &impl Serialize),
    used: &Use,
    sum: &Sum,
) -> Result<(), FactsError> {
    let mut bytes = Vec::new();
    let mut key = Key(&mut bytes);
    for name in names {
        key.text(name);
    }
    let p = &used.permission;
    key.text(used.via.as_str()).text(&p.verb).text(&p.api_group).text(&p.resource);
    key.text(&p.subresource).text(&p.namespace).text(&p.name).text(&p.path);
    ordered.put(&bytes, &((of, used.via, p), sum))
}

/// Hands on the sum of all uses of one thing.
fn each_sum<T: serde::de::DeserializeOwned + PartialEq>(
    ordered: Ordered<'_>,
    mut each: impl FnMut(Used<T>, Sum) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    let mut open: Option<(Used<T>, Sum)> = None;
    ordered.values(|(used, sum): (Used<T>, Sum)| {
        match &mut open {
            Some((of, total)) if *of == used => total.add(sum),
            open => {
                if let Some((of, total)) = open.replace((used, sum)) {
                    each(of, total)?;
                }
            }
        }
        Ok::<(), PipelineError>(())
    })?;
    open.map_or(Ok(()), |(of, total)| each(of, total))
}
