//! Who is meant: what somebody typed, and whom the tables know by it.
//!
//! Roles are found by account and name, never by comparing ARNs: a session ARN has lost the path of its
//! role. Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Tables;
use crate::model::arn::Arn;
use crate::model::near::near;
use crate::model::service_account;
use crate::table::rows::sessions::SessionRow;

/// What was typed, by its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// 16 hex digits, or the first of them.
    Grant(String),
    /// `AKIA…`, `ASIA…`
    AccessKey(String),
    /// `AROA…`, `AIDA…`
    UniqueId(String),
    /// Account, role and session of an assumed role.
    Session {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// Session name.
        session: String,
    },
    /// Account, `role` or `user`, and name.
    Principal {
        /// Account id.
        account: String,
        /// `role` or `user`.
        kind: &'static str,
        /// Without its path.
        name: String,
    },
    /// `namespace/serviceaccount` or `namespace/pod`
    InNamespace {
        /// Namespace.
        namespace: String,
        /// ServiceAccount or pod.
        name: String,
    },
    /// A role name, Kubernetes user or group.
    Name(String),
}

impl Wanted {
    /// Reads what was typed.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let is_id = |prefixes: [&str; 2]| {
            text.len() >= 16
                && prefixes.iter().any(|prefix| text.starts_with(prefix))
                && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        if is_id(["AKIA", "ASIA"]) {
            return Wanted::AccessKey(text.to_owned());
        }
        if is_id(["AROA", "AIDA"]) {
            return Wanted::UniqueId(text.to_owned());
        }
        if (6..=16).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            && text.chars().any(|c| c.is_ascii_digit())
        {
            return Wanted::Grant(text.to_owned());
        }
        if let Some(arn) = Arn::parse(text) {
            let mut parts = arn.resource.split('/');
            let kind = parts.next().unwrap_or_default();
            let rest: Vec<&str> = parts.collect();
            let account = arn.account.to_owned();
            match (arn.service, kind, rest.as_slice()) {
                ("sts", "assumed-role", [role, session @ ..]) => {
                    let (role, session) = ((*role).to_owned(), session.join("/"));
                    return if session.is_empty() {
                        Wanted::Principal { account, kind: "role", name: role }
                    } else {
                        Wanted::Session { account, role, session }
                    };
                }
                ("iam", "role", [.., name]) => {
                    return Wanted::Principal { account, kind: "role", name: (*name).to_owned() };
                }
                ("iam", "user", [.., name]) => {
                    return Wanted::Principal { account, kind: "user", name: (*name).to_owned() };
                }
                _ => {}
            }
        }
        if let Some((namespace, name)) = service_account::parts(text) {
            return in_namespace(namespace, name);
        }
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && !name.contains('/') => {
                in_namespace(namespace, name)
            }
            _ => Wanted::Name(text.to_owned()),
        }
    }
}

fn in_namespace(namespace: &str, name: &str) -> Wanted {
    Wanted::InNamespace { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// A name that a namespace can have.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Someone, by all the names that the tables use.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// For people.
    pub label: String,
    /// `IAM role`, `IAM user`, `ServiceAccount`, `Kubernetes user`, `Kubernetes group`, `grant`.
    pub kind: &'static str,
    /// `AROA…`/`AIDA…`.
    pub principal_ids: BTreeSet<String>,
    /// IAM ARNs.
    pub arns: BTreeSet<String>,
    /// Kubernetes usernames.
    pub usernames: BTreeSet<String>,
    /// Kubernetes group.
    pub group: Option<String>,
    /// Only these sessions.
    pub session_ids: BTreeSet<String>,
    /// The grant, where one was asked for.
    pub grant_id: Option<String>,
    /// How what was typed led here, where that is not plain.
    pub note: Option<String>,
}

/// What looking up came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Someone.
    One(Box<Subject>),
    /// Several go by that name: their labels.
    Several(Vec<String>),
    /// Nobody; names that are like it.
    Nobody(Vec<String>),
}

