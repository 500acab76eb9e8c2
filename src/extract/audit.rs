//! A Kubernetes audit event to its facts.
//!
//! One request gives one fact; impersonation gives two kinds (the caller used `impersonate`, the
//! other user's rights carried the request); an answered SubjectAccessReview adds the use it was
//! asked about. AWS extras are believed only of the authenticated user, and only if its uid proves
//! that the IAM authenticator wrote them: whoever impersonates chooses the extras of the other.
//! Source: <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{id_from_parts, user_agent_family};
use crate::decode::audit::{
    Event, NonResourceAttributes, ObjectRef, ResourceAttributes, ResponseStatus, Review,
    ReviewSpec, ReviewStatus, User,
};
use crate::decode::lenient::{Part, Text, Unread, part, strings};
use crate::model::fact::{AccessFact, Decision, Fact, FactBody, KubeUser, Via};
use crate::model::permission::Permission;
use crate::model::time::{Micros, Window};

const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Appends the facts of one event that lie in `window`. Returns the time of the request, or `None`
/// when it has none that reads.
pub(crate) fn extract(
    bytes: &[u8],
    cluster: &str,
    window: Window,
    facts: &mut Vec<Fact>,
) -> Result<Option<Micros>, Unread> {
    Event::read(bytes, |event| {
        // The request's own time is equal over all stages, so they fold even across an hour.
        let times = [&event.request_received_timestamp, &event.timestamp, &event.stage_timestamp];
        let at = times.into_iter().find_map(|text| Micros::parse(text.as_str()))?;
        if window.contains(at) {
            Reading::new(event, cluster).facts(at, facts);
        }
        Some(at)
    })
}

struct Reading<'a> {
    event: &'a Event<'a>,
    cluster: &'a str,
    caller: KubeUser,
    impersonated: Option<KubeUser>,
    annotations: BTreeMap<Cow<'a, str>, Text<'a>>,
}

