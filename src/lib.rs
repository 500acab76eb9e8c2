//! overgrant: who may do what in your EKS clusters, who really did, and what smaller grant would
//! have been enough.
pub mod model;
