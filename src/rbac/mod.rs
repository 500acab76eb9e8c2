//! The rules of Kubernetes authorization and of access policies, as pure functions.
