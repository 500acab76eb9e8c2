//! Who can carry a username or a group in this cluster?
//!
//! Usernames of access entries and aws-auth rows are templates; an external provider puts a prefix
//! before names it chooses itself; anything else could only be in a client certificate. Being wrong
//! here calls a live grant dead, so every answer but a proven one is "somebody may".
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html>.

use crate::model::inventory::OidcProvider;

/// The prefix that a provider puts before usernames; `None` when names come without.
#[must_use]
pub fn username_prefix(provider: &OidcProvider) -> Option<String> {
    match provider.username_prefix.as_deref() {
        Some("-" | "") => None,
        Some(prefix) => Some(prefix.to_owned()),
        None if provider.username_claim == "email" => None,
        None => Some(format!("{}#", provider.issuer_url)),
    }
}

/// True when a provider could put `group` into a token.
#[must_use]
pub fn oidc_could_give_group(providers: &[OidcProvider], group: &str) -> bool {
    !group.starts_with("system:")
        && providers.iter().any(|provider| {
            provider.groups_claim.is_some()
                && provider
                    .groups_prefix
                    .as_deref()
                    .is_none_or(|prefix| prefix.is_empty() || group.starts_with(prefix))
        })
}

/// True when a provider could authenticate someone as `name`.
#[must_use]
pub fn oidc_could_be_user(providers: &[OidcProvider], name: &str) -> bool {
    !name.starts_with("system:")
        && providers.iter().any(|provider| {
            username_prefix(provider).is_none_or(|prefix| name.starts_with(&prefix))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let provider = |username: Option<&str>, claim: &str, groups: Option<&str>| OidcProvider {
            name: "p".to_owned(),
            issuer_url: "https://i".to_owned(),
            client_id: String::new(),
            username_claim: claim.to_owned(),
            username_prefix: username.map(str::to_owned),
            groups_claim: Some("groups".to_owned()),
            groups_prefix: groups.map(str::to_owned),
            status: String::new(),
        };
        let user = |p: OidcProvider, name: &str| oidc_could_be_user(&[p], name);
        assert!(user(provider(Some("oidc:"), "sub", None), "oidc:ann"));
        assert!(!user(provider(Some("oidc:"), "sub", None), "ann"));
        assert!(user(provider(Some("-"), "sub", None), "ann"));
        assert!(user(provider(None, "email", None), "ann@x"));
        assert!(user(provider(None, "sub", None), "https://i#ann"));
        assert!(!user(provider(None, "sub", None), "ann"));
        assert!(!user(provider(Some("-"), "sub", None), "system:node:x"));
        let group = |p: OidcProvider, name: &str| oidc_could_give_group(&[p], name);
        assert!(group(provider(None, "sub", Some("oidc:")), "oidc:team"));
        assert!(!group(provider(None, "sub", Some("oidc:")), "team"));
        assert!(group(provider(None, "sub", None), "team"));
        assert!(!oidc_could_give_group(&[], "team"));
    }
}
