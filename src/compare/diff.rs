//! Two runs side by side, grant by grant.

use std::collections::{BTreeMap, BTreeSet};

use super::{is_finding, rank};
use crate::model::arn::access_policy_name;
use crate::model::suppression::Suppression;
use crate::model::time::Micros;
use crate::table::rows::grants::{GrantRow, GrantRuleRow};
use crate::table::rows::verdicts::{RunRow, VerdictRow};

/// The tables of one run.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// The run.
    pub run: Vec<RunRow>,
    /// Its grants.
    pub grants: Vec<GrantRow>,
    /// Rules of their roles.
    pub rules: Vec<GrantRuleRow>,
    /// What it says of them.
    pub verdicts: Vec<VerdictRow>,
}

impl Side {
    /// The window of the run; nothing where the table is empty.
    #[must_use]
    pub fn window(&self) -> Option<(Micros, Micros)> {
        self.run.first().map(|run| (run.since, run.until))
    }
}

/// What kind of change it is, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The grant is only in the later run.
    New,
    /// It is only in the earlier one.
    Gone,
    /// It allows something else, or elsewhere.
    Changed,
    /// The verdict is another.
    Verdict,
    /// Nobody had used it, and now somebody did.
    NewlyUsed,
    /// It had been used, and now nobody does.
    NewlyUnused,
    /// The verdict is worse.
    SeverityUp,
    /// The verdict is less bad.
    SeverityDown,
}

impl ChangeKind {
    /// All kinds, in order.
    pub const ALL: [ChangeKind; 8] = [
        ChangeKind::New,
        ChangeKind::Gone,
        ChangeKind::Changed,
        ChangeKind::Verdict,
        ChangeKind::NewlyUsed,
        ChangeKind::NewlyUnused,
        ChangeKind::SeverityUp,
        ChangeKind::SeverityDown,
    ];

    /// The name in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::New => "new",
            ChangeKind::Gone => "gone",
            ChangeKind::Changed => "changed",
            ChangeKind::Verdict => "verdict",
            ChangeKind::NewlyUsed => "newly_used",
            ChangeKind::NewlyUnused => "newly_unused",
            ChangeKind::SeverityUp => "severity_up",
            ChangeKind::SeverityDown => "severity_down",
        }
    }
}

/// One change of one grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: ChangeKind,
    /// `critical` … `info`: how much it could do where the grant itself is new, gone or changed, else that
    /// of the verdict in the later run.
    pub severity: String,
    /// The grant.
    pub grant_id: String,
    /// Cluster ARN.
    pub cluster: String,
    /// For people.
    pub cluster_name: String,
    /// Who holds it.
    pub principal: String,
    /// The grant in a few words.
    pub grant: String,
    /// What differs: `scope`, `rules`, `verdict`, …
    pub what: &'static str,
    /// How it was.
    pub from: Option<String>,
    /// How it is.
    pub to: Option<String>,
    /// Who answers for what is found in the later run, if somebody does.
    pub suppression: Option<Suppression>,
    /// True when it is for the worse: more is granted, or there is more to do.
    pub worse: bool,
    /// True when the later run has a grant or a finding that the earlier had not.
    pub new: bool,
}

/// Compares two runs. Grants that AWS and Kubernetes put into every cluster are left out where they are
/// theirs in both.
#[must_use]
pub fn compare(a: &Side, b: &Side) -> Vec<Change> {
    let (a, b) = (Indexed::new(a), Indexed::new(b));
    let ids: BTreeSet<&str> = a.grants.keys().chain(b.grants.keys()).copied().collect();
    let mut groups: Vec<Vec<Change>> = ids.into_iter().map(|id| of_grant(id, &a, &b)).collect();
    groups.retain(|group| !group.is_empty());
    for group in &mut groups {
        group.sort_by_key(|change| (change.kind, change.what));
    }
    groups.sort_by_cached_key(|group| {
        let worst = group.iter().map(|change| rank(&change.severity)).max();
        let first = group.first();
        let text = |field: fn(&Change) -> &String| first.map(field).cloned();
        let cluster = (text(|one| &one.cluster_name), text(|one| &one.cluster));
        (std::cmp::Reverse(worst), cluster, text(|one| &one.principal), text(|one| &one.grant_id))
    });
    groups.into_iter().flatten().collect()
}

