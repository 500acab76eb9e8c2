//! Rows of `token_findings`: credentials that live too long or cannot be taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inputs, write_sorted};
use crate::inventory::subjects::username_prefix;
use crate::join::sessions::Sessions;
use crate::model::arn::{PrincipalName, is_pod_identity_service, issuer_id};
use crate::model::fact::{IssuedBy, TokenState};
use crate::model::grant::Identity;
use crate::model::inventory::OidcProvider;
use crate::model::time::{MICROS_PER_HOUR, Micros};
use crate::pipeline::PipelineError;
use crate::rbac::sensitive::Severity;
use crate::table::rows::evidence::TokenFindingRow;

/// What a kubelet asks for, and the second by which a time of issue may be cut.
/// Source: <https://kubernetes.io/docs/concepts/storage/projected-volumes/>.
const USUAL: i64 = MICROS_PER_HOUR + 8_000_000;
/// EKS is not known to give more, whatever is asked.
const LONG: i64 = 24 * MICROS_PER_HOUR;
/// Clusters of an older version take one OIDC provider, newer ones ten.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/authenticate-oidc-identity-provider.html>.
const MANY_PROVIDERS: (u32, u32) = (1, 32);

/// Tokens of one account that one caller had minted.
struct Minted {
    first: Micros,
    last: Micros,
    count: i64,
    /// Of the longest, in microseconds.
    life: i64,
}

impl Minted {
    fn add<K: Ord>(all: &mut BTreeMap<K, Minted>, key: K, at: Micros, life: i64) {
        let sum = all.entry(key).or_insert(Minted { first: at, last: at, count: 0, life: 0 });
        sum.first = sum.first.min(at);
        sum.last = sum.last.max(at);
        sum.count += 1;
        sum.life = sum.life.max(life);
    }

    fn times(&self) -> (Micros, Micros, i64) {
        (self.first, self.last, self.count)
    }
}

/// What was minted in one cluster that a person should look at.
#[derive(Default)]
struct OfCluster<'a> {
    /// Lives longer than an hour, not asked for by a kubelet, which rotates it: ServiceAccount and minter.
    long: BTreeMap<(&'a str, &'a str), Minted>,
    /// For somebody else than this cluster and AWS: ServiceAccount, minter and audiences.
    foreign: BTreeMap<(&'a str, &'a str, &'a str), Minted>,
}

/// Tokens by cluster ARN.
fn minted<'a>(inputs: &Inputs<'a>) -> BTreeMap<&'a str, OfCluster<'a>> {
    let sessions: &'a Sessions = &inputs.joined.sessions;
    let issuers: BTreeMap<&str, &str> = inputs
        .world
        .clusters
        .iter()
        .filter_map(|(inventory, _)| {
            let issuer = inventory.cluster.as_ref()?.oidc_issuer.as_deref()?;
            Some((inventory.arn.as_str(), issuer))
        })
        .collect();
    let mut nodes: BTreeMap<&str, BTreeSet<PrincipalName>> = BTreeMap::new();
    for cluster in &inputs.joined.clusters {
        let node = |identity: &&Identity| identity.username.starts_with("system:node:");
        for identity in cluster.identities.iter().filter(node) {
            let name = PrincipalName::from_arn(&identity.principal).map(PrincipalName::folded);
            nodes.entry(cluster.arn).or_default().extend(name);
        }
    }
    let mut all: BTreeMap<&str, OfCluster<'_>> = BTreeMap::new();
    for session in sessions.all.iter().filter(|one| one.issued_by == IssuedBy::TokenRequest) {
        let at = session.issued_at;
        let life = session.expires_at().map_or(0, |until| until.0.saturating_sub(at.0));
        let cluster = sessions.text(session.role_id);
        let (account, by) = (sessions.text(session.session_name), sessions.text(session.source));
        let audiences = sessions.text(session.provider);
        let issuer = issuers.get(cluster).copied();
        let foreign = audiences.split(',').any(|one| !is_usual_audience(one, issuer));
        // A kubelet asks for what a pod's volume says, binds it to the pod and rotates it. Where no node is
        // known, any role may be one's.
        let by_kubelet = by.starts_with("system:node:")
            || PrincipalName::from_arn(by).is_some_and(|name| {
                let of_cluster = nodes.get(cluster);
                of_cluster.is_none_or(|nodes| nodes.contains(&name.folded()))
            });
        if life > LONG || life > USUAL && !by_kubelet {
            let of_cluster = all.entry(cluster).or_default();
            Minted::add(&mut of_cluster.long, (account, by), at, life);
        }
        if foreign {
            let of_cluster = all.entry(cluster).or_default();
            Minted::add(&mut of_cluster.foreign, (account, by, audiences), at, life);
        }
    }
    all
}