/// Finds who is meant. `sessions` are those of an access key, session name or pod.
#[must_use]
pub fn find(wanted: &Wanted, typed: &str, tables: &Tables, sessions: &[SessionRow]) -> Found {
    let all = everyone(tables);
    let fits: Vec<&Subject> = match wanted {
        Wanted::Grant(id) => {
            let mut fits = tables.grants.iter().filter(|grant| grant.grant_id.starts_with(id));
            return match (fits.next(), fits.next()) {
                (Some(grant), None) => Found::One(Box::new(Subject {
                    label: super::grant_words(grant),
                    kind: "grant",
                    grant_id: Some(grant.grant_id.clone()),
                    ..Subject::default()
                })),
                (Some(_), Some(_)) => {
                    let fits = tables.grants.iter().filter(|grant| grant.grant_id.starts_with(id));
                    Found::Several(fits.map(|grant| grant.grant_id.clone()).collect())
                }
                // A name of hex digits is a name all the same.
                (None, _) => find(&Wanted::Name(id.clone()), typed, tables, sessions),
            };
        }
        Wanted::AccessKey(_) => return of_sessions(&all, sessions, typed, "the key of a session"),
        Wanted::Session { account, role, .. } => {
            let of_role = |row: &&SessionRow| {
                Arn::parse(&row.role_arn).is_some_and(|arn| {
                    arn.account == *account && arn.resource.rsplit('/').next() == Some(role)
                })
            };
            let theirs: Vec<SessionRow> = sessions.iter().filter(of_role).cloned().collect();
            if theirs.is_empty() {
                let role = Wanted::Principal {
                    account: account.clone(),
                    kind: "role",
                    name: role.clone(),
                };
                return match find(&role, typed, tables, &[]) {
                    Found::One(mut subject) => {
                        subject.note = Some(
                            "no session of that name is in the logs: this is its role".to_owned(),
                        );
                        Found::One(subject)
                    }
                    other => other,
                };
            }
            return of_sessions(&all, &theirs, typed, "sessions of that name");
        }
        Wanted::UniqueId(id) => {
            all.iter().filter(|subject| subject.principal_ids.contains(id)).collect()
        }
        Wanted::Principal { account, kind, name } => {
            let is = |arn: &String| is_principal(arn, Some(account), Some(kind), name);
            all.iter().filter(|subject| subject.arns.iter().any(is)).collect()
        }
        Wanted::InNamespace { namespace, name } => {
            let username = service_account::username(namespace, name);
            let fits: Vec<&Subject> =
                all.iter().filter(|subject| subject.usernames.contains(&username)).collect();
            if fits.is_empty() && !sessions.is_empty() {
                return of_sessions(&all, sessions, typed, "the pod's sessions");
            }
            fits
        }
        Wanted::Name(name) => all
            .iter()
            .filter(|subject| {
                subject.usernames.contains(name)
                    || subject.group.as_ref() == Some(name)
                    || subject.arns.iter().any(|arn| is_principal(arn, None, None, name))
            })
            .collect(),
    };
    match fits.as_slice() {
        [] => Found::Nobody(names_near(typed, &all, tables)),
        [one] => Found::One(Box::new((*one).clone())),
        several => Found::Several(several.iter().map(|subject| subject.label.clone()).collect()),
    }
}

fn is_principal(arn: &str, account: Option<&str>, kind: Option<&str>, name: &str) -> bool {
    Arn::parse(arn).is_some_and(|arn| {
        arn.service == "iam"
            && account.is_none_or(|account| arn.account == account)
            && kind.is_none_or(|kind| arn.resource.starts_with(kind))
            && arn.resource.rsplit('/').next() == Some(name)
    })
}

