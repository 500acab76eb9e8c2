//! Looks up who is meant and what the tables hold of it: `overgrant explain`.

use super::PipelineError;
use super::ask::{AskError, AskPlan, Asked};
use crate::explain::who::{Found, Subject, Wanted, find};
use crate::explain::{Dossier, Material, Tables, build, role_refs};
use crate::model::service_account;
use crate::report::by_day::COVERAGE;
use crate::report::engine::Parameter;
use crate::table::rows::access::GroupSetRow;
use crate::table::rows::grants::GrantRow;
use crate::table::rows::sessions::{SessionKeyRow, SessionRow};
use crate::table::rows::verdicts::RunRow;

/// What a permission is in `api_access`, with who used it.
const PERMISSION: [&str; 11] = [
    "cluster",
    "principal_arn",
    "impersonated_username",
    "via",
    "verb",
    "api_group",
    "resource",
    "subresource",
    "namespace",
    "path",
    "decision",
];
const CALLERS: &str = "SELECT principal_arn, max(principal_id) AS principal_id FROM api_access \
                       GROUP BY principal_arn ORDER BY principal_arn";
/// How far up a chain of roles is followed.
const LONGEST_CHAIN: usize = 8;

/// What came of a question.
#[derive(Debug)]
pub enum Explained {
    /// Someone, and all that is said of it.
    One(Box<Dossier>),
    /// Several go by that name.
    Several(Vec<String>),
    /// Nobody; names that are like it.
    Nobody(Vec<String>),
}

/// Explains a principal or a grant of a run.
///
/// # Errors
/// When the run cannot be read.
pub fn explain(plan: &AskPlan, typed: &str) -> Result<Explained, PipelineError> {
    let mut asked = Asked::open(plan)?;
    let wanted = Wanted::parse(typed);
    let grants: Vec<GrantRow> = asked.rows("", &[])?;
    let is_grant = matches!(&wanted, Wanted::Grant(id)
        if grants.iter().any(|grant| grant.grant_id.starts_with(id)));
    let tables = Tables {
        grants,
        verdicts: asked.rows("", &[])?,
        identities: asked.rows("", &[])?,
        members: asked.rows("", &[])?,
        // Who made requests is in no smaller table, and a grant is found without.
        callers: if is_grant { Vec::new() } else { asked.select(CALLERS, &[])? },
        hybrids: asked.select(
            "SELECT DISTINCT grant_id FROM proposals \
             WHERE chosen AND candidate = 'hybrid' ORDER BY grant_id",
            &[],
        )?,
    };
    let sessions = sessions_of(&mut asked, &wanted)?;
    match find(&wanted, typed, &tables, &sessions) {
        Found::One(subject) => {
            let material = material(&mut asked, &subject, &tables)?;
            Ok(Explained::One(Box::new(build(*subject, &tables, &material))))
        }
        Found::Several(all) => Ok(Explained::Several(all)),
        Found::Nobody(near) => Ok(Explained::Nobody(near)),
    }
}

/// Sessions that what was typed names: by key, name, or pod.
fn sessions_of(asked: &mut Asked, wanted: &Wanted) -> Result<Vec<SessionRow>, AskError> {
    let text = |name: &str, value: &str| (name.to_owned(), Parameter::Text(value.to_owned()));
    match wanted {
        Wanted::AccessKey(key) => {
            let keys: Vec<SessionKeyRow> =
                asked.rows("access_key_id = $key", &[text("key", key)])?;
            let ids: Vec<&str> = keys.iter().map(|row| row.session_id.as_str()).collect();
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            asked.rows(&one_of("session_id", ids.into_iter()), &[])
        }
        Wanted::Session { session, .. } => {
            asked.rows("session_name = $name", &[text("name", session)])
        }
        Wanted::InNamespace { namespace, name } => asked.rows(
            "pod_namespace = $namespace AND session_id IN (SELECT session_id FROM session_tags \
             WHERE tag_key = 'kubernetes-pod-name' AND tag_value = $pod)",
            &[text("namespace", namespace), text("pod", name)],
        ),
        _ => Ok(Vec::new()),
    }
}

/// Which requests are the subject's, as a condition on `api_access`; `None` when none can be.
fn requests(asked: &mut Asked, subject: &Subject) -> Result<Option<String>, AskError> {
    if let Some(id) = &subject.grant_id {
        return Ok(Some(one_of("credited_grant_id", std::iter::once(id.as_str()))));
    }
    if !subject.session_ids.is_empty() {
        return Ok(Some(one_of("session_id", subject.session_ids.iter().map(String::as_str))));
    }
    let mut any = Vec::new();
    let mut add = |column: &str, values: &std::collections::BTreeSet<String>| {
        if !values.is_empty() {
            any.push(one_of(column, values.iter().map(String::as_str)));
        }
    };
    add("principal_id", &subject.principal_ids);
    add("principal_arn", &subject.arns);
    add("username", &subject.usernames);
    add("impersonated_username", &subject.usernames);
    if let Some(group) = &subject.group {
        let sets: Vec<GroupSetRow> = asked.rows("", &[])?;
        let with = sets.iter().filter(|set| set.groups.contains(group));
        let digests: Vec<&str> = with.map(|set| set.groups_digest.as_str()).collect();
        if !digests.is_empty() {
            any.push(one_of("groups_digest", digests.into_iter()));
        }
    }
    Ok((!any.is_empty()).then(|| any.join(" OR ")))
}