/// True for an audience of the API server: what a token without one gets, and the cluster's own issuer.
fn is_own_audience(audience: &str, issuer: Option<&str>) -> bool {
    matches!(
        audience,
        "" | "https://kubernetes.default.svc" | "https://kubernetes.default.svc.cluster.local"
    ) || issuer.is_some_and(|issuer| issuer.trim_end_matches('/') == audience.trim_end_matches('/'))
        || issuer.is_none() && audience.contains("://oidc") && audience.contains("eks")
}

/// True for an audience of the API server, of IRSA or of Pod Identity.
fn is_usual_audience(audience: &str, issuer: Option<&str>) -> bool {
    matches!(audience, "sts.amazonaws.com" | "sts.amazonaws.com.cn")
        || is_pod_identity_service(audience)
        || is_own_audience(audience, issuer)
}

/// What is wrong with the OIDC providers of a cluster: kind, provider, detail, severity.
fn provider_faults(
    providers: &[OidcProvider],
    version: &str,
    own_issuer: Option<&str>,
) -> Vec<(&'static str, String, String, Severity)> {
    let mut faults = Vec::new();
    let mut add = |kind, name: &str, detail: &str, severity| {
        faults.push((kind, name.to_owned(), detail.to_owned(), severity));
    };
    for provider in providers {
        let name = provider.name.as_str();
        if username_prefix(provider).is_none() {
            let detail = "usernames come without a prefix and may meet those of other ways in";
            add("oidc_no_username_prefix", name, detail, Severity::Medium);
        }
        let no_prefix = provider.groups_prefix.as_deref().is_none_or(str::is_empty);
        if provider.groups_claim.is_some() && no_prefix {
            let detail = "groups come without a prefix: the provider can name any group of RBAC";
            add("oidc_no_groups_prefix", name, detail, Severity::High);
        }
        let own = own_issuer.is_some_and(|own| issuer_id(own) == issuer_id(&provider.issuer_url));
        if own {
            let detail = "the cluster's own issuer as a provider is of no use: from 1.30 EKS refuses it, and \
                          upgrades stop at it";
            add("oidc_own_issuer", name, detail, Severity::Medium);
        }
        if !provider.issuer_url.starts_with("https://") {
            let detail = format!("its issuer is not an https URL: {}", provider.issuer_url);
            add("oidc_issuer_not_https", name, &detail, Severity::Medium);
        }
        let prefixes = [&provider.username_prefix, &provider.groups_prefix];
        if prefixes.into_iter().flatten().any(|prefix| prefix.contains("system:")) {
            let detail = "a prefix with system: makes users and groups that EKS refuses";
            add("oidc_reserved_prefix", name, detail, Severity::Low);
        }
        let id = |one: &OidcProvider| one.issuer_url.trim_end_matches('/').to_owned();
        if providers.iter().filter(|other| id(other) == id(provider)).count() > 1 {
            let detail =
                "another provider of the cluster has the same issuer: one of them is not in use";
            add("oidc_issuer_twice", name, detail, Severity::Low);
        }
    }
    let most = if minor(version).is_none_or(|version| version >= MANY_PROVIDERS) { 10 } else { 1 };
    if providers.len() > most {
        let names: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
        let detail = format!(
            "{} providers, and a cluster of version {version} takes {most}: it cannot be what is in use",
            providers.len()
        );
        add("oidc_too_many_providers", &names.join(", "), &detail, Severity::Medium);
    }
    faults
}