/// Whoever holds the sessions, and only what was done with these.
fn of_sessions(all: &[Subject], sessions: &[SessionRow], typed: &str, what: &str) -> Found {
    let Some(first) = sessions.first() else { return Found::Nobody(Vec::new()) };
    let account = match (&first.pod_namespace, &first.pod_service_account) {
        (Some(namespace), Some(name)) => Some(service_account::username(namespace, name)),
        _ => first
            .session_name
            .split_once('/')
            .filter(|_| first.role_arn.is_empty())
            .map(|(namespace, name)| service_account::username(namespace, name)),
    };
    let holder = all.iter().find(|subject| match &account {
        Some(username) => subject.usernames.contains(username),
        None => {
            subject.principal_ids.contains(&first.role_id) || subject.arns.contains(&first.role_arn)
        }
    });
    let mut subject = holder.cloned().unwrap_or_else(|| Subject {
        label: first.role_arn.clone(),
        kind: "IAM role",
        arns: BTreeSet::from([first.role_arn.clone()]),
        ..Subject::default()
    });
    subject.session_ids = sessions.iter().map(|row| row.session_id.clone()).collect();
    subject.note = Some(format!("{typed}: {what} ({} in the logs)", sessions.len()));
    Found::One(Box::new(subject))
}

/// Everyone whom grants, mappings or members name, each once.
fn everyone(tables: &Tables) -> Vec<Subject> {
    let mut all: BTreeMap<String, Subject> = BTreeMap::new();
    let mut iam = |arn: &str, id: Option<&str>| {
        let Some(parsed) = Arn::parse(arn).filter(|arn| arn.service == "iam") else { return };
        let kind = if parsed.resource.starts_with("user/") { "IAM user" } else { "IAM role" };
        let name = parsed.resource.rsplit('/').next().unwrap_or_default();
        // One subject for all spellings of an ARN, with its path or without.
        let key = format!("{}/{kind}/{name}", parsed.account);
        let subject = all.entry(key).or_insert_with(|| Subject { kind, ..Subject::default() });
        if arn.len() > subject.label.len() {
            arn.clone_into(&mut subject.label);
        }
        subject.arns.insert(arn.to_owned());
        subject.principal_ids.extend(id.filter(|id| !id.is_empty()).map(str::to_owned));
    };
    for identity in &tables.identities {
        iam(&identity.principal_arn, identity.principal_id.as_deref());
        if let Some(arn) = &identity.iam_arn {
            iam(arn, identity.principal_id.as_deref());
        }
    }
    for grant in &tables.grants {
        iam(&grant.principal, grant.principal_id.as_deref());
        if matches!(grant.grant_kind.as_str(), "pod_identity" | "irsa") {
            iam(&grant.grant_ref, grant.principal_id.as_deref());
        }
    }
    for caller in &tables.callers {
        iam(&caller.principal_arn, caller.principal_id.as_deref());
    }
    let mut all: Vec<Subject> = all.into_values().collect();
    let mut users: BTreeSet<String> = BTreeSet::new();
    let mut groups: BTreeSet<String> = BTreeSet::new();
    for grant in &tables.grants {
        match grant.subject_kind.as_str() {
            "service_account" => users.extend(
                grant
                    .principal
                    .split_once('/')
                    .map(|(namespace, name)| service_account::username(namespace, name)),
            ),
            "user" => {
                users.insert(grant.principal.clone());
            }
            "group" => {
                groups.insert(grant.principal.clone());
            }
            _ => {}
        }
    }
    for member in &tables.members {
        let is_plain = member.principal_id.is_empty() && !member.username.contains("{{");
        if is_plain && !member.username.is_empty() {
            users.insert(member.username.clone());
        }
    }
    for caller in tables.callers.iter().filter(|caller| caller.principal_id.is_none()) {
        users.insert(caller.principal_arn.clone());
    }
    all.extend(users.into_iter().filter(|user| !user.starts_with("arn:")).map(|user| {
        let (kind, label) = match service_account::parts(&user) {
            Some((namespace, name)) => ("ServiceAccount", format!("{namespace}/{name}")),
            None => ("Kubernetes user", user.clone()),
        };
        Subject { label, kind, usernames: BTreeSet::from([user]), ..Subject::default() }
    }));
    all.extend(groups.into_iter().map(|group| Subject {
        label: group.clone(),
        kind: "Kubernetes group",
        group: Some(group),
        ..Subject::default()
    }));
    all
}

