//! Entries, diffs and days.
