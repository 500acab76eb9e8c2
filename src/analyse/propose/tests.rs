//! What holds a proposal back, and how grants are split.

use super::*;
use crate::analyse::AnalysePlan;
use crate::analyse::evidence::collect;
use crate::analyse::scope::width;
use crate::analyse::tests::{DAY, case, grant, identity, inventory, window};
use crate::analyse::{paths, verdict};
use crate::join::sessions::Sessions;
use crate::join::usage::{Member as Used, Use};
use crate::model::fact::Via;
use crate::model::grant::Allows;
use crate::model::permission::{Rule, Scope};
use crate::rbac::cells::Universe;
use crate::rbac::policies::PolicyTable;
use crate::rbac::smallest::Offers;

/// The principal of every identity here.
const ROLE: &str = "arn:aws:iam::1:role/r1";

/// A grant of everything in the core, apps and RBAC groups.
fn wide(kind: GrantKind, reference: &str, holder: Holder) -> Grant {
    let all = vec!["*".to_owned()];
    let groups = ["", "apps", "rbac.authorization.k8s.io", "certificates.k8s.io"];
    let rule = Rule {
        verbs: ["get", "list", "create", "update", "delete"].map(str::to_owned).to_vec(),
        api_groups: groups.map(str::to_owned).to_vec(),
        resources: all,
        ..Rule::default()
    };
    let rules = vec![ScopedRule { scope: Scope::Cluster, rule }];
    Grant { principal: ROLE.to_owned(), ..grant(kind, reference, holder, rules) }
}

/// `verb group:resource[/sub] namespace`
fn permission(text: &str) -> Permission {
    let words: Vec<&str> = text.split(' ').collect();
    let (api_group, resource) = words[1].split_once(':').unwrap_or(("", words[1]));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Permission {
        verb: words[0].to_owned(),
        api_group: api_group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: words.get(2).copied().unwrap_or_default().to_owned(),
        ..Permission::default()
    }
}

/// Everything a case is made of; uses name the grants that carried them and a session's team.
struct Small<'a> {
    groups: &'a [&'a str],
    grants: Vec<Grant>,
    uses: Vec<(&'a str, Vec<usize>, &'a str)>,
    members: Vec<Member>,
    people: &'a [&'a str],
}

impl Small<'_> {
    /// What is said of every grant: the word, and why.
    fn decide(&self) -> Vec<(&'static str, String)> {
        let groups: Vec<String> = self.groups.iter().map(|group| (*group).to_owned()).collect();
        let identities = [identity(1, &groups)];
        let cluster = Cluster::new("c", "c", &identities, &self.grants, &[]);
        let window = window();
        let mut usage = Usage::default();
        usage.members.push(Used {
            principal_id: "AROA1".to_owned(),
            username: ROLE.to_owned(),
            groups,
        });
        let mut profiles = Profiles::default();
        for (text, grants, team) in &self.uses {
            let profile = profiles.of_attributes(&[("tag:team", team), ("person", team)]);
            usage.uses.push(Use {
                member: 0,
                via: Via::Direct,
                permission: permission(text),
                grants: grants.iter().map(|grant| (*grant, true)).collect(),
                first: Micros(DAY),
                last: Micros(2 * DAY),
                days: vec![Micros(DAY).day()],
                count: 1,
                profiles: vec![profile],
            });
        }
        let evidence = collect(&cluster, &usage, &Sessions::default(), None, window);
        let namespaces = ["shop".to_owned(), "pay".to_owned()];
        let universe = Universe::new(None, &namespaces, usage.uses.iter().map(|u| &u.permission));
        let offers = Offers::new(PolicyTable::builtin(), &universe);
        let all_paths = paths::of_uses(&cluster, &usage);
        let widths: Vec<u64> = self.grants.iter().map(|g| width(g, &universe)).collect();
        let inventory = inventory();
        let case = verdict::Case {
            universe,
            reviews_seen: true,
            offers: &offers,
            ..case(&cluster, &inventory)
        };
        let plan = AnalysePlan::new(window);
        let verdicts: Vec<Verdict> = self
            .grants
            .iter()
            .enumerate()
            .map(|(idx, grant)| {
                verdict::judge(&case, grant, &evidence[idx], false, widths[idx], &plan)
            })
            .collect();
        let rivals = paths::rivals(self.grants.len(), &all_paths);
        let advice =
            super::super::recommend::advise(&self.grants, &evidence, &verdicts, &rivals, false);
        let decisions = propose(&super::Case {
            cluster: &cluster,
            mode: Some(AuthMode::Api),
            members: &self.members,
            usage: &usage,
            profiles: &profiles,
            people: &BTreeMap::from([(
                PrincipalName::from_arn(ROLE).unwrap(),
                self.people.iter().copied().collect(),
            )]),
            evidence: &evidence,
            verdicts: &verdicts,
            advice: &advice,
            widths: &widths,
            paths: &all_paths,
            making: Making {
                universe: &case.universe,
                offers: &offers,
                verb_groups: VerbGroups::Exact,
            },
            reviews_seen: true,
            stale: false,
            threads: 1,
            new_since: Micros(60 * DAY),
        });
        decisions.into_iter().map(|d| (d.advice.as_str(), d.why.join("; "))).collect()
    }
}

