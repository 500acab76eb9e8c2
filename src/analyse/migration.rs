//! From aws-auth to access entries: what takes the place of each row, and when mode API is safe.
//!
//! Input: one row of aws-auth with what is known of its use. Output: what to do with it, and for a
//! cluster whether `API` would lock somebody out. An entry is less than a row: it takes neither reserved
//! names nor templated groups, it stands for one principal, and it wants the ARN with its path, which a
//! row never has. Sources:
//! <https://docs.aws.amazon.com/eks/latest/userguide/migrating-access-entries.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html>.

use crate::model::arn::{Arn, PrincipalKind, PrincipalName};
use crate::model::grant::{Identity, IdentityKind, Ineffective, has_reserved_prefix};
use crate::model::inventory::AuthMode;

/// The group that an entry never carries, and the policy that gives as much.
const MASTERS: &str = "system:masters";
/// In the place of `system:masters`.
pub const ADMIN_POLICY: &str = "AmazonEKSClusterAdminPolicy";
/// Templates that an entry fills in.
const SESSION_TEMPLATES: [&str; 2] = ["{{SessionName}}", "{{SessionNameRaw}}"];

/// Whether anybody came in by a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Somebody did.
    Used,
    /// Nobody did, and the log of the window is whole.
    Unused,
    /// The log does not cover the window, or the row is too new.
    Unknown,
}

/// What to do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Delete it: nobody used it, or it has no effect.
    Drop,
    /// Make an entry that gives the same.
    CreateEntry,
    /// Make an entry that gives as much by another way.
    Replace,
    /// Bind what its groups hold to a group of your own, then make the entry.
    RebindFirst,
    /// Find the ARN with its path, then make the entry.
    FindArn,
    /// No entry takes its place.
    CannotMove,
    /// An entry decides already.
    AlreadyMoved,
}

impl Action {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Drop => "drop",
            Action::CreateEntry => "create_entry",
            Action::Replace => "replace",
            Action::RebindFirst => "rebind_first",
            Action::FindArn => "find_arn",
            Action::CannotMove => "cannot_move",
            Action::AlreadyMoved => "already_moved",
        }
    }

    /// True where an access entry is what is wanted, now or after something else.
    #[must_use]
    pub fn is_movable(self) -> bool {
        !matches!(self, Action::CannotMove | Action::RebindFirst)
    }
}

/// The access entry that takes a row's place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewEntry {
    /// IAM ARN, with its path.
    pub principal: String,
    /// Empty for the name that EKS gives by default.
    pub username: String,
    /// Sorted.
    pub groups: Vec<String>,
    /// `STANDARD`, `EC2_LINUX`, …
    pub entry_type: &'static str,
    /// True with [`ADMIN_POLICY`] on the cluster.
    pub admin: bool,
    /// True where an entry that never matches is in its way.
    pub delete_first: bool,
}

/// A row of aws-auth and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The row.
    pub identity: &'a Identity,
    /// What the cluster consults now.
    pub mode: AuthMode,
    /// The principal's ARN with its path, where the inventory knows it.
    pub iam_arn: Option<&'a str>,
    /// Whether anybody came in by it.
    pub usage: Use,
    /// True when a binding names the user that it makes.
    pub user_is_bound: bool,
    /// True when the principal has an entry that never matches.
    pub dead_entry: bool,
    /// Principals that came in by a row of a whole account, sorted.
    pub came: &'a [String],
}

/// What to do with a row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// What.
    pub action: Action,
    /// For people.
    pub why: String,
    /// The entry to make, where it is known in full.
    pub entry: Option<NewEntry>,
    /// True while mode API would, or might, lock out whoever comes in by the row.
    pub blocking: bool,
}

