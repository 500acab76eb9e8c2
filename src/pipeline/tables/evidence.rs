//! Rows of `coverage`, `rejects`, `notes`, `grant_changes`, `logins`.

use super::{Inputs, coverage_hours, write_sorted};
use crate::analyse::coverage::Coverage;
use crate::facts::key::number_of_place;
use crate::join::sessions::Session;
use crate::model::coverage::LogStream;
use crate::model::fact::KubeUser;
use crate::model::outcome::Unit;
use crate::model::tally::example_from_bytes;
use crate::pipeline::PipelineError;
use crate::pipeline::access::some;
use crate::table::rows::evidence::{CoverageRow, GrantChangeRow, LoginRow, NoteRow, RejectRow};

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