/// Names that are like what was typed, best first.
fn names_near(typed: &str, all: &[Subject], tables: &Tables) -> Vec<String> {
    let mut names: BTreeSet<&str> = all.iter().map(|subject| subject.label.as_str()).collect();
    names.extend(tables.grants.iter().map(|grant| grant.grant_id.as_str()));
    near(typed, names, 3).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::rows::grants::{GrantRow, IdentityRow};

    #[test]
    fn shapes() {
        let check =
            |text: &str, expected: Wanted| assert_eq!(Wanted::parse(text), expected, "{text}");
        let owned = str::to_owned;
        check("23f7fe331c2881dc", Wanted::Grant(owned("23f7fe331c2881dc")));
        check("23f7fe", Wanted::Grant(owned("23f7fe")));
        check("facade", Wanted::Name(owned("facade")));
        check("ASIAEXAMPLE0000000001", Wanted::AccessKey(owned("ASIAEXAMPLE0000000001")));
        check("AROAEXAMPLE0000000001", Wanted::UniqueId(owned("AROAEXAMPLE0000000001")));
        let role = |name: &str| Wanted::Principal {
            account: owned("111122223333"),
            kind: "role",
            name: owned(name),
        };
        check("arn:aws:iam::111122223333:role/a/b/ci", role("ci"));
        check("arn:aws:sts::111122223333:assumed-role/ci", role("ci"));
        check(
            "arn:aws:sts::111122223333:assumed-role/ci/job-7",
            Wanted::Session {
                account: owned("111122223333"),
                role: owned("ci"),
                session: owned("job-7"),
            },
        );
        check("shop/app", in_namespace("shop", "app"));
        check("system:serviceaccount:shop:app", in_namespace("shop", "app"));
        check("oidc:alice@example.com", Wanted::Name(owned("oidc:alice@example.com")));
        check("ci-deployer", Wanted::Name(owned("ci-deployer")));
    }

    fn tables() -> Tables {
        let role = |arn: &str, id: &str| IdentityRow {
            principal_arn: arn.to_owned(),
            principal_id: Some(id.to_owned()),
            ..IdentityRow::default()
        };
        let grant = |id: &str, kind: &str, principal: &str| GrantRow {
            grant_id: id.to_owned(),
            subject_kind: kind.to_owned(),
            principal: principal.to_owned(),
            ..GrantRow::default()
        };
        Tables {
            identities: vec![
                role("arn:aws:iam::1:role/team/ci", "AROA1"),
                role("arn:aws:iam::1:role/ci", "AROA1"),
                role("arn:aws:iam::2:role/ops", "AROA2"),
                role("arn:aws:iam::3:role/ops", "AROA3"),
            ],
            grants: vec![
                grant("aa00000000000001", "service_account", "shop/app"),
                grant("aa00000000000002", "group", "developers"),
                grant("bb00000000000003", "user", "robot"),
            ],
            ..Tables::default()
        }
    }

    #[test]
    fn names_lead_to_someone() {
        let check = |text: &str, expected: &str| {
            let found = find(&Wanted::parse(text), text, &tables(), &[]);
            let got = match found {
                Found::One(subject) => format!("{}: {}", subject.kind, subject.label),
                Found::Several(all) => format!("several: {}", all.join(" ")),
                Found::Nobody(near) => format!("nobody, near {}", near.join(" ")),
            };
            assert_eq!(got, expected, "{text}");
        };
        check("ci", "IAM role: arn:aws:iam::1:role/team/ci");
        check("arn:aws:iam::1:role/ci", "IAM role: arn:aws:iam::1:role/team/ci");
        check("arn:aws:sts::1:assumed-role/ci/x", "IAM role: arn:aws:iam::1:role/team/ci");
        check("ops", "several: arn:aws:iam::2:role/ops arn:aws:iam::3:role/ops");
        check("shop/app", "ServiceAccount: shop/app");
        check("developers", "Kubernetes group: developers");
        check("robot", "Kubernetes user: robot");
        check("bb0000", "grant: robot: ");
        check("aa0000", "several: aa00000000000001 aa00000000000002");
        check("developer", "nobody, near developers");
        check("zzz", "nobody, near ");
    }
}