/// What to do with a row.
#[must_use]
pub fn plan(row: &Row<'_>) -> Move {
    let identity = row.identity;
    let free = |action, why: String| Move { action, why, entry: None, blocking: false };
    let stuck = |action, why: String| Move { action, why, entry: None, blocking: true };
    match identity.ineffective {
        _ if row.mode == AuthMode::Api => {
            return free(Action::Drop, "mode API does not read aws-auth".to_owned());
        }
        Some(Ineffective::OverriddenByEntry) => {
            let why = "an access entry of the same principal decides: delete the row";
            return free(Action::AlreadyMoved, why.to_owned());
        }
        Some(why) => {
            return free(Action::Drop, format!("it has no effect ({})", why.as_str()));
        }
        None => {}
    }
    if row.usage == Use::Unused {
        return free(Action::Drop, "nobody came in by it in the window".to_owned());
    }
    if let Some(why) = never(row) {
        return stuck(Action::CannotMove, why);
    }
    if let Some(why) = rebind(identity) {
        return stuck(Action::RebindFirst, why);
    }
    let (username, renamed) = match username(row) {
        Ok(name) => name,
        Err(why) => return stuck(Action::CannotMove, why),
    };
    let node = node_type(identity);
    let admin = identity.groups.iter().any(|group| group == MASTERS);
    let mut why = words(identity, node, admin);
    if row.dead_entry {
        why.push("the entry that it has never matches: delete it first".to_owned());
    }
    why.extend(renamed);
    if row.usage == Use::Unknown {
        why.push("whether anybody came in by it cannot be said".to_owned());
    }
    let is_user = identity.kind == IdentityKind::AwsAuthUser;
    let known = row.iam_arn.or(is_user.then_some(identity.principal.as_str()));
    let Some(arn) = known else {
        let lost = "aws-auth names the role without its path, and the inventory does not know it: an \
                    entry for the wrong ARN is refused";
        why.insert(0, lost.to_owned());
        return stuck(Action::FindArn, why.join("; "));
    };
    let groups = match node {
        Some(_) => Vec::new(),
        None => identity.groups.iter().filter(|group| *group != MASTERS).cloned().collect(),
    };
    let same = node.is_none() && !admin && !row.dead_entry;
    Move {
        action: if same { Action::CreateEntry } else { Action::Replace },
        why: why.join("; "),
        entry: Some(NewEntry {
            principal: arn.to_owned(),
            username,
            groups,
            entry_type: node.unwrap_or("STANDARD"),
            admin,
            delete_first: row.dead_entry,
        }),
        blocking: true,
    }
}

/// Why no entry can stand for the principal of a row.
fn never(row: &Row<'_>) -> Option<String> {
    let identity = row.identity;
    if identity.kind == IdentityKind::AwsAuthAccount {
        let who = match row.came {
            [] => "each principal in use".to_owned(),
            came => came.join(", "),
        };
        return Some(format!("no entry stands for a whole account: make one for {who}"));
    }
    let arn = row.iam_arn.unwrap_or(&identity.principal);
    let name = PrincipalName::from_arn(arn);
    let linked = arn.contains(":role/aws-service-role/")
        || name.as_ref().is_some_and(|name| name.name.starts_with("AWSServiceRoleFor"));
    if linked {
        let why = "EKS refuses entries for service-linked roles: the service makes its own, or needs \
                   another way in";
        return Some(why.to_owned());
    }
    match name.map(|name| name.kind) {
        Some(PrincipalKind::Role | PrincipalKind::User) => None,
        _ => Some("an entry is for one IAM role or user: this ARN is neither".to_owned()),
    }
}

/// Why the groups of a row must be others first.
fn rebind(identity: &Identity) -> Option<String> {
    let node = node_type(identity).is_some();
    let usual = |group: &String| group == MASTERS && !node || node && is_node_group(group);
    let others: Vec<&String> = identity.groups.iter().filter(|group| !usual(group)).collect();
    let list = |groups: Vec<&&String>| {
        groups.into_iter().map(|group| group.as_str()).collect::<Vec<_>>().join(", ")
    };
    if node && !others.is_empty() {
        let names = list(others.iter().collect());
        return Some(format!("an entry of a node carries no group: {names} must go first"));
    }
    let stuck: Vec<&&String> = others.iter().filter(|group| has_reserved_prefix(group)).collect();
    if !stuck.is_empty() {
        return Some(format!(
            "an entry may not carry {}: bind its roles to a group of your own first",
            list(stuck)
        ));
    }
    let template = others.iter().find(|group| group.contains("{{"))?;
    Some(format!("an entry takes groups as they are: {template} would be no template there"))
}

