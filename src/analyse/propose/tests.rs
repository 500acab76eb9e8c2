//! Proposals cover all use, and nothing can be taken from them.
