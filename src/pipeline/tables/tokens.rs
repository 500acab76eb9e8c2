//! Rows of `token_findings`: credentials that live too long or cannot be taken back.

use std::collections::BTreeMap;

use super::{Inputs, write_sorted};
use crate::join::sessions::Sessions;
use crate::model::fact::{IssuedBy, TokenState};
use crate::model::time::{MICROS_PER_HOUR, Micros};
use crate::pipeline::PipelineError;
use crate::rbac::sensitive::Severity;
use crate::table::rows::evidence::TokenFindingRow;

/// Tokens for longer are findings: what a kubelet asks for lives for an hour.
const LONG: i64 = 24 * MICROS_PER_HOUR;

/// Tokens of one account that one caller had minted.
struct Minted {
    first: Micros,
    last: Micros,
    count: i64,
    /// Of the longest.
    days: i64,
}

/// Long tokens by cluster ARN, then ServiceAccount and minter.
fn long_tokens(sessions: &Sessions) -> BTreeMap<&str, BTreeMap<(&str, &str), Minted>> {
    let mut all: BTreeMap<&str, BTreeMap<(&str, &str), Minted>> = BTreeMap::new();
    for session in sessions.all.iter().filter(|one| one.issued_by == IssuedBy::TokenRequest) {
        let at = session.issued_at;
        let life = session.expires_at().map_or(0, |until| until.0.saturating_sub(at.0));
        if life <= LONG {
            continue;
        }
        let key = (sessions.text(session.session_name), sessions.text(session.source));
        let of_cluster = all.entry(sessions.text(session.role_id)).or_default();
        let sum =
            of_cluster.entry(key).or_insert(Minted { first: at, last: at, count: 0, days: 0 });
        sum.first = sum.first.min(at);
        sum.last = sum.last.max(at);
        sum.count += 1;
        sum.days = sum.days.max(life / (24 * MICROS_PER_HOUR));
    }
    all
}

pub(super) fn write(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let mut rows = Vec::new();
    let long = long_tokens(&inputs.joined.sessions);
    for (idx, (inventory, _)) in inputs.world.clusters.iter().enumerate() {
        let mut add = |kind: &str,
                       subject: String,
                       detail: &str,
                       severity: Severity,
                       seen: Option<(Micros, Micros, i64)>| {
            rows.push(TokenFindingRow {
                cluster: inventory.arn.clone(),
                cluster_name: inventory.name.clone(),
                kind: kind.to_owned(),
                subject,
                detail: detail.to_owned(),
                first_seen: seen.map(|(first, ..)| first),
                last_seen: seen.map(|(_, last, _)| last),
                count: seen.map_or(0, |(.., n)| n),
                severity: severity.as_str().to_owned(),
            });
        };
        for (namespace, name, account) in inventory.kubernetes.iter().flat_map(|k| &k.token_secrets)
        {
            let subject = format!("{namespace}/{name} of {account}");
            let detail = "a token in a Secret never expires; use TokenRequest or a projected token";
            add("legacy_secret_token", subject, detail, Severity::Medium, None);
        }
        for provider in inventory.identity_providers.iter().flatten() {
            if crate::inventory::subjects::username_prefix(provider).is_none() {
                let detail = "usernames come without a prefix and may meet those of other ways in";
                add(
                    "oidc_no_username_prefix",
                    provider.name.clone(),
                    detail,
                    Severity::Medium,
                    None,
                );
            }
            let no_prefix = provider.groups_prefix.as_deref().is_none_or(str::is_empty);
            if provider.groups_claim.is_some() && no_prefix {
                let detail =
                    "groups come without a prefix: the provider can name any group of RBAC";
                add("oidc_no_groups_prefix", provider.name.clone(), detail, Severity::High, None);
            }
        }
        for ((cluster, user), sum) in inputs.reused {
            if *cluster == inventory.arn {
                let detail = "one Audit-ID on several requests: the client chooses it, and other \
                              tools may count these requests as one";
                let seen = Some((sum.first, sum.last, sum.count));
                add("audit_id_reused", user.clone(), detail, Severity::Medium, seen);
            }
        }
        let Some(seen) = inputs.joined.seen.get(idx) else { continue };
        for ((state, user), times) in &seen.tokens {
            let (kind, detail, severity) = match state {
                TokenState::Legacy => (
                    "legacy_token_used",
                    "requests with a token out of a Secret, which never expires",
                    Severity::High,
                ),
                TokenState::Stale => (
                    "stale_token",
                    "requests with a token older than its hour: the client does not read it again, and \
                     will be refused when the grace period ends",
                    Severity::Low,
                ),
                TokenState::Unremarked => continue,
            };
            add(kind, user.clone(), detail, severity, Some(*times));
        }
        for ((account, by), sum) in long.get(inventory.arn.as_str()).into_iter().flatten() {
            let detail = format!("a token for {} days, minted by {by}", sum.days);
            let seen = Some((sum.first, sum.last, sum.count));
            add("long_token", (*account).to_owned(), &detail, Severity::Medium, seen);
        }
        for (user, times) in &seen.certificate_users {
            let detail = "a client certificate cannot be revoked; only its RBAC can be taken away";
            add("x509_user", user.clone(), detail, Severity::Medium, Some(*times));
        }
        if let Some(times) = seen.anonymous {
            let detail = "anonymous requests are allowed beyond health and discovery";
            add(
                "anonymous_access",
                "system:anonymous".to_owned(),
                detail,
                Severity::High,
                Some(times),
            );
        }
    }
    write_sorted(inputs, rows, |row| (row.cluster.clone(), row.kind.clone(), row.subject.clone()))
}
