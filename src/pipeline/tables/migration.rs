//! Rows of `auth_mode_rows` and `auth_mode_plan`: the one-way move from aws-auth to access entries.

use super::{Inputs, JudgedCluster, write_sorted};
use crate::analyse::coverage::Coverage;
use crate::analyse::migration::{self, ADMIN_POLICY, Action, Move, Row, Safety, Standing, Use};
use crate::analyse::verdict::Kind;
use crate::join::cluster::Cluster;
use crate::model::arn::{Arn, PrincipalKind, PrincipalName};
use crate::model::grant::{GrantKind, Holder, Identity, IdentityKind, Ineffective};
use crate::model::inventory::{AuthMode, ClusterInventory, Subject};
use crate::pipeline::PipelineError;
use crate::pipeline::access::Seen;
use crate::rbac::template_matches;
use crate::remedy::commands;
use crate::report::summary::ApiMove;
use crate::table::rows::evidence::{AuthModePlanRow, AuthModeRow};

/// One cluster, with what was seen of it.
struct Place<'a> {
    inventory: &'a ClusterInventory,
    cluster: &'a Cluster<'a>,
    seen: &'a Seen,
    judged: &'a JudgedCluster,
    /// `None` when it was not read.
    mode: Option<AuthMode>,
    /// True when the audit log covers the window well enough for silence to mean something.
    covered: bool,
    /// How well, for people.
    coverage: String,
}

pub(super) fn write(
    inputs: &Inputs<'_>,
    coverage: &Coverage,
    judged: &[JudgedCluster],
) -> Result<Vec<ApiMove>, PipelineError> {
    let (mut rows, mut plan, mut moves) = (Vec::new(), Vec::new(), Vec::new());
    let all = inputs.world.clusters.iter().zip(&inputs.joined.clusters);
    for (((inventory, _), cluster), (seen, judged)) in
        all.zip(inputs.joined.seen.iter().zip(judged))
    {
        let share = coverage.audit(cluster.arn).share(inputs.analyse.window);
        let place = Place {
            inventory,
            cluster,
            seen,
            judged,
            mode: inventory.cluster.as_ref().map(|cluster| cluster.auth_mode),
            covered: share.ratio() >= inputs.analyse.min_coverage
                && share.longest_hole <= inputs.analyse.max_hole_hours,
            coverage: format!("{} of {} hours covered", share.covered, share.hours),
        };
        let of_cluster = rows_of(inputs, coverage, &place);
        let standing = standing(&place, &of_cluster);
        if standing.safe != Safety::Done {
            moves.push(ApiMove {
                cluster: inputs.world.name_of(inventory),
                mode: place.mode.map(AuthMode::as_str),
                safe: standing.safe.as_str(),
                why: standing.because.clone(),
            });
        }
        plan.extend(steps(&place, &of_cluster, &standing));
        rows.extend(of_cluster.into_iter().map(|(_, row)| row));
    }
    write_sorted(inputs, plan, |row: &AuthModePlanRow| (row.cluster.clone(), row.step_no))?;
    write_sorted(inputs, rows, |row: &AuthModeRow| {
        (row.cluster.clone(), row.kind.clone(), row.principal.clone(), row.row_no)
    })?;
    Ok(moves)
}

