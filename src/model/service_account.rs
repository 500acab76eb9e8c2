//! The Kubernetes username of a ServiceAccount.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>.

/// What the username of every ServiceAccount begins with.
pub const PREFIX: &str = "system:serviceaccount:";

/// `system:serviceaccount:NAMESPACE:NAME`
#[must_use]
pub fn username(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// Namespace and name of the ServiceAccount that goes by `username`; `None` for anybody else.
#[must_use]
pub fn parts(username: &str) -> Option<(&str, &str)> {
    username.strip_prefix(PREFIX)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_parts() {
        assert_eq!(parts(&username("shop", "app")), Some(("shop", "app")));
        assert_eq!(parts("system:serviceaccount:shop"), None);
        assert_eq!(parts("system:serviceaccounts:shop"), None);
        assert_eq!(parts("system:node:a"), None);
    }
}
