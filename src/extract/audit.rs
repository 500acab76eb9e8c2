//! A Kubernetes audit event to its facts.
//!
//! One request gives one fact; impersonation gives two kinds (the caller used `impersonate`, the
//! other user's rights carried the request); an answered SubjectAccessReview adds the use it was
//! asked about. AWS extras are believed only of the authenticated user, and only if its uid proves
//! that the IAM authenticator wrote them: whoever impersonates chooses the extras of the other.
//! Source: <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::again::{self, Said, Seen, path_of, rank_of};
use super::identity::of_request;
use super::impersonation::{impersonations, refused};
use super::memo::Memory;
use super::{changes, user_agent_family};
use crate::decode::audit::{
    Event, NonResourceAttributes, ObjectRef, ResourceAttributes, ResponseStatus, Review,
    ReviewSpec, ReviewStatus, TokenSpec, User,
};
use crate::decode::lenient::{Part, Text, Unread, part, strings};
use crate::decode::split::whole_members;
use crate::model::arn::Arn;
use crate::model::digest::{self, Begun};
use crate::model::fact::{
    AccessFact, AwsCaller, ChangeFact, Decision, Fact, FactBody, IssuedBy, KubeUser, SessionFact,
    TokenState, Via,
};
use crate::model::permission::Permission;
use crate::model::secret_names;
use crate::model::service_account;
use crate::model::time::{Micros, Window};

/// What some pipelines write where they cut a line.
const CUT_MARK: &[u8] = b"[Truncated...]";
/// Rank of an event that was cut at a size limit: any whole copy wins.
const RANK_CUT: u8 = 9;

/// What the event itself does not say.
pub(super) struct Asked<'a> {
    /// Cluster ARN.
    pub(super) cluster: &'a str,
    pub(super) window: Window,
    /// When CloudWatch Logs took the line, for events that were cut before their own time.
    pub(super) logged_at: Option<Micros>,
    /// Marks stand in place of the names of Secrets.
    pub(super) hide_secret_names: bool,
}

/// How an event was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) at: Micros,
    /// True when it was cut and only its first members are known.
    pub(super) salvaged: bool,
}

/// Hands on the facts of one event that lie in the window. `None` when it has no time that reads. `quoted`
/// is its line with all escapes, where it stands in a message.
pub(super) fn extract(
    (bytes, quoted): (&[u8], Option<&[u8]>),
    asked: &Asked<'_>,
    memory: &mut Memory,
    take: &mut dyn FnMut(Fact<'_>),
) -> Result<Option<Read>, Unread> {
    let text = simdutf8::basic::from_utf8(bytes).ok();
    if let Some(event) = text.and_then(|text| Event::find(text, &mut memory.members[0])) {
        return Ok(whole(&event, quoted, asked, memory, take));
    }
    let marked = bytes.trim_ascii_end().strip_suffix(CUT_MARK);
    let read = Event::read(bytes, |event| whole(event, None, asked, memory, take));
    let cut = read == Err(Unread::Cut) || (read.is_err() && marked.is_some());
    if !cut {
        return read;
    }
    // A CloudWatch Logs entry holds at most 1 MB. What comes first (who, what, the answer) is
    // whole; the bodies, the times and the authorizer's words are lost.
    let members = whole_members(marked.unwrap_or(bytes)).ok_or(Unread::Cut)?;
    let salvaged = Event::read(&members, |event| {
        let at = time_of(event).or(asked.logged_at)?;
        let known = !event.verb.as_str().is_empty() && event.user.is_some();
        if known && asked.window.contains(at) {
            let (object, status) = object_and_status(event, memory);
            let seen = Seen { event, object: &object, status: &status };
            Reading::new(seen, asked).facts(at, true, take);
        }
        known.then_some(Read { at, salvaged: true })
    });
    match salvaged {
        Ok(Some(read)) => Ok(Some(read)),
        _ => Err(Unread::Cut),
    }
}

/// Takes an event that was not cut. What it says depends on the event alone, whether the like was met or
/// not.
fn whole(
    event: &Event<'_>,
    quoted: Option<&[u8]>,
    asked: &Asked<'_>,
    memory: &mut Memory,
    take: &mut dyn FnMut(Fact<'_>),
) -> Option<Read> {
    let at = time_of(event)?;
    let (object, status) = object_and_status(event, memory);
    let seen = Seen { event, object: &object, status: &status };
    if let Some(read) = again::extract(&seen, quoted, asked, memory, take) {
        return Some(read);
    }
    if asked.window.contains(at) {
        let reading = Reading::new(seen, asked);
        let said = reading.facts(at, false, take);
        reading.remember(said, memory);
    }
    Some(Read { at, salvaged: false })
}

fn object_and_status<'a>(
    event: &Event<'a>,
    memory: &mut Memory,
) -> (ObjectRef<'a>, ResponseStatus<'a>) {
    let [_, members] = &mut memory.members;
    (ObjectRef::of(event.object_ref, members), ResponseStatus::of(event.response_status, members))
}

/// The time of an event, where it reads.
pub(super) fn time(bytes: &[u8]) -> Option<Micros> {
    Event::read(bytes, time_of).ok().flatten()
}

fn time_of(event: &Event<'_>) -> Option<Micros> {
    // The request's own time is equal over all stages, so they fold even across an hour.
    let times = [&event.request_received_timestamp, &event.timestamp, &event.stage_timestamp];
    times.into_iter().find_map(|text| Micros::parse_loose(text.as_str()))
}

struct Reading<'a> {
    seen: Seen<'a>,
    asked: &'a Asked<'a>,
    caller: KubeUser,
    /// Who asked, as whom, with which verb.
    asker: Begun,
    impersonated: Option<KubeUser>,
    annotations: BTreeMap<Cow<'a, str>, Text<'a>>,
}