/// `1.32` as numbers.
fn minor(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

pub(super) fn write(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let mut rows = Vec::new();
    let minted = minted(inputs);
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
        let described = inventory.cluster.as_ref();
        let faults = provider_faults(
            inventory.identity_providers.as_deref().unwrap_or_default(),
            described.map_or("", |cluster| cluster.version.as_str()),
            described.and_then(|cluster| cluster.oidc_issuer.as_deref()),
        );
        for (kind, subject, detail, severity) in faults {
            add(kind, subject, &detail, severity, None);
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
        let of_cluster = minted.get(inventory.arn.as_str());
        for ((account, by), sum) in of_cluster.into_iter().flat_map(|all| &all.long) {
            if sum.life > LONG {
                let days = sum.life / LONG;
                let detail = format!(
                    "a token for {days} days, asked for by {by}; EKS is said to give a day at most"
                );
                add(
                    "long_token",
                    (*account).to_owned(),
                    &detail,
                    Severity::Medium,
                    Some(sum.times()),
                );
            } else {
                let minutes = sum.life / (MICROS_PER_HOUR / 60);
                let detail = format!("a token for {minutes} minutes, asked for by {by}");
                let kind = "token_longer_than_hour";
                add(kind, (*account).to_owned(), &detail, Severity::Low, Some(sum.times()));
            }
        }
        let issuer = described.and_then(|cluster| cluster.oidc_issuer.as_deref());
        for ((account, by, audiences), sum) in of_cluster.into_iter().flat_map(|all| &all.foreign) {
            let own = audiences.split(',').any(|one| is_own_audience(one, issuer));
            // Whoever is the other audience holds a token that the API server takes.
            let (severity, more) = if own {
                (Severity::Medium, ": who gets it can use it at the API server too")
            } else {
                (Severity::Info, "; the API server and AWS do not take it")
            };
            let detail = format!("a token for {audiences}, asked for by {by}{more}");
            add("foreign_audience", (*account).to_owned(), &detail, severity, Some(sum.times()));
        }
        for (product, times) in &seen.refused {
            let detail = "requests whose credentials were refused: a wrong audience, an expired or a foreign \
                          token, a wrong certificate; the log does not tell which";
            add("refused_credentials", product.clone(), detail, Severity::Info, Some(*times));
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
    write_sorted(inputs, rows, |row| {
        (row.cluster.clone(), row.kind.clone(), row.subject.clone(), row.detail.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str, issuer: &str) -> OidcProvider {
        OidcProvider {
            name: name.to_owned(),
            issuer_url: issuer.to_owned(),
            client_id: "kubernetes".to_owned(),
            username_claim: "email".to_owned(),
            username_prefix: Some("oidc:".to_owned()),
            groups_claim: Some("groups".to_owned()),
            groups_prefix: Some("oidc:".to_owned()),
            status: "ACTIVE".to_owned(),
        }
    }

    fn check(providers: &[OidcProvider], version: &str, expected: &[&str]) {
        let own = Some("https://oidc.eks.us-west-2.amazonaws.com/id/ABC");
        let faults = provider_faults(providers, version, own);
        let got: Vec<String> =
            faults.iter().map(|(kind, name, ..)| format!("{kind} {name}")).collect();
        assert_eq!(got, expected, "{version}");
    }

    #[test]
    fn faults_of_providers() {
        let good = provider("a", "https://login.example.com/x");
        let other = provider("b", "https://login.example.com/y");
        check(std::slice::from_ref(&good), "1.29", &[]);
        let two = [good.clone(), other];
        check(&two, "1.32", &[]);
        check(&two, "1.31", &["oidc_too_many_providers a, b"]);
        check(&two, "", &[]);
        // The dual-stack host of the same issuer is the same.
        let own = provider("own", "https://oidc-eks.us-west-2.api.aws/id/ABC/");
        check(&[own], "1.29", &["oidc_own_issuer own"]);
        let twice = [good.clone(), provider("c", "https://login.example.com/x/")];
        check(&twice, "1.33", &["oidc_issuer_twice a", "oidc_issuer_twice c"]);
        check(&[provider("h", "http://x")], "1.33", &["oidc_issuer_not_https h"]);
        let reserved = OidcProvider { groups_prefix: Some("system:".to_owned()), ..good.clone() };
        check(&[reserved], "1.33", &["oidc_reserved_prefix a"]);
        let bare = OidcProvider { groups_prefix: None, ..good };
        check(&[bare], "1.33", &["oidc_no_groups_prefix a"]);
    }

    #[test]
    fn audiences_of_the_cluster_and_of_others() {
        let own = Some("https://oidc.eks.r.amazonaws.com/id/ABC");
        let check = |audience: &str, is_own: bool, is_usual: bool| {
            let got = (is_own_audience(audience, own), is_usual_audience(audience, own));
            assert_eq!(got, (is_own, is_usual), "{audience}");
        };
        check("", true, true);
        check("https://kubernetes.default.svc", true, true);
        check("https://oidc.eks.r.amazonaws.com/id/ABC", true, true);
        check("https://oidc.eks.r.amazonaws.com/id/OTHER", false, false);
        check("sts.amazonaws.com", false, true);
        check("pods.eks.amazonaws.com", false, true);
        check("vault", false, false);
    }
}
