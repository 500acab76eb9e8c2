//! Facts and grants to use: whose grant carried which request.

pub mod sessions;