const POLICY: &str = "arn:aws:eks::aws:cluster-access-policy/Own";

fn by_policy<'a>(uses: &[(&'a str, &'a str)]) -> Small<'a> {
    Small {
        groups: &[],
        grants: vec![wide(GrantKind::AccessPolicy, POLICY, Holder::Identity(0))],
        uses: uses.iter().map(|(text, team)| (*text, vec![0], *team)).collect(),
        members: Vec::new(),
        people: &[],
    }
}

#[test]
fn who_hands_out_rights_keeps_them() {
    let check = |uses: &[(&str, &str)], word: &str, why: &str| {
        let got = by_policy(uses).decide();
        assert_eq!(got[0].0, word, "{uses:?}: {got:?}");
        assert!(got[0].1.contains(why), "{got:?}");
    };
    let plain = ("get pods shop", "a");
    check(&[plain], "replace", "");
    let bind = ("create rbac.authorization.k8s.io:rolebindings shop", "a");
    check(&[plain, bind], "review", "may hand out only what it holds");
    let approve = ("update certificates.k8s.io:certificatesigningrequests/approval", "a");
    check(&[plain, approve], "review", "needs approve on the signer");
    // Reading them hands out nothing.
    check(&[plain, ("get rbac.authorization.k8s.io:roles shop", "a")], "replace", "");
    // Somebody who may do everything by another grant can spare this one.
    let mut small = by_policy(&[plain, bind]);
    let mut all = wide(
        GrantKind::AccessPolicy,
        "arn:aws:eks::aws:cluster-access-policy/All",
        Holder::Identity(0),
    );
    all.allows = Allows::Everything;
    // Too new to be judged: it stays.
    all.valid_from = Some(Micros(80 * DAY));
    small.grants.push(all);
    assert_eq!(small.decide()[0].0, "replace", "{:?}", small.decide());
}

#[test]
fn an_unused_grant_of_a_writer_may_be_what_it_hands_out() {
    let mut small = by_policy(&[("create rbac.authorization.k8s.io:rolebindings shop", "a")]);
    small.grants.push(wide(
        GrantKind::AccessPolicy,
        "arn:aws:eks::aws:cluster-access-policy/Idle",
        Holder::Identity(0),
    ));
    let got = small.decide();
    assert_eq!(got[1].0, "review", "{got:?}");
    assert!(got[1].1.contains("may hand out only what it holds"));
    let mut small = by_policy(&[("get pods shop", "a")]);
    small.grants.push(wide(
        GrantKind::AccessPolicy,
        "arn:aws:eks::aws:cluster-access-policy/Idle",
        Holder::Identity(0),
    ));
    assert_eq!(small.decide()[1].0, "remove");
}

#[test]
fn one_half_of_a_path_is_cut() {
    let group = Holder::Subject(Subject::Group("devs".to_owned()));
    let mut small = Small {
        groups: &["devs"],
        grants: vec![
            wide(GrantKind::EntryGroup, "devs", Holder::Identity(0)),
            wide(GrantKind::RbacSubject, "ClusterRoleBinding/devs", group),
        ],
        uses: vec![("get pods shop", vec![0, 1], "a")],
        members: Vec::new(),
        people: &[],
    };
    let got = small.decide();
    assert_eq!((got[0].0, got[1].0), ("keep", "narrow"), "{got:?}");
    assert!(got[0].1.contains("made smaller at ClusterRoleBinding/devs"));
    // A binding whose members cannot be listed is a person's; the mapping is not.
    small.grants[1].open_ended = true;
    let got = small.decide();
    assert_eq!((got[0].0, got[1].0), ("replace", "review"), "{got:?}");
    assert!(got[1].1.contains("cannot be listed"));
}

