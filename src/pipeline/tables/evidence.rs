//! Rows of `coverage`, `rejects`, `notes`, `auth_mode_rows`, `grant_changes`, `logins`.

use super::{Inputs, coverage_hours, write_sorted};
use crate::analyse::coverage::Coverage;
use crate::facts::key::number_of_place;
use crate::join::sessions::Session;
use crate::model::coverage::LogStream;
use crate::model::fact::KubeUser;
use crate::model::grant::{Identity, IdentityKind, has_reserved_prefix};
use crate::model::outcome::Unit;
use crate::model::tally::example_from_bytes;
use crate::pipeline::PipelineError;
use crate::pipeline::access::some;
use crate::table::rows::evidence::{
    AuthModeRow, CoverageRow, GrantChangeRow, LoginRow, NoteRow, RejectRow,
};

pub(super) fn write(
    inputs: &Inputs<'_>,
    coverage: &Coverage,
    of_rules: Vec<NoteRow>,
) -> Result<(), PipelineError> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let hours = coverage_hours(inputs, coverage).into_iter().map(|hour| {
        let mut row = CoverageRow {
            hour: hour.hour.start(),
            objects: count(hour.delivered.objects),
            events: count(hour.delivered.events),
            rejected: count(hour.delivered.rejected),
            covered: hour.covered,
            digest_status: "not_checked".to_owned(),
            ..CoverageRow::default()
        };
        match hour.stream {
            LogStream::Audit { cluster, stream } => {
                "audit".clone_into(&mut row.stream_kind);
                row.cluster = cluster;
                row.stream = stream;
            }
            LogStream::CloudTrail { account, region } => {
                "cloudtrail".clone_into(&mut row.stream_kind);
                let status = inputs.vouched.of(&account, &region, hour.hour);
                status.as_str().clone_into(&mut row.digest_status);
                row.account = account;
                row.region = region;
            }
        }
        let place = if row.cluster.is_empty() { &row.account } else { &row.cluster };
        let unit = Unit { place: number_of_place(place), day: row.hour.day() };
        row.count_exact = !inputs.inexact.contains(&unit);
        row
    });
    write_sorted(inputs, hours.collect(), |row| {
        let place = (row.cluster.clone(), row.account.clone(), row.region.clone());
        (row.stream_kind.clone(), place, row.stream.clone(), row.hour)
    })?;
    let rejects = inputs.tally.rejects.iter().map(|((object, why), reject)| RejectRow {
        object: example_from_bytes(object.as_bytes()),
        reason: why.as_str().to_owned(),
        count: count(reject.count),
        first_example: reject.example.clone(),
    });
    write_sorted(inputs, rejects.collect(), |row| (row.object.clone(), row.reason.clone()))?;
    let mut notes = of_rules;
    for (inventory, found) in &inputs.world.clusters {
        for note in &found.notes {
            notes.push(NoteRow {
                cluster: inventory.arn.clone(),
                code: note.code.to_owned(),
                grant_id: note.grant_id.clone(),
                what: note.what.clone(),
            });
        }
    }
    write_sorted(inputs, notes, |row| {
        (row.cluster.clone(), row.code.clone(), row.what.clone(), row.grant_id.clone())
    })?;
    auth_mode(inputs, coverage)?;
    changes(inputs)?;
    logins(inputs)
}

fn changes(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let sessions = &inputs.joined.sessions;
    let rows = inputs.changes.iter().map(|change| {
        let fact = &change.body;
        let user =
            KubeUser { access_key_id: fact.actor_access_key_id.clone(), ..KubeUser::default() };
        let (session, _) = sessions.of_kube_user(&user, change.at);
        GrantChangeRow {
            cluster: fact.cluster.clone(),
            at: change.at,
            change: fact.kind.as_str().to_owned(),
            subject: fact.subject.clone(),
            reference: some(fact.reference.clone()),
            names: some(fact.names.join(",")),
            namespaces: some(fact.namespaces.join(",")),
            actor: fact.actor.clone(),
            session_id: session.and_then(|idx| sessions.get(idx)).map(Session::id),
            invoked_by: some(fact.invoked_by.clone()),
        }
    });
    write_sorted(inputs, rows.collect(), |row| {
        let what = (row.change.clone(), row.subject.clone(), row.reference.clone());
        (row.cluster.clone(), row.at, what, (row.names.clone(), row.actor.clone()))
    })
}

