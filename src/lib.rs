//! overgrant: who may do what in your EKS clusters, who really did, and what smaller grant would
//! have been enough.

pub mod analyse;
pub mod cli;
pub mod decode;
pub mod extract;
pub mod facts;
pub mod inventory;
pub mod join;
pub mod model;
pub mod pipeline;
pub mod rbac;
pub mod report;
pub mod source;
pub mod table;