#[test]
fn silent_members_are_named_and_new_ones_wait() {
    let group = Holder::Subject(Subject::Group("devs".to_owned()));
    let member = |name: &str| Member {
        grant: 0,
        principal_id: String::new(),
        username: name.to_owned(),
        via_identity: IdentityKind::AccessEntry,
        via_group: "devs".to_owned(),
    };
    let small = Small {
        groups: &["devs"],
        grants: vec![wide(GrantKind::RbacSubject, "ClusterRoleBinding/devs", group)],
        uses: vec![("get pods shop", vec![0], "a")],
        members: vec![member("ann"), member("bo")],
        people: &[],
    };
    let got = small.decide();
    assert_eq!(got[0].0, "narrow");
    assert!(
        got[0].1.contains("unused so far, and would keep no more than that: ann, bo"),
        "{got:?}"
    );
}

#[test]
fn disjoint_teams_are_split_and_others_are_not() {
    let check = |uses: &[(&str, &str)], word: &str| {
        let got = by_policy(uses).decide();
        assert_eq!(got[0].0, word, "{uses:?}: {got:?}");
    };
    check(&[("get pods shop", "a"), ("get pods pay", "b")], "split");
    check(&[("get pods shop", "a"), ("get pods pay", "a")], "replace");
    check(&[("get pods shop", "a"), ("list pods shop", "b")], "replace");
    check(&[("get pods shop", "a"), ("get pods pay", "")], "replace");
}

#[test]
fn few_of_many_people_are_counted() {
    let people: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let mut small = by_policy(&[("get pods shop", "p1"), ("list pods shop", "p2")]);
    small.people = &people;
    let got = small.decide();
    assert!(got[0].1.contains("used by 2 of 40 people"), "{got:?}");
}

/// Names of policies and number of rules of each candidate, and the chosen one.
#[test]
fn custom_resources_need_rules() {
    let grant = {
        let mut grant = wide(GrantKind::AccessPolicy, POLICY, Holder::Identity(0));
        let Allows::Rules(rules) = &mut grant.allows else { unreachable!() };
        rules[0].rule.api_groups.push("acme.com".to_owned());
        rules[0].rule.verbs.push("watch".to_owned());
        grant
    };
    let check = |used: &[&str], expected: (Chosen, &[&str], usize)| {
        let used: Vec<Permission> = used.iter().map(|text| permission(text)).collect();
        let namespaces = ["shop".to_owned(), "pay".to_owned()];
        let universe = Universe::new(None, &namespaces, used.iter());
        let offers = Offers::new(PolicyTable::builtin(), &universe);
        let making =
            Making { universe: &universe, offers: &offers, verb_groups: VerbGroups::Exact };
        let used: Vec<&Permission> = used.iter().collect();
        let has = width(&grant, &universe);
        let Allows::Rules(rules) = &grant.allows else { unreachable!() };
        let size = (has, needed_cells(rules, &used, &universe));
        let found = making.candidates(&grant, &used, size, true, &BTreeSet::new()).unwrap();
        let chosen = found.chosen();
        let policies: Vec<&str> = chosen.policies.iter().map(|p| p.policy.as_str()).collect();
        assert_eq!((found.chosen, policies.as_slice(), chosen.rules.len()), expected, "{used:?}");
        let allows = chosen.allows(&offers);
        assert!(used.iter().all(|one| rbac::covers(&allows, one)));
    };
    check(&["get pods shop", "list pods shop"], (Chosen::Policy, &["AmazonEKSViewPolicy"], 0));
    // The rule for the resource, and core events.
    check(&["get acme.com:widgets shop"], (Chosen::Rbac, &[], 2));
    // Policies for what they cover where that saves rules; the rest and its events by rules.
    check(
        &[
            "get pods shop",
            "list services shop",
            "watch configmaps shop",
            "get apps:deployments shop",
            "list apps:statefulsets shop",
            "get acme.com:widgets shop",
        ],
        (Chosen::Hybrid, &["AmazonEKSViewPolicy"], 2),
    );
}