impl<'a> Reading<'a> {
    fn new(event: &'a Event<'a>, cluster: &'a str) -> Self {
        let caller = caller(event.user);
        let impersonated = event
            .impersonated_user
            .map(|raw| plain_user(&part::<User<'_>>(Some(raw))))
            .filter(|user| !user.username.is_empty());
        Reading { event, cluster, caller, impersonated, annotations: event.annotations() }
    }

    fn facts(&self, at: Micros, facts: &mut Vec<Fact>) {
        let id = self.id(at);
        let rank = match self.event.stage.as_str() {
            "RequestReceived" => 4,
            "ResponseStarted" => 3,
            "Panic" => 2,
            _ => 1,
        };
        let mut ordinal = 0;
        let mut push = |body: AccessFact| {
            let body = FactBody::Access(Box::new(body));
            facts.push(Fact { id, ordinal, rank, at, body });
            ordinal += 1;
        };
        if let Some(target) = &self.impersonated {
            // No annotation speaks of the impersonation itself; that the request went on does.
            for permission in impersonations(target) {
                push(AccessFact {
                    permission,
                    decision: Decision::Allow,
                    ..self.blank(Via::Direct, self.caller.clone())
                });
            }
        }
        let (via, subject) = match &self.impersonated {
            Some(target) => (Via::Impersonated, target.clone()),
            None => (Via::Direct, self.caller.clone()),
        };
        push(AccessFact {
            permission: self.permission(),
            decision: self.decision(),
            reason: self.annotation("authorization.k8s.io/reason"),
            status_class: self.status_class(),
            issued_credential_id: self
                .annotation("authentication.kubernetes.io/issued-credential-id"),
            ..self.blank(via, subject)
        });
        if let Some(review) = self.review() {
            push(review);
        }
    }

    fn blank(&self, via: Via, subject: KubeUser) -> AccessFact {
        AccessFact {
            cluster: self.cluster.to_owned(),
            caller: self.caller.clone(),
            via,
            subject,
            user_agent_family: user_agent_family(self.event.user_agent.as_str()),
            ..AccessFact::default()
        }
    }

    fn id(&self, at: Micros) -> u128 {
        let target = self.impersonated.as_ref().map_or("", |user| user.username.as_str());
        id_from_parts(&[
            self.event.audit_id.as_str().as_bytes(),
            &at.0.to_be_bytes(),
            self.event.verb.as_str().as_bytes(),
            self.event.request_uri.as_str().as_bytes(),
            self.caller.username.as_bytes(),
            self.caller.uid.as_bytes(),
            target.as_bytes(),
        ])
    }

    fn annotation(&self, key: &str) -> String {
        self.annotations.get(key).map(Text::to_owned).unwrap_or_default()
    }

    fn decision(&self) -> Decision {
        match self.annotations.get("authorization.k8s.io/decision").map(Text::as_str) {
            Some("allow") => Decision::Allow,
            Some("forbid") => Decision::Forbid,
            _ => Decision::Unknown,
        }
    }

    fn status_class(&self) -> u8 {
        let status: ResponseStatus<'_> = part(self.event.response_status);
        match status.code.as_str().parse::<u16>() {
            Ok(code @ 100..=599) => u8::try_from(code / 100).unwrap_or(0),
            _ => 0,
        }
    }

    fn permission(&self) -> Permission {
        let verb = self.event.verb.as_str().to_owned();
        let object: ObjectRef<'_> = part(self.event.object_ref);
        if object.resource.as_str().is_empty() {
            let path = self.event.request_uri.as_str().split('?').next().unwrap_or_default();
            return Permission { verb, path: path.to_owned(), ..Permission::default() };
        }
        let name = if sees_name(&verb, object.subresource.as_str()) {
            object.name.to_owned()
        } else {
            String::new()
        };
        Permission {
            verb,
            api_group: object.api_group.to_owned(),
            resource: object.resource.to_owned(),
            subresource: object.subresource.to_owned(),
            namespace: object.namespace.to_owned(),
            name,
            path: String::new(),
        }
    }

    /// The use that a SubjectAccessReview asked about, where its bodies were logged.
    fn review(&self) -> Option<AccessFact> {
        let object: ObjectRef<'_> = part(self.event.object_ref);
        let is_review = object.api_group.as_str() == "authorization.k8s.io"
            && matches!(
                object.resource.as_str(),
                "subjectaccessreviews" | "localsubjectaccessreviews"
            )
            && self.event.verb.as_str() == "create";
        if !is_review || self.decision() != Decision::Allow {
            return None;
        }
        let answer: Review<'_> = part(self.event.response_object);
        let asked: Review<'_> = part(self.event.request_object);
        let spec = answer.spec.or(asked.spec)?;
        let status: ReviewStatus<'_> = part(answer.status);
        let decision = match status.allowed.as_str() {
            "true" => Decision::Allow,
            "false" => Decision::Forbid,
            _ => return None,
        };
        let subject = plain_user(&part::<User<'_>>(Some(spec)));
        if subject.username.is_empty() && subject.groups.is_empty() {
            return None;
        }
        let what: ReviewSpec<'_> = part(Some(spec));
        let permission = if what.resource_attributes.is_some() {
            let asked: ResourceAttributes<'_> = part(what.resource_attributes);
            Permission {
                verb: asked.verb.to_owned(),
                api_group: asked.group.to_owned(),
                resource: asked.resource.to_owned(),
                subresource: asked.subresource.to_owned(),
                namespace: asked.namespace.to_owned(),
                name: asked.name.to_owned(),
                path: String::new(),
            }
        } else {
            let asked: NonResourceAttributes<'_> = part(what.non_resource_attributes);
            Permission {
                verb: asked.verb.to_owned(),
                path: asked.path.to_owned(),
                ..Permission::default()
            }
        };
        Some(AccessFact {
            permission,
            decision,
            reason: status.reason.to_owned(),
            ..self.blank(Via::Delegated, subject)
        })
    }
}

/// True when authorization saw the object's name. The audit log also fills it from the body of a
/// create, which RBAC never sees.
fn sees_name(verb: &str, subresource: &str) -> bool {
    match verb {
        "create" => !subresource.is_empty(),
        "deletecollection" => false,
        _ => true,
    }
}

/// What the caller had to be allowed to impersonate.
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>.
fn impersonations(target: &KubeUser) -> Vec<Permission> {
    let one = |resource: &str, namespace: &str, name: &str| Permission {
        verb: "impersonate".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Permission::default()
    };
    let account = target
        .username
        .strip_prefix(SERVICE_ACCOUNT_PREFIX)
        .and_then(|account| account.split_once(':'));
    let mut all = Vec::new();
    let mut implied = vec!["system:authenticated".to_owned()];
    match account {
        Some((namespace, name)) => {
            all.push(one("serviceaccounts", namespace, name));
            implied.push("system:serviceaccounts".to_owned());
            implied.push(format!("system:serviceaccounts:{namespace}"));
        }
        None => all.push(one("users", "", &target.username)),
    }
    for group in &target.groups {
        if !implied.contains(group) {
            all.push(one("groups", "", group));
        }
    }
    // One ordinal is left for the request and one for a review.
    all.truncate(200);
    all
}

fn plain_user(user: &User<'_>) -> KubeUser {
    let mut groups = strings(user.groups);
    groups.sort();
    groups.dedup();
    KubeUser {
        username: user.username.to_owned(),
        uid: user.uid.to_owned(),
        groups,
        ..KubeUser::default()
    }
}

fn caller(raw: Part<'_>) -> KubeUser {
    let user: User<'_> = part(raw);
    let mut caller = plain_user(&user);
    let extra: BTreeMap<String, Part<'_>> = part(user.extra);
    let iam_id = ["aws-iam-authenticator:", "heptio-authenticator-aws:"]
        .into_iter()
        .find_map(|prefix| caller.uid.strip_prefix(prefix))
        .map(str::to_owned);
    for (key, values) in extra {
        // Some forwarders lower-case keys, and newer clusters prefix them.
        let key = key.to_ascii_lowercase();
        let value = || strings(values).into_iter().next().unwrap_or_default();
        match key.as_str() {
            "authentication.kubernetes.io/credential-id" => caller.credential_id = value(),
            "authentication.kubernetes.io/pod-name" => caller.pod_name = value(),
            _ if iam_id.is_none() => {}
            "accesskeyid" => caller.access_key_id = value(),
            "sessionname" => caller.session_name = value(),
            "arn" => caller.arn = value(),
            "canonicalarn" => caller.canonical_arn = value(),
            "principalid" | "sigs.k8s.io/aws-iam-authenticator/principalid" => {
                caller.principal_id = value();
            }
            _ => {}
        }
    }
    // `<account>:<unique id>`; AWS's own accounts read `administrative:<name>` and have no id.
    if let Some((account, id)) = iam_id.as_deref().and_then(|id| id.split_once(':')) {
        if account == "administrative" {
            caller.principal_id.clear();
        } else if !id.is_empty() {
            id.clone_into(&mut caller.principal_id);
        }
    }
    caller
}
