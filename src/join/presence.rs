//! What CloudTrail alone shows of an IAM principal: sessions issued to it, calls it made, tokens it
//! redeemed.
//!
//! Input: sessions and calls of the window. Output: for a principal, by unique id and by name, when
//! it was last seen and last redeemed an EKS token. The authenticator of EKS redeems with Go's HTTP
//! client; a person's own `aws sts get-caller-identity` shows another agent and is no login.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/cluster-auth.html>.

use std::collections::BTreeMap;

use crate::facts::fold::Hourly;
use crate::model::arn::{PrincipalName, unique_id_from_principal_id};
use crate::model::fact::{AwsCallFact, AwsCaller, LoginFact};
use crate::model::time::{Micros, Window};

use super::sessions::Sessions;

/// What the user agent of the EKS authenticator starts with.
const AUTHENTICATOR_AGENT: &str = "Go-http-client";

/// What was seen of one principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The latest sign of any kind: a session issued, a call, a redemption.
    pub last: Option<Micros>,
    /// The latest redemption of an EKS token.
    pub last_redeemed: Option<Micros>,
}

impl Seen {
    fn at(&mut self, at: Micros) {
        self.last = self.last.max(Some(at));
    }

    fn or(self, other: Seen) -> Seen {
        Seen {
            last: self.last.max(other.last),
            last_redeemed: self.last_redeemed.max(other.last_redeemed),
        }
    }
}

/// All principals that CloudTrail showed.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    by_id: BTreeMap<String, Seen>,
    by_name: BTreeMap<PrincipalName, Seen>,
}

impl Presence {
    /// Whoever asked for a session was there, whether it was given or refused.
    pub fn see_caller(&mut self, caller: &AwsCaller, at: Micros) {
        let (id, name) = principal_of(caller);
        self.note(id, name, |seen| seen.at(at));
    }

    /// A line of the authenticator's log: a token was redeemed at this very cluster.
    pub fn see_login(&mut self, login: &Hourly<LoginFact>) {
        let redeemed = login.body.granted;
        self.note(&login.body.principal_id, folded(&login.body.arn), |seen| {
            seen.at(login.last);
            if redeemed {
                seen.last_redeemed = seen.last_redeemed.max(Some(login.last));
            }
        });
    }

    /// Takes in the sessions of a window. One issued before it and alive in it counts: it may have been
    /// used.
    pub fn note_sessions(&mut self, sessions: &Sessions, window: Window) {
        for session in &sessions.all {
            if session.issued_at >= window.until {
                continue;
            }
            let id = sessions.text(session.role_id);
            let name = folded(sessions.text(session.role_arn));
            self.note(id, name, |seen| seen.at(session.issued_at));
        }
    }

    /// Takes in a call.
    pub fn note_call(&mut self, call: &Hourly<AwsCallFact>) {
        let (id, name) = principal_of(&call.body.caller);
        self.note(id, name, |seen| seen.at(call.last));
    }

    /// Takes in a redemption.
    pub fn note_authentication(&mut self, call: &Hourly<AwsCallFact>) {
        let (id, name) = principal_of(&call.body.caller);
        let redeemed = is_redemption(&call.body);
        self.note(id, name, |seen| {
            seen.at(call.last);
            if redeemed {
                seen.last_redeemed = seen.last_redeemed.max(Some(call.last));
            }
        });
    }

    fn note(&mut self, id: &str, name: Option<PrincipalName>, see: impl Fn(&mut Seen)) {
        if !id.is_empty() {
            see(self.by_id.entry(id.to_owned()).or_default());
        }
        if let Some(name) = name {
            see(self.by_name.entry(name).or_default());
        }
    }

    /// What was seen of a principal. Its id counts; its name counts too, because some records show
    /// nothing else: a session of a role of the same name is a sign that must not be passed over.
    #[must_use]
    pub fn of(&self, id: Option<&str>, arn: &str) -> Seen {
        let by_id = id.and_then(|id| self.by_id.get(id)).copied().unwrap_or_default();
        let by_name = folded(arn).and_then(|name| self.by_name.get(&name));
        by_id.or(by_name.copied().unwrap_or_default())
    }

    /// True when a principal of this id redeemed a token.
    #[must_use]
    pub fn redeemed(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|seen| seen.last_redeemed.is_some())
    }
}

/// True for the mark that the authenticator of EKS leaves, and not for a person's own question.
#[must_use]
pub fn is_redemption(call: &AwsCallFact) -> bool {
    call.user_agent_family == AUTHENTICATOR_AGENT && call.error.is_empty()
}

fn principal_of(caller: &AwsCaller) -> (&str, Option<PrincipalName>) {
    let id = if caller.issuer_id.is_empty() {
        unique_id_from_principal_id(&caller.principal_id)
    } else {
        &caller.issuer_id
    };
    (id, folded(&caller.issuer_arn).or_else(|| folded(&caller.arn)))
}

fn folded(arn: &str) -> Option<PrincipalName> {
    PrincipalName::from_arn(arn).map(PrincipalName::folded)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::facts::fold::Issued;
    use crate::model::fact::SessionFact;
    use crate::model::time::Hour;

    fn call(id: &str, arn: &str, agent: &str, at: i64) -> Hourly<AwsCallFact> {
        let caller = Arc::new(AwsCaller {
            principal_id: format!("{id}:s"),
            arn: arn.to_owned(),
            ..AwsCaller::default()
        });
        let body =
            AwsCallFact { caller, user_agent_family: agent.to_owned(), ..AwsCallFact::default() };
        Hourly { hour: Hour(0), body, count: 1, first: Micros(at), last: Micros(at) }
    }

    #[test]
    fn sessions_calls_and_redemptions() {
        let issued = Issued {
            at: Micros(5),
            body: SessionFact {
                role_arn: "arn:aws:iam::1:role/path/Issued".to_owned(),
                ..SessionFact::default()
            },
        };
        let sessions = Sessions::new([issued]);
        let session_arn = "arn:aws:sts::1:assumed-role/caller/s";
        let redemptions =
            [call("AROAG", session_arn, "Go-http-client", 7), call("AROAC", "", "aws-cli", 8)];
        let calls = [call("AROAG", session_arn, "aws-sdk", 9)];
        let window = Window { since: Micros(0), until: Micros(100) };
        let mut presence = Presence::default();
        presence.note_sessions(&sessions, window);
        for call in &calls {
            presence.note_call(call);
        }
        for call in &redemptions {
            presence.note_authentication(call);
        }
        let check = |id: Option<&str>, arn: &str, last: Option<i64>, redeemed: Option<i64>| {
            let seen = presence.of(id, arn);
            let got = (seen.last.map(|at| at.0), seen.last_redeemed.map(|at| at.0));
            assert_eq!(got, (last, redeemed), "{id:?} {arn}");
        };
        check(None, "arn:aws:iam::1:role/issued", Some(5), None);
        check(Some("AROAG"), "arn:aws:iam::1:role/other", Some(9), Some(7));
        check(None, "arn:aws:iam::1:role/x/Caller", Some(9), Some(7));
        check(Some("AROAC"), "", Some(8), None);
        check(Some("AROAX"), "arn:aws:iam::2:role/issued", None, None);
        assert!(presence.redeemed("AROAG") && !presence.redeemed("AROAC"));
    }
}