struct Indexed<'a> {
    grants: BTreeMap<&'a str, &'a GrantRow>,
    verdicts: BTreeMap<&'a str, &'a VerdictRow>,
    rules: BTreeMap<(&'a str, &'a str), BTreeSet<String>>,
}

impl<'a> Indexed<'a> {
    fn new(side: &'a Side) -> Self {
        let mut rules: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for row in &side.rules {
            let key = (row.cluster.as_str(), row.role_ref.as_str());
            rules.entry(key).or_default().insert(words_of_rule(row));
        }
        Indexed {
            grants: side.grants.iter().map(|row| (row.grant_id.as_str(), row)).collect(),
            verdicts: side.verdicts.iter().map(|row| (row.grant_id.as_str(), row)).collect(),
            rules,
        }
    }

    fn rules_of(&self, grant: &'a GrantRow) -> BTreeSet<&str> {
        let roles = grant.role_ref.split(',').map(|role| (grant.cluster.as_str(), role));
        roles.filter_map(|role| self.rules.get(&role)).flatten().map(String::as_str).collect()
    }
}

fn of_grant(id: &str, a: &Indexed<'_>, b: &Indexed<'_>) -> Vec<Change> {
    let (old, new) = (a.grants.get(id).copied(), b.grants.get(id).copied());
    let Some(grant) = new.or(old) else { return Vec::new() };
    if [old, new].into_iter().flatten().all(|grant| grant.managed_by_aws) {
        return Vec::new();
    }
    let (was, is) = (a.verdicts.get(id).copied(), b.verdicts.get(id).copied());
    let judged = is.or(was).map_or("info", |row| row.severity.as_str());
    let power = grant.power.as_deref().unwrap_or("info");
    let able = if rank(power) > rank(judged) { power } else { judged };
    let change = |kind: ChangeKind, what: &'static str| Change {
        kind,
        severity: if kind <= ChangeKind::Changed { able } else { judged }.to_owned(),
        grant_id: id.to_owned(),
        cluster: grant.cluster.clone(),
        cluster_name: grant.cluster_name.clone(),
        principal: grant.principal.clone(),
        grant: words_of_grant(grant),
        what,
        from: None,
        to: None,
        suppression: is.and_then(VerdictRow::suppression),
        worse: false,
        new: false,
    };
    match (old, new) {
        (None, _) => {
            let to = is.map(|row| row.verdict.clone());
            let new = change(ChangeKind::New, "grant");
            vec![Change { to, worse: true, new: true, ..new }]
        }
        (_, None) => {
            let from = was.map(|row| row.verdict.clone());
            vec![Change { from, ..change(ChangeKind::Gone, "grant") }]
        }
        (Some(old), Some(new)) => {
            let mut all: Vec<Change> = differing(a, b, old, new)
                .into_iter()
                .map(|(what, from, to)| Change {
                    from: Some(from),
                    to: Some(to),
                    worse: true,
                    ..change(ChangeKind::Changed, what)
                })
                .collect();
            if let (Some(was), Some(is)) = (was, is) {
                all.extend(of_verdicts(was, (is, new), change));
            }
            all
        }
    }
}