fn logins(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let rows = inputs.joined.logins.iter().map(|login| LoginRow {
        cluster: login.body.cluster.clone(),
        hour: login.hour.start(),
        granted: login.body.granted,
        arn: login.body.arn.clone(),
        username: login.body.username.clone(),
        refusal: login.body.refusal.clone(),
        groups: login.body.groups.join(","),
        principal_id: some(login.body.principal_id.clone()),
        count: login.count,
        first_seen: login.first,
        last_seen: login.last,
    });
    let key = |row: &LoginRow| {
        let who = (row.granted, row.arn.clone(), row.username.clone());
        (row.cluster.clone(), row.hour, who, row.refusal.clone(), row.groups.clone())
    };
    write_sorted(inputs, rows.collect(), key)
}

fn auth_mode(inputs: &Inputs<'_>, coverage: &Coverage) -> Result<(), PipelineError> {
    let mut rows: Vec<AuthModeRow> = Vec::new();
    for (cluster, seen) in inputs.joined.clusters.iter().zip(&inputs.joined.seen) {
        let covered = coverage.has_audit(cluster.arn);
        for (idx, identity) in cluster.identities.iter().enumerate() {
            let kind = match identity.kind {
                IdentityKind::AwsAuthRole => "role",
                IdentityKind::AwsAuthUser => "user",
                IdentityKind::AwsAuthAccount => "account",
                _ => continue,
            };
            let last_used = seen.identities.get(&idx).copied();
            // Anybody of the account would be a sign of such a row; CloudTrail is not asked for them.
            let present = (identity.kind != IdentityKind::AwsAuthAccount)
                .then(|| {
                    let id = identity.principal_id.as_deref();
                    inputs.joined.presence.of(id, &identity.principal).last
                })
                .flatten();
            let (movable, how) = migration(identity);
            let before = rows.iter().filter(|row| {
                row.cluster == cluster.arn
                    && row.kind == kind
                    && row.principal == identity.principal
            });
            let row_no = i32::try_from(before.count()).unwrap_or(i32::MAX);
            rows.push(AuthModeRow {
                cluster: cluster.arn.to_owned(),
                cluster_name: cluster.name.to_owned(),
                kind: kind.to_owned(),
                principal: identity.principal.clone(),
                row_no,
                username: identity.username.clone(),
                groups: identity.groups.join(","),
                effective: identity.ineffective.is_none(),
                ineffective_reason: identity.ineffective.map(|why| why.as_str().to_owned()),
                movable,
                how,
                used: (covered || last_used.is_some()).then_some(last_used.is_some()),
                last_used,
                last_authenticated: present,
            });
        }
    }
    write_sorted(inputs, rows, |row| {
        (row.cluster.clone(), row.kind.clone(), row.principal.clone(), row.row_no)
    })
}

/// Can an access entry take the place of an aws-auth row, and which?
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/migrating-access-entries.html>.
fn migration(identity: &Identity) -> (bool, String) {
    if identity.kind == IdentityKind::AwsAuthAccount {
        let why = "no access entry stands for a whole account: make one for each principal in use";
        return (false, why.to_owned());
    }
    if let Some(why) = identity.ineffective {
        return (true, format!("delete the row, it has no effect ({})", why.as_str()));
    }
    if identity.username.starts_with("system:node:") {
        return (true, "an entry of type EC2_LINUX, EC2_WINDOWS or FARGATE_LINUX".to_owned());
    }
    let (masters, others): (Vec<&String>, Vec<&String>) =
        identity.groups.iter().partition(|group| *group == "system:masters");
    let stuck: Vec<&str> = others
        .iter()
        .filter(|group| has_reserved_prefix(group))
        .map(|group| group.as_str())
        .collect();
    if !stuck.is_empty() {
        let why = format!(
            "an entry may not carry {}: bind its roles to a group of your own first",
            stuck.join(", ")
        );
        return (false, why);
    }
    if has_reserved_prefix(&identity.username) {
        return (false, format!("an entry may not take the username {}", identity.username));
    }
    if let Some(template) = others.iter().find(|group| group.contains("{{")) {
        let why =
            format!("an entry takes groups as they are: {template} would be no template there");
        return (false, why);
    }
    let mut parts = Vec::new();
    if !masters.is_empty() {
        parts.push("AmazonEKSClusterAdminPolicy in place of system:masters".to_owned());
    }
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|group| group.as_str()).collect();
        parts.push(format!("the groups {}", names.join(", ")));
    }
    let with = if parts.is_empty() { "no group".to_owned() } else { parts.join(" and ") };
    (true, format!("a STANDARD entry with {with}"))
}
