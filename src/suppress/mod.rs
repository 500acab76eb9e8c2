//! What people said of findings: this one is known, by whom, why and until when.
//!
//! Input: rules as fields of text, and findings. Output: which finding is covered by which rule, and what
//! is wrong with the rules themselves: expired, or without a finding to cover. Pure; no verdict and no
//! replay looks here, only what is shown and what a pipeline fails on. A rule expires by the end of the
//! window, never by the clock, so that the same input gives the same bytes.

mod rule;

pub use rule::{Fields, Kind, QUERIES, Rule, RuleError, fields_of};

use crate::model::time::Micros;

/// A finding, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The grant's id.
    pub grant: &'a str,
    /// ARN, or Kubernetes user, group or `namespace/serviceaccount`.
    pub principal: &'a str,
    /// Cluster ARN.
    pub cluster: &'a str,
    /// Cluster name.
    pub cluster_name: &'a str,
    /// Its verdict.
    pub verdict: &'a str,
}

/// What the rules came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// By finding: the first rule that covers it and has not expired.
    pub by: Vec<Option<usize>>,
    /// By rule: the findings that it covers, or would cover if it had not expired.
    pub covered: Vec<Vec<usize>>,
}

/// Looks which rule covers which finding.
#[must_use]
pub fn mark(rules: &[Rule], until: Micros, cases: &[Case<'_>]) -> Marks {
    let mut marks = Marks { by: vec![None; cases.len()], covered: vec![Vec::new(); rules.len()] };
    for (case_idx, case) in cases.iter().enumerate() {
        for (rule_idx, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.covers(case)) {
            if let Some(covered) = marks.covered.get_mut(rule_idx) {
                covered.push(case_idx);
            }
            if let Some(by) = marks.by.get_mut(case_idx)
                && by.is_none()
                && !rule.expired(until)
            {
                *by = Some(rule_idx);
            }
        }
    }
    marks
}

#[cfg(test)]
mod tests;