/// The groups of nodes; a typed entry stands for them.
fn is_node_group(group: &str) -> bool {
    matches!(
        group,
        "system:bootstrappers" | "system:nodes" | "system:node-proxier" | "eks:kube-proxy-windows"
    )
}

/// The type of the entry of a node.
fn node_type(identity: &Identity) -> Option<&'static str> {
    if !identity.username.starts_with("system:node:") {
        return None;
    }
    let has = |name: &str| identity.groups.iter().any(|group| group == name);
    Some(if has("eks:kube-proxy-windows") {
        "EC2_WINDOWS"
    } else if has("system:node-proxier") || identity.username.contains("{{SessionName") {
        "FARGATE_LINUX"
    } else {
        "EC2_LINUX"
    })
}

/// The username of the entry, empty for the default, and what to say of it; why there is none.
fn username(row: &Row<'_>) -> Result<(String, Option<String>), String> {
    let identity = row.identity;
    let name = identity.username.as_str();
    if name.is_empty() || node_type(identity).is_some() {
        return Ok((String::new(), None));
    }
    let account = Arn::parse(&identity.principal).map(|arn| arn.account).unwrap_or_default();
    let known = name.replace("{{AccountID}}", account);
    let why = if has_reserved_prefix(&known) {
        Some(format!("an entry may not take the username {name}"))
    } else {
        unfit(&known)
    };
    match why {
        None => Ok((known, None)),
        Some(why) if row.user_is_bound => {
            Err(format!("{why}, and RBAC binds it: bind a group in its place first"))
        }
        Some(why) => Ok((String::new(), Some(format!("{why}: it gets the default one")))),
    }
}

/// Why an entry cannot make usernames by this template.
fn unfit(name: &str) -> Option<String> {
    let mut rest = name.to_owned();
    for template in SESSION_TEMPLATES {
        if let Some((before, _)) = rest.split_once(template)
            && !before.contains(':')
        {
            return Some(format!("an entry takes {template} only after a colon: not {name}"));
        }
        rest = rest.replace(template, "");
    }
    rest.contains("{{").then(|| format!("an entry fills in no other template: not {name}"))
}

fn words(identity: &Identity, node: Option<&str>, admin: bool) -> Vec<String> {
    if let Some(kind) = node {
        return vec![format!(
            "an entry of type {kind}; of managed node groups and Fargate profiles EKS makes it itself"
        )];
    }
    let others: Vec<&str> =
        identity.groups.iter().map(String::as_str).filter(|group| *group != MASTERS).collect();
    let mut parts = Vec::new();
    if admin {
        parts.push(format!("{ADMIN_POLICY} in place of {MASTERS}"));
    }
    if !others.is_empty() {
        parts.push(format!("the groups {}", others.join(", ")));
    }
    let with = if parts.is_empty() { "no group".to_owned() } else { parts.join(" and ") };
    let mut words = vec![format!("a STANDARD entry with {with}")];
    if admin {
        let gap = "the row stops counting as soon as the entry is there: run both commands in one go, as \
                   somebody who has another way in";
        words.push(gap.to_owned());
    }
    words
}

/// Whether mode API would lock somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// The mode is API.
    Done,
    /// Nobody who came in needs aws-auth, and somebody else administers the cluster.
    Safe,
    /// Somebody would be locked out.
    Unsafe,
    /// It cannot be said.
    Unknown,
}

impl Safety {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Safety::Done => "done",
            Safety::Safe => "yes",
            Safety::Unsafe => "no",
            Safety::Unknown => "unknown",
        }
    }
}

/// What the safety of a cluster rests on.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// `None` when it was not read.
    pub mode: Option<AuthMode>,
    /// True when aws-auth and the access entries were read.
    pub is_read: bool,
    /// Rows that block, with their use.
    pub blocking: &'a [Use],
    /// True when an entry that works has [`ADMIN_POLICY`] on the cluster.
    pub has_admin: bool,
}

