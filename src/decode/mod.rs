//! Bytes to borrowed records; knows no source, no fact and no rule.