fn rows_of(inputs: &Inputs<'_>, coverage: &Coverage, place: &Place<'_>) -> Vec<(Use, AuthModeRow)> {
    let cluster = place.cluster;
    let has_log = coverage.has_audit(cluster.arn);
    let mut rows: Vec<(Use, AuthModeRow)> = Vec::new();
    for (idx, identity) in cluster.identities.iter().enumerate() {
        let kind = match identity.kind {
            IdentityKind::AwsAuthRole => "role",
            IdentityKind::AwsAuthUser => "user",
            IdentityKind::AwsAuthAccount => "account",
            _ => continue,
        };
        let last_used = place.seen.identities.get(&idx).copied();
        // Anybody of the account would be a sign of such a row; CloudTrail is not asked for them.
        let present = (identity.kind != IdentityKind::AwsAuthAccount)
            .then(|| {
                let id = identity.principal_id.as_deref();
                inputs.joined.presence.of(id, &identity.principal).last
            })
            .flatten();
        let id = identity.principal_id.as_deref();
        let iam_arn = id.and_then(|id| inputs.world.principals.arn_of(id));
        let usage = usage(place, idx);
        let came: Vec<String> =
            place.seen.of_accounts.get(&idx).into_iter().flatten().cloned().collect();
        let decided = migration::plan(&Row {
            identity,
            // A cluster that was not described is read as one that consults both.
            mode: place.mode.unwrap_or(AuthMode::ApiAndConfigMap),
            iam_arn,
            usage,
            user_is_bound: user_is_bound(cluster, identity),
            dead_entry: has_dead_entry(cluster, identity),
            came: &came,
        });
        let before =
            rows.iter().filter(|(_, row)| row.kind == kind && row.principal == identity.principal);
        let row_no = i32::try_from(before.count()).unwrap_or(i32::MAX);
        let (command, guardrail) = command(place, identity, &decided);
        rows.push((
            usage,
            AuthModeRow {
                cluster: cluster.arn.to_owned(),
                cluster_name: cluster.name.to_owned(),
                kind: kind.to_owned(),
                principal: identity.principal.clone(),
                row_no,
                username: identity.username.clone(),
                groups: identity.groups.join(","),
                effective: identity.ineffective.is_none(),
                ineffective_reason: identity.ineffective.map(|why| why.as_str().to_owned()),
                movable: decided.action.is_movable(),
                how: decided.why,
                used: (has_log || last_used.is_some()).then_some(last_used.is_some()),
                last_used,
                last_authenticated: present,
                action: decided.action.as_str().to_owned(),
                blocking: decided.blocking,
                iam_arn: iam_arn.map(str::to_owned),
                command,
                guardrail,
            },
        ));
    }
    rows
}

fn usage(place: &Place<'_>, idx: usize) -> Use {
    if place.seen.identities.contains_key(&idx) {
        return Use::Used;
    }
    let own = place.cluster.grants.iter().zip(&place.judged.verdicts);
    let too_new = own
        .filter(|(grant, _)| grant.holder == Holder::Identity(idx))
        .any(|(_, verdict)| verdict.kind == Kind::TooNew || verdict.also.contains(&Kind::TooNew));
    if place.covered && !too_new { Use::Unused } else { Use::Unknown }
}

/// True when RBAC names the user that the mapping makes.
fn user_is_bound(cluster: &Cluster<'_>, identity: &Identity) -> bool {
    cluster.grants.iter().any(|grant| match &grant.holder {
        Holder::Subject(Subject::User(name)) => {
            grant.kind == GrantKind::RbacSubject && template_matches(&identity.username, name)
        }
        _ => false,
    })
}

/// True when the principal has an entry that is there and never matches.
fn has_dead_entry(cluster: &Cluster<'_>, identity: &Identity) -> bool {
    let name = |arn: &str| PrincipalName::from_arn(arn).map(PrincipalName::folded);
    let wanted = name(&identity.principal);
    wanted.is_some()
        && cluster.identities.iter().any(|other| {
            // What is deleted is in nobody's way, nor what the mode does not read.
            let dead = other.ineffective.is_some_and(|why| {
                !matches!(why, Ineffective::Deleted | Ineffective::EntriesDisabled)
            });
            other.kind == IdentityKind::AccessEntry && dead && name(&other.principal) == wanted
        })
}

/// The command that does what is decided, and the guardrail of whoever runs it.
fn command(
    place: &Place<'_>,
    identity: &Identity,
    decided: &Move,
) -> (Option<String>, Option<String>) {
    let cluster = place.cluster.arn;
    match decided.action {
        Action::Drop if place.mode == Some(AuthMode::Api) => (None, None),
        Action::Drop | Action::AlreadyMoved => (Some(commands::aws_auth(cluster, "edit")), None),
        Action::FindArn => {
            let name = PrincipalName::from_arn(&identity.principal);
            let role = name.filter(|name| name.kind == PrincipalKind::Role);
            (role.map(|role| commands::role_arn(&role.name)), None)
        }
        Action::RebindFirst | Action::CannotMove => (None, None),
        Action::CreateEntry | Action::Replace => {
            let Some(entry) = &decided.entry else { return (None, None) };
            let partition = Arn::parse(cluster).map_or("aws", |arn| arn.partition);
            let admin = format!("arn:{partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}");
            let entry = commands::Entry {
                cluster: cluster.to_owned(),
                principal: entry.principal.clone(),
                username: entry.username.clone(),
                groups: entry.groups.clone(),
                entry_type: entry.entry_type.to_owned(),
                policies: if entry.admin { vec![admin] } else { Vec::new() },
                delete_first: entry.delete_first,
            };
            (Some(entry.command()), Some(entry.guardrail()))
        }
    }
}

