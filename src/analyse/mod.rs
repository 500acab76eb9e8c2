//! Use and coverage to verdicts.
