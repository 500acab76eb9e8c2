//! What whoever asks as another must be allowed to do beside what is asked for.

use std::collections::BTreeMap;

use crate::decode::audit::User;
use crate::decode::lenient::{Part, part, strings};
use crate::model::fact::KubeUser;
use crate::model::permission::Permission;
use crate::model::service_account;

/// Reads `users "x" is forbidden: User "y" cannot impersonate resource "users" in API group "" at the
/// cluster scope`. Names are in front, so the last words that fit are the API server's own.
pub(super) fn refused(message: &str) -> Option<Permission> {
    let (before, after) = message.rsplit_once(" cannot impersonate resource \"")?;
    let (resource, after) = after.split_once('"')?;
    let group = after.strip_prefix(" in API group \"")?.split_once('"')?.0;
    let namespace = after.split_once(" in the namespace \"").and_then(|(_, ns)| ns.split_once('"'));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let name = before.split_once('"')?.1.split_once("\" is forbidden: User ")?.0;
    Some(Permission {
        verb: "impersonate".to_owned(),
        api_group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.map(|(ns, _)| ns.to_owned()).unwrap_or_default(),
        name: name.to_owned(),
        path: String::new(),
    })
}

/// What the caller had to be allowed to impersonate.
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>.
pub(super) fn impersonations(target: &KubeUser, raw: Part<'_>) -> Vec<Permission> {
    let one = |resource: &str, namespace: &str, name: &str| Permission {
        verb: "impersonate".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Permission::default()
    };
    let account = service_account::parts(&target.username);
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
    // Unique ids and extras are resources of another group.
    let of_authentication = |resource: &str, subresource: &str, name: &str| Permission {
        api_group: "authentication.k8s.io".to_owned(),
        subresource: subresource.to_owned(),
        ..one(resource, "", name)
    };
    if !target.uid.is_empty() {
        all.push(of_authentication("uids", "", &target.uid));
    }
    let extra: BTreeMap<String, Part<'_>> = part(part::<User<'_>>(raw).extra);
    for (key, values) in extra {
        all.extend(strings(values).iter().map(|v| of_authentication("userextras", &key, v)));
    }
    // Ordinals are left for the request, a review and a change.
    all.truncate(200);
    all
}