/// True when an entry that works administers the cluster.
fn has_admin(cluster: &Cluster<'_>) -> bool {
    cluster.grants.iter().any(|grant| {
        let all = grant.scope == "cluster" && grant.ineffective.is_none();
        let full = grant.grant_ref.ends_with(&format!("/{ADMIN_POLICY}"))
            || grant.kind == GrantKind::EntryGroup
                && grant.role_ref.split(',').any(|role| role == "ClusterRole/cluster-admin");
        all && full && grant.identity_kind == Some(IdentityKind::AccessEntry)
    })
}

/// How far a cluster is on its way.
struct Stand {
    safe: Safety,
    /// Why, for people.
    because: String,
    has_admin: bool,
}

fn standing(place: &Place<'_>, rows: &[(Use, AuthModeRow)]) -> Stand {
    let mode = place.mode;
    let is_read = place.inventory.kubernetes.is_some() && place.inventory.access_entries.is_some();
    let blocking: Vec<Use> =
        rows.iter().filter(|(_, row)| row.blocking).map(|(usage, _)| *usage).collect();
    let has_admin = has_admin(place.cluster);
    let safe = migration::safety(&Standing { mode, is_read, blocking: &blocking, has_admin });
    Stand { safe, because: because(safe, &blocking, has_admin), has_admin }
}

/// Steps of a cluster, in the order in which they are taken.
fn steps(place: &Place<'_>, rows: &[(Use, AuthModeRow)], standing: &Stand) -> Vec<AuthModePlanRow> {
    let arn = place.cluster.arn;
    let mode = place.mode;
    let aws_auth = place.inventory.kubernetes.as_ref().map(|found| found.aws_auth.is_some());
    let entries = place.inventory.access_entries.is_some();
    let Stand { safe, has_admin, .. } = *standing;
    let is_over = safe == Safety::Done;
    let step = |step: &str, what: &str, why: String| AuthModePlanRow {
        cluster: arn.to_owned(),
        cluster_name: place.cluster.name.to_owned(),
        mode: mode.map(|mode| mode.as_str().to_owned()),
        api_safe: safe.as_str().to_owned(),
        step: step.to_owned(),
        what: what.to_owned(),
        why,
        ..AuthModePlanRow::default()
    };
    let mut all = Vec::new();
    if mode.is_none()
        || !is_over && (aws_auth.is_none() || mode != Some(AuthMode::ConfigMap) && !entries)
    {
        let why = "the mode, aws-auth or the access entries are not in the inventory: what mode API would \
                   take away cannot be said";
        all.push(AuthModePlanRow {
            blocking: true,
            ..step("read_inventory", "take the inventory of the cluster again", why.to_owned())
        });
    }
    let one_way =
        "one way: access entries cannot be switched off again; aws-auth still counts beside them";
    all.push(AuthModePlanRow {
        command: (mode == Some(AuthMode::ConfigMap))
            .then(|| commands::set_mode(arn, AuthMode::ApiAndConfigMap.as_str())),
        blocking: mode == Some(AuthMode::ConfigMap),
        done: matches!(mode, Some(AuthMode::ApiAndConfigMap | AuthMode::Api)),
        ..step("enable_entries", "switch to API_AND_CONFIG_MAP", one_way.to_owned())
    });
    all.extend(creator(place).map(|(what, why)| AuthModePlanRow {
        command: Some(commands::list_entries(arn)),
        blocking: true,
        ..step("creator", &what, why)
    }));
    if !is_over {
        let why = "when aws-auth no longer counts, somebody must still be able to give access";
        let what = format!("have an access entry with {ADMIN_POLICY} on the cluster");
        all.push(AuthModePlanRow {
            blocking: !has_admin,
            done: has_admin,
            ..step("admin_entry", &what, why.to_owned())
        });
    }
    let unknown = rows.iter().any(|(usage, row)| *usage == Use::Unknown && row.blocking);
    if unknown {
        let why =
            format!("{}: of some rows it cannot be said whether anybody came", place.coverage);
        all.push(AuthModePlanRow {
            blocking: true,
            ..step("cover_logs", "read audit logs of the whole window, or wait", why)
        });
    }
    // What is new comes before what is old goes.
    for wanted in [true, false] {
        for (_, row) in rows.iter().filter(|(_, row)| row.blocking == wanted) {
            all.push(AuthModePlanRow {
                subject: row.principal.clone(),
                command: row.command.clone(),
                guardrail: row.guardrail.clone(),
                blocking: row.blocking,
                ..step(&row.action, what_of(&row.action), row.how.clone())
            });
        }
    }
    all.push(AuthModePlanRow {
        // There is no way back: nobody is handed the command before it is safe.
        command: (safe == Safety::Safe).then(|| commands::set_mode(arn, AuthMode::Api.as_str())),
        // It is what the others block.
        blocking: false,
        done: is_over,
        ..step("switch_to_api", "switch to API", why_api(standing))
    });
    let why = "in mode API it is not read; it misleads whoever looks for access there";
    all.push(AuthModePlanRow {
        command: (aws_auth != Some(false)).then(|| commands::aws_auth(arn, "delete")),
        done: aws_auth == Some(false),
        ..step("delete_aws_auth", "delete the ConfigMap aws-auth", why.to_owned())
    });
    for (number, row) in (1..).zip(&mut all) {
        row.step_no = number;
    }
    all
}