impl<'a> Reading<'a> {
    fn new(seen: Seen<'a>, asked: &'a Asked<'a>) -> Self {
        let event = seen.event;
        let caller = caller(event.user);
        let impersonated = event
            .impersonated_user
            .map(|raw| plain_user(&part::<User<'_>>(Some(raw))))
            .filter(|user| !user.username.is_empty());
        let target = impersonated.as_ref().map_or("", |user| user.username.as_str());
        let asker = [&caller.username, &caller.uid, target, event.verb.as_str()];
        Reading {
            seen,
            asked,
            asker: Begun::with(&digest::of_parts(asker.map(str::as_bytes))),
            caller,
            impersonated,
            annotations: event.annotations(),
        }
    }

    /// Hands on all facts; returns what the only one says, if it is the only one.
    fn facts(&self, at: Micros, cut: bool, take: &mut dyn FnMut(Fact<'_>)) -> Option<Rc<FactBody>> {
        let event = self.seen.event;
        let uri = event.request_uri.as_str().as_bytes();
        let audit_id = event.audit_id.as_str().as_bytes();
        let (group, id) = of_request(audit_id, uri, &self.asker, (!cut).then_some(at));
        let rank = if cut { RANK_CUT } else { rank_of(event.stage.as_str().as_bytes()) };
        let mut ordinal = 0;
        let mut said = None;
        let mut push_body = |name: String, body: FactBody| {
            let body = Rc::new(body);
            said = (ordinal == 0).then(|| Rc::clone(&body));
            take(Fact { group, id, ordinal, rank, at, name: Cow::Owned(name), body });
            ordinal += 1;
        };
        let mut push = |mut body: AccessFact| {
            if self.asked.hide_secret_names {
                secret_names::hide(&mut body.permission);
            }
            let name = std::mem::take(&mut body.permission.name);
            push_body(name, FactBody::Access(Box::new(body)));
        };
        if let Some(permission) = self.refused_impersonation() {
            // The request itself was never put to the authorizer.
            push(AccessFact {
                permission,
                decision: Decision::Forbid,
                status_class: self.status_class(),
                ..self.blank(Via::Direct, KubeUser::default())
            });
            return None;
        }
        if let Some(target) = &self.impersonated {
            // No annotation speaks of the impersonation itself; that the request went on does.
            for permission in impersonations(target, self.seen.event.impersonated_user) {
                push(AccessFact {
                    permission,
                    decision: Decision::Allow,
                    ..self.blank(Via::Direct, KubeUser::default())
                });
            }
        }
        let (via, subject) = match &self.impersonated {
            Some(target) => (Via::Impersonated, target.clone()),
            None => (Via::Direct, KubeUser::default()),
        };
        push(AccessFact {
            permission: self.permission(),
            decision: if cut { self.decision_by_status() } else { self.decision() },
            reason: self.annotation("authorization.k8s.io/reason"),
            status_class: self.status_class(),
            issued_credential_id: self
                .annotation("authentication.kubernetes.io/issued-credential-id"),
            ..self.blank(via, subject)
        });
        if let Some(review) = self.review() {
            push(review);
        }
        if let Some(token) = self.token(at) {
            push_body(String::new(), FactBody::Session(Box::new(token)));
        }
        if let Some(change) = self.change() {
            push_body(String::new(), FactBody::Change(Box::new(change)));
        }
        said
    }

    /// Keeps what the event said for those that say the same.
    fn remember(&self, said: Option<Rc<FactBody>>, memory: &mut Memory) {
        let Some(body) = said else { return };
        let FactBody::Access(access) = &*body else { return };
        // Without its own time an event takes another's, and a refusal may be one of impersonation.
        let plain = !self.seen.event.request_received_timestamp.as_str().is_empty()
            && (access.decision != Decision::Unknown || access.status_class != 4);
        if let Some(key) = self.seen.key(self.asked.cluster)
            && plain
            && memory.events.get(&key).is_none()
        {
            let hides_name =
                self.asked.hide_secret_names && secret_names::is_of_secrets(&access.permission);
            memory.events.put(&key, Said { body, asker: self.asker, hides_name });
        }
    }

    /// A minted ServiceAccount token, as a session: who asked for it, for whom, until when.
    /// Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>.
    fn token(&self, at: Micros) -> Option<SessionFact> {
        let jti = self.annotation("authentication.kubernetes.io/issued-credential-id");
        let object = self.seen.object;
        let minted = object.resource.as_str() == "serviceaccounts"
            && object.subresource.as_str() == "token"
            && self.decision() == Decision::Allow
            && !jti.is_empty();
        if !minted {
            return None;
        }
        let spec = |body| part::<TokenSpec<'_>>(part::<Review<'_>>(body).spec);
        // The answer says what was given, the request what was asked.
        let (given, asked) =
            (spec(self.seen.event.response_object), spec(self.seen.event.request_object));
        let mut audiences = strings(given.audiences.or(asked.audiences));
        audiences.sort();
        let seconds = [&given.expiration_seconds, &asked.expiration_seconds];
        let seconds: Option<i64> = seconds.into_iter().find_map(|text| text.as_str().parse().ok());
        let (namespace, name) = (object.namespace.as_str(), object.name.as_str());
        let caller = &self.caller;
        Some(SessionFact {
            account: Arn::parse(self.asked.cluster)
                .map(|arn| arn.account.to_owned())
                .unwrap_or_default(),
            region: Arn::parse(self.asked.cluster)
                .map(|arn| arn.region.to_owned())
                .unwrap_or_default(),
            issued_by: IssuedBy::TokenRequest,
            role_id: self.asked.cluster.to_owned(),
            session_name: format!("{namespace}/{name}"),
            access_key_id: jti,
            expires_at: seconds
                .and_then(|seconds| seconds.checked_mul(1_000_000)?.checked_add(at.0))
                .map(Micros),
            provider: audiences.join(","),
            subject: service_account::username(namespace, name),
            source: Arc::new(AwsCaller {
                kind: "KubernetesUser".to_owned(),
                principal_id: if caller.principal_id.is_empty() {
                    String::new()
                } else {
                    format!("{}:{}", caller.principal_id, caller.session_name)
                },
                arn: caller.canonical_arn.clone(),
                access_key_id: if caller.access_key_id.is_empty() {
                    caller.credential_id.clone()
                } else {
                    caller.access_key_id.clone()
                },
                user_name: caller.username.clone(),
                ..AwsCaller::default()
            }),
            ..SessionFact::default()
        })
    }

    /// A write that changes who may do what.
    fn change(&self) -> Option<ChangeFact> {
        // A dry run is authorised and answered like the real thing, and changes nothing.
        let dry = self.seen.event.request_uri.as_str().contains("dryRun=");
        if dry || self.decision() != Decision::Allow || !matches!(self.status_class(), 0 | 2) {
            return None;
        }
        let mut change = changes::of_object(self.seen.event, self.seen.object, self.seen.status)?;
        self.asked.cluster.clone_into(&mut change.cluster);
        change.actor = if self.caller.canonical_arn.is_empty() {
            self.caller.username.clone()
        } else {
            self.caller.canonical_arn.clone()
        };
        change.actor_access_key_id.clone_from(&self.caller.access_key_id);
        Some(change)
    }

    fn blank(&self, via: Via, subject: KubeUser) -> AccessFact {
        AccessFact {
            cluster: self.asked.cluster.to_owned(),
            caller: self.caller.clone(),
            via,
            subject,
            user_agent_family: user_agent_family(self.seen.event.user_agent.as_str()),
            token: self.token_state(),
            ..AccessFact::default()
        }
    }

    fn token_state(&self) -> TokenState {
        let has = |key: &str| self.annotations.contains_key(key);
        if has("authentication.k8s.io/legacy-token") {
            TokenState::Legacy
        } else if has("authentication.k8s.io/stale-token") {
            TokenState::Stale
        } else {
            TokenState::Unremarked
        }
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

    /// Without the authorizer's word: an answer that only comes after authorization tells. A 403 may
    /// be the authorizer's or an admission plugin's.
    fn decision_by_status(&self) -> Decision {
        let status = self.seen.status;
        match status.code.as_str().parse::<u16>() {
            Ok(401 | 403) | Err(_) => Decision::Unknown,
            Ok(_) => Decision::Allow,
        }
    }

    /// What the caller was not allowed to impersonate, where the answer says that this was it. Such an
    /// event names no impersonated user and carries no word of the authorizer.
    fn refused_impersonation(&self) -> Option<Permission> {
        if self.impersonated.is_some() || self.decision() != Decision::Unknown {
            return None;
        }
        let status = self.seen.status;
        if status.code.as_str() != "403" {
            return None;
        }
        refused(status.message.as_str())
    }

    fn status_class(&self) -> u8 {
        let status = self.seen.status;
        match status.code.as_str().parse::<u16>() {
            Ok(code @ 100..=599) => u8::try_from(code / 100).unwrap_or(0),
            _ => 0,
        }
    }

    fn permission(&self) -> Permission {
        let verb = self.seen.event.verb.as_str().to_owned();
        let object = self.seen.object;
        if object.resource.as_str().is_empty() {
            let uri = self.seen.event.request_uri.as_str();
            let path = uri.get(..path_of(uri.as_bytes()).len()).unwrap_or_default().to_owned();
            return Permission { verb, path, ..Permission::default() };
        }
        let sees = self.seen.sees_name();
        let name = if sees { object.name.to_owned() } else { String::new() };
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
        let object = self.seen.object;
        let is_review = object.api_group.as_str() == "authorization.k8s.io"
            && matches!(
                object.resource.as_str(),
                "subjectaccessreviews" | "localsubjectaccessreviews"
            )
            && self.seen.event.verb.as_str() == "create";
        if !is_review || self.decision() != Decision::Allow {
            return None;
        }
        let answer: Review<'_> = part(self.seen.event.response_object);
        let asked: Review<'_> = part(self.seen.event.request_object);
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
/// create, which RBAC never sees; and what is no resource has a path in place of a name.
pub(super) fn sees_name(verb: &[u8], resource: &[u8], subresource: &[u8]) -> bool {
    match verb {
        _ if resource.is_empty() => false,
        b"create" => !subresource.is_empty(),
        b"deletecollection" => false,
        _ => true,
    }
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