/// What the grant is that it was not: name, before, after.
fn differing<'a, 'b>(
    a: &Indexed<'a>,
    b: &Indexed<'b>,
    old: &'a GrantRow,
    new: &'b GrantRow,
) -> Vec<(&'static str, String, String)> {
    let shown = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
    let mut all = vec![
        ("scope", old.scope.clone(), new.scope.clone()),
        ("namespaces", old.namespaces.clone(), new.namespaces.clone()),
        ("role_ref", old.role_ref.clone(), new.role_ref.clone()),
        ("power", shown(old.power.as_deref()), shown(new.power.as_deref())),
        ("effective", old.effective.to_string(), new.effective.to_string()),
        ("managed_by_aws", old.managed_by_aws.to_string(), new.managed_by_aws.to_string()),
    ];
    let (before, after) = (a.rules_of(old), b.rules_of(new));
    // Of another role all rules differ, which the name of the role has said.
    if old.role_ref == new.role_ref {
        let listed = |rules: Vec<&str>| rules.join("; ");
        let gone = before.difference(&after).copied().collect();
        let come = after.difference(&before).copied().collect();
        all.push(("rules", listed(gone), listed(come)));
    }
    all.retain(|(_, from, to)| from != to);
    all
}

fn of_verdicts(
    was: &VerdictRow,
    (is, grant): (&VerdictRow, &GrantRow),
    change: impl Fn(ChangeKind, &'static str) -> Change,
) -> Vec<Change> {
    let mut all = Vec::new();
    let finds = is_finding(is, grant.managed_by_aws);
    let (from, to) = (rank(&was.severity), rank(&is.severity));
    let mut add = |kind, what, before: String, after: String, worse: bool, new: bool| {
        let (from, to) = (Some(before), Some(after));
        all.push(Change { from, to, worse, new, ..change(kind, what) });
    };
    if was.verdict != is.verdict {
        let (before, after) = (was.verdict.clone(), is.verdict.clone());
        add(ChangeKind::Verdict, "verdict", before, after, finds, finds);
    }
    // Where the evidence is missing, silence says nothing.
    let seen = |row: &VerdictRow| row.verdict != "unobservable";
    let used = |row: &VerdictRow| row.used_count > 0;
    let last = |row: &VerdictRow| match row.last_used {
        Some(at) => format!("last used {}", at.to_rfc3339()),
        None => "not used".to_owned(),
    };
    if !used(was) && used(is) && seen(was) {
        add(ChangeKind::NewlyUsed, "use", last(was), last(is), false, false);
    }
    if used(was) && !used(is) && seen(is) {
        add(ChangeKind::NewlyUnused, "use", last(was), last(is), true, false);
    }
    if from != to {
        let kind = if to > from { ChangeKind::SeverityUp } else { ChangeKind::SeverityDown };
        let worse = to > from && finds;
        let (before, after) = (was.severity.clone(), is.severity.clone());
        add(kind, "severity", before, after, worse, worse);
    }
    all
}

fn words_of_grant(grant: &GrantRow) -> String {
    let reference = match access_policy_name(&grant.grant_ref) {
        "" => String::new(),
        reference => format!(" {reference}"),
    };
    let role = match grant.role_ref.as_str() {
        role if role.is_empty() || role == grant.grant_ref => String::new(),
        role => format!(" -> {}", access_policy_name(role)),
    };
    let place = if grant.scope == "cluster" { "the cluster" } else { grant.namespaces.as_str() };
    format!("{}{reference}{role} on {}", grant.grant_kind, place.replace(',', ", "))
}

/// `get,list pods,secrets.apps named x`, `get /healthz`
fn words_of_rule(rule: &GrantRuleRow) -> String {
    let verbs = rule.verbs.join(",");
    if !rule.non_resource_urls.is_empty() {
        return format!("{verbs} {}", rule.non_resource_urls.join(","));
    }
    let groups: Vec<&str> = rule
        .api_groups
        .iter()
        .map(|group| if group.is_empty() { "core" } else { group.as_str() })
        .collect();
    let named = match rule.resource_names.join(",") {
        names if names.is_empty() => String::new(),
        names => format!(" named {names}"),
    };
    format!("{verbs} {} of {}{named}", rule.resources.join(","), groups.join(","))
}