/// The right of whoever made the cluster, which nothing shows in mode `CONFIG_MAP`.
fn creator(place: &Place<'_>) -> Option<(String, String)> {
    let mut identities = place.cluster.identities.iter().enumerate();
    let (idx, _) = identities.find(|(_, one)| one.kind == IdentityKind::ClusterCreator)?;
    let seen = match place.seen.identities.get(&idx) {
        Some(last) => format!("; it was last used {}", last.to_rfc3339()),
        None => String::new(),
    };
    let why = format!(
        "whoever made the cluster holds system:masters by a mapping that nothing shows{seen}; EKS makes an \
         entry of it when entries are switched on, which can be seen and deleted"
    );
    Some(("look at the entry of the cluster's creator once entries are on".to_owned(), why))
}

fn what_of(action: &str) -> &'static str {
    match action {
        "drop" => "delete the row of aws-auth",
        "create_entry" => "make an access entry that gives the same",
        "replace" => "make an access entry that gives as much",
        "rebind_first" => "give its groups other names, then make an access entry",
        "find_arn" => "find the ARN of the role, then make an access entry",
        "already_moved" => "delete the row of aws-auth, its entry decides",
        _ => "find another way in: no access entry takes its place",
    }
}

fn because(safe: Safety, blocking: &[Use], has_admin: bool) -> String {
    let count = |wanted| blocking.iter().filter(|usage| **usage == wanted).count();
    let (used, unknown) = (count(Use::Used), count(Use::Unknown));
    match safe {
        Safety::Done => "the mode is API".to_owned(),
        Safety::Safe => "nobody who came in in the window needs aws-auth".to_owned(),
        Safety::Unsafe if used > 0 => format!("rows in use that are not moved: {used}"),
        Safety::Unsafe if !has_admin => "no entry administers the cluster".to_owned(),
        Safety::Unsafe => "entries do not count before they are switched on".to_owned(),
        Safety::Unknown => {
            format!("rows that may be in use: {unknown}; or the inventory has holes")
        }
    }
}

fn why_api(standing: &Stand) -> String {
    let said = match standing.safe {
        Safety::Done => return standing.because.clone(),
        Safety::Safe => "",
        Safety::Unsafe => "not yet: ",
        Safety::Unknown => "cannot be said: ",
    };
    format!("{said}{}; one way: there is no way back to aws-auth", standing.because)
}