/// Is mode API safe? What is known to be lost weighs more than what is not known.
#[must_use]
pub fn safety(standing: &Standing<'_>) -> Safety {
    let used = standing.blocking.contains(&Use::Used);
    match standing.mode {
        Some(AuthMode::Api) => Safety::Done,
        // Entries do not count yet, and the creator's hidden right is in none.
        Some(AuthMode::ConfigMap) => Safety::Unsafe,
        _ if used => Safety::Unsafe,
        None => Safety::Unknown,
        Some(AuthMode::ApiAndConfigMap) if !standing.is_read => Safety::Unknown,
        Some(AuthMode::ApiAndConfigMap) if !standing.blocking.is_empty() => Safety::Unknown,
        Some(AuthMode::ApiAndConfigMap) if !standing.has_admin => Safety::Unsafe,
        Some(AuthMode::ApiAndConfigMap) => Safety::Safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(kind: IdentityKind, principal: &str, username: &str, groups: &[&str]) -> Identity {
        Identity {
            cluster: "c".to_owned(),
            kind,
            principal: principal.to_owned(),
            principal_id: None,
            username: username.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            entry_type: None,
            ineffective: None,
            created_at: None,
            modified_at: None,
            created_by: None,
            source: "",
        }
    }

    fn role(username: &str, groups: &[&str]) -> Identity {
        identity(IdentityKind::AwsAuthRole, "arn:aws:iam::1:role/ci", username, groups)
    }

    fn row(identity: &Identity) -> Row<'_> {
        Row {
            identity,
            mode: AuthMode::ApiAndConfigMap,
            iam_arn: Some("arn:aws:iam::1:role/team/ci"),
            usage: Use::Used,
            user_is_bound: false,
            dead_entry: false,
            came: &[],
        }
    }

    fn check(row: &Row<'_>, action: Action, why: &str) -> Move {
        let got = plan(row);
        assert_eq!(got.action, action, "{got:?}");
        assert!(got.why.contains(why), "{got:?}");
        let blocks = !matches!(action, Action::Drop | Action::AlreadyMoved);
        assert_eq!(got.blocking, blocks, "{got:?}");
        got
    }

    #[test]
    fn what_nobody_used_or_nothing_reads_goes() {
        let plain = role("ci", &["ops"]);
        check(&Row { usage: Use::Unused, ..row(&plain) }, Action::Drop, "nobody came in");
        check(&Row { mode: AuthMode::Api, ..row(&plain) }, Action::Drop, "mode API");
        let mut moved = role("ci", &["ops"]);
        moved.ineffective = Some(Ineffective::OverriddenByEntry);
        check(&row(&moved), Action::AlreadyMoved, "decides");
        moved.ineffective = Some(Ineffective::NeverMatches);
        check(&row(&moved), Action::Drop, "never_matches");
        // What may be in use is not dropped.
        let unknown = Row { usage: Use::Unknown, ..row(&plain) };
        check(&unknown, Action::CreateEntry, "cannot be said");
    }

    #[test]
    fn an_entry_gives_the_same_or_as_much() {
        let got = check(&row(&role("ci:{{SessionNameRaw}}", &["ops"])), Action::CreateEntry, "ops");
        let entry = got.entry.unwrap();
        assert_eq!(entry.principal, "arn:aws:iam::1:role/team/ci");
        assert_eq!((entry.username.as_str(), entry.admin), ("ci:{{SessionNameRaw}}", false));
        let got = check(&row(&role("ci", &["ops", "system:masters"])), Action::Replace, "Admin");
        let entry = got.entry.unwrap();
        assert_eq!((entry.groups, entry.admin), (vec!["ops".to_owned()], true));
        let node =
            role("system:node:{{EC2PrivateDNSName}}", &["system:bootstrappers", "system:nodes"]);
        let got = check(&row(&node), Action::Replace, "EC2_LINUX");
        let entry = got.entry.unwrap();
        assert_eq!(
            (entry.entry_type, entry.groups, entry.username.as_str()),
            ("EC2_LINUX", vec![], "")
        );
        let fargate = role("system:node:{{SessionName}}", &["system:nodes", "system:node-proxier"]);
        check(&row(&fargate), Action::Replace, "FARGATE_LINUX");
        let windows = role("system:node:x", &["system:nodes", "eks:kube-proxy-windows"]);
        check(&row(&windows), Action::Replace, "EC2_WINDOWS");
        let plain = role("ci", &["ops"]);
        let dead = Row { dead_entry: true, ..row(&plain) };
        let got = check(&dead, Action::Replace, "delete it first");
        assert!(got.entry.unwrap().delete_first);
        let of_account = role("{{AccountID}}:ci", &["ops"]);
        let got = check(&row(&of_account), Action::CreateEntry, "ops");
        assert_eq!(got.entry.unwrap().username, "1:ci");
    }

    #[test]
    fn names_that_an_entry_cannot_carry() {
        check(&row(&role("ci", &["system:ops"])), Action::RebindFirst, "system:ops");
        check(&row(&role("ci", &["team-{{SessionName}}"])), Action::RebindFirst, "no template");
        let node = role("system:node:x", &["system:nodes", "system:masters"]);
        check(&row(&node), Action::RebindFirst, "system:masters");
        for name in ["{{SessionNameRaw}}", "x-{{SessionName}}", "a:{{AccessKeyID}}", "eks:ci"] {
            let odd = role(name, &["ops"]);
            let got = check(&row(&odd), Action::CreateEntry, "default");
            assert_eq!(got.entry.unwrap().username, "", "{name}");
            let bound = Row { user_is_bound: true, ..row(&odd) };
            check(&bound, Action::CannotMove, name);
        }
    }

    #[test]
    fn principals_that_no_entry_stands_for() {
        let account = identity(IdentityKind::AwsAuthAccount, "222222222222", "", &[]);
        let came = ["arn:aws:iam::222222222222:role/x".to_owned()];
        check(&Row { came: &came, ..row(&account) }, Action::CannotMove, "role/x");
        let linked = role("ci", &[]);
        let path = Some("arn:aws:iam::1:role/aws-service-role/x.amazonaws.com/ci");
        check(&Row { iam_arn: path, ..row(&linked) }, Action::CannotMove, "service-linked");
        let root = identity(IdentityKind::AwsAuthUser, "arn:aws:iam::1:root", "root", &["ops"]);
        check(&Row { iam_arn: None, ..row(&root) }, Action::CannotMove, "neither");
        let plain = role("ci", &["ops"]);
        let lost = check(&Row { iam_arn: None, ..row(&plain) }, Action::FindArn, "path");
        assert_eq!(lost.entry, None);
        let user =
            identity(IdentityKind::AwsAuthUser, "arn:aws:iam::1:user/a/ann", "ann", &["ops"]);
        let got = check(&Row { iam_arn: None, ..row(&user) }, Action::CreateEntry, "ops");
        assert_eq!(got.entry.unwrap().principal, "arn:aws:iam::1:user/a/ann");
    }

    #[test]
    fn api_is_safe_when_nobody_is_left_behind() {
        let both = Some(AuthMode::ApiAndConfigMap);
        let check = |mode, is_read, blocking: &[Use], has_admin, expected| {
            let standing = Standing { mode, is_read, blocking, has_admin };
            assert_eq!(safety(&standing), expected, "{standing:?}");
        };
        check(both, true, &[], true, Safety::Safe);
        check(both, true, &[], false, Safety::Unsafe);
        check(both, true, &[Use::Unknown], true, Safety::Unknown);
        check(both, true, &[Use::Unknown, Use::Used], true, Safety::Unsafe);
        check(both, false, &[], true, Safety::Unknown);
        check(both, false, &[Use::Used], true, Safety::Unsafe);
        check(None, true, &[], true, Safety::Unknown);
        check(Some(AuthMode::ConfigMap), true, &[], true, Safety::Unsafe);
        check(Some(AuthMode::Api), false, &[Use::Used], false, Safety::Done);
    }
}