/// Which sessions are the subject's, as a condition on `sessions`.
fn issued(subject: &Subject) -> Option<String> {
    if !subject.session_ids.is_empty() {
        return Some(one_of("session_id", subject.session_ids.iter().map(String::as_str)));
    }
    let mut any = Vec::new();
    if !subject.principal_ids.is_empty() {
        any.push(one_of("role_id", subject.principal_ids.iter().map(String::as_str)));
    }
    if !subject.arns.is_empty() {
        any.push(one_of("role_arn", subject.arns.iter().map(String::as_str)));
    }
    for username in &subject.usernames {
        if let Some((namespace, name)) = service_account::parts(username) {
            any.push(format!(
                "(pod_namespace = {} AND pod_service_account = {})",
                quoted(namespace),
                quoted(name)
            ));
            any.push(format!(
                "(kind = 'token_request' AND session_name = {})",
                quoted(&format!("{namespace}/{name}"))
            ));
        }
    }
    (!any.is_empty()).then(|| any.join(" OR "))
}

fn material(asked: &mut Asked, subject: &Subject, tables: &Tables) -> Result<Material, AskError> {
    let run: Vec<RunRow> = asked.rows("", &[])?;
    let (since, until) = run.first().map(|run| (run.since, run.until)).unwrap_or_default();
    let mut material = Material { since, until, ..Material::default() };
    let refs = role_refs(subject, tables);
    if !refs.is_empty() {
        material.rules = asked.rows(&one_of("role_ref", refs.iter().map(String::as_str)), &[])?;
    }
    if let Some(theirs) = requests(asked, subject)? {
        let permission = PERMISSION.join(", ");
        let requests = asked.select(
            &format!(
                "SELECT {permission}, day, user_agent_family, sum(count) AS count \
                 FROM (SELECT {permission}, date_trunc('day', hour) AS day, user_agent_family, count \
                 FROM api_access WHERE {theirs}) theirs \
                 GROUP BY GROUPING SETS (({permission}), (day, decision), (user_agent_family)) \
                 ORDER BY {permission}, day, user_agent_family"
            ),
            &[],
        )?;
        for row in requests {
            material.add(row);
        }
        material.agents.sort_by_key(|agent| (-agent.count, agent.user_agent_family.clone()));
    }
    if let Some(theirs) = issued(subject) {
        material.issued = asked.select(
            &format!(
                "SELECT kind, source_principal, person, max(parent_session_id) AS parent_session_id, \
                 count(*) AS sessions, min(issued_at) AS first_issued, max(issued_at) AS last_issued \
                 FROM sessions WHERE {theirs} GROUP BY kind, source_principal, person \
                 ORDER BY sessions DESC, kind, source_principal, person"
            ),
            &[],
        )?;
        material.tags = asked.select(
            &format!(
                "SELECT tag_key, tag_value, count(*) AS sessions FROM session_tags WHERE session_id IN \
                 (SELECT session_id FROM sessions WHERE {theirs}) GROUP BY tag_key, tag_value \
                 ORDER BY sessions DESC, tag_key, tag_value"
            ),
            &[],
        )?;
        material.calls = asked.select(
            &format!(
                "SELECT event_source, event_name, error, sum(count) AS count FROM aws_access \
                 WHERE session_id IN (SELECT session_id FROM sessions WHERE {theirs}) \
                 GROUP BY event_source, event_name, error \
                 ORDER BY count DESC, event_source, event_name, error"
            ),
            &[],
        )?;
        let mut above: Vec<String> =
            material.issued.iter().filter_map(|row| row.parent_session_id.clone()).collect();
        for _ in 0..LONGEST_CHAIN {
            if above.is_empty() {
                break;
            }
            let found: Vec<SessionRow> =
                asked.rows(&one_of("session_id", above.iter().map(String::as_str)), &[])?;
            above = found.iter().filter_map(|row| row.parent_session_id.clone()).collect();
            material.parents.extend(found);
        }
    }
    let mut clusters: std::collections::BTreeSet<&str> =
        material.uses.iter().map(|one| one.cluster.as_str()).collect();
    clusters.extend(
        tables
            .identities
            .iter()
            .filter(|one| {
                one.principal_id.as_ref().is_some_and(|id| subject.principal_ids.contains(id))
            })
            .map(|one| one.cluster.as_str()),
    );
    if let Some(id) = &subject.grant_id {
        let grant = tables.grants.iter().filter(|grant| grant.grant_id == *id);
        clusters.extend(grant.map(|grant| grant.cluster.as_str()));
    }
    if clusters.is_empty() {
        clusters.extend(tables.grants.iter().map(|grant| grant.cluster.as_str()));
    }
    if !clusters.is_empty() {
        let theirs = one_of("of", clusters.into_iter());
        material.covered = asked.select(
            &format!(
                "SELECT day, of AS cluster, covered, hours FROM ({COVERAGE}) days \
                 WHERE stream_kind = 'audit' AND {theirs} ORDER BY day, cluster"
            ),
            &[],
        )?;
    }
    Ok(material)
}

/// `column IN ('a', 'b')`
fn one_of<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> String {
    format!("{column} IN ({})", values.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A text of SQL: names come from logs.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_texts_whatever_they_hold() {
        let got = one_of("a", ["x", "o'neil' OR '1'='1"].into_iter());
        assert_eq!(got, "a IN ('x', 'o''neil'' OR ''1''=''1')");
    }
}
