//! One rule: what it covers, who answers for it, how long it holds.

use std::collections::BTreeMap;

use crate::model::near;
use crate::model::time::{Day, Micros};
use crate::rbac::glob_match;

use super::Case;

/// Reports that a rule may name, and the verdict of their rows. `grant_review` is not among them: it has
/// every grant.
pub const QUERIES: [(&str, &str); 4] = [
    ("unused_grants", "unused"),
    ("over_scoped_grants", "over_scoped"),
    ("redundant_grants", "redundant"),
    ("ineffective_grants", "ineffective"),
];
/// All verdicts.
const VERDICTS: [&str; 7] =
    ["ineffective", "unobservable", "too_new", "unused", "redundant", "over_scoped", "used"];
/// What one expects of who comes only when all else fails.
const BREAK_GLASS_VERDICTS: [&str; 2] = ["unused", "over_scoped"];

/// Texts by key; a key may come more than once.
pub type Fields = BTreeMap<String, Vec<String>>;

/// What kind of rule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Covers what it names.
    Suppress,
    /// Covers that principals for emergencies are unused or too powerful; their use is a finding.
    BreakGlass,
}

impl Kind {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::Suppress => {
                &["principal", "grant", "query", "verdict", "cluster", "owner", "reason", "expires"]
            }
            Kind::BreakGlass => &["principals", "cluster", "owner", "reason", "expires"],
        }
    }
}

/// A rule that reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands, for people: `suppress 2`.
    pub place: String,
    /// Its kind.
    pub kind: Kind,
    /// Principals, as globs; empty for any.
    pub principals: Vec<String>,
    /// ARN or name of clusters, as a glob.
    pub cluster: Option<String>,
    /// One grant, by its id.
    pub grant: Option<String>,
    /// The verdict; `None` for any.
    pub verdict: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub expires: Day,
}

/// Why a rule does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Every rule says who answers for it, why, and until when.
    #[error("{key} is missing: a suppression has owner, reason and expires")]
    Missing {
        /// Which.
        key: &'static str,
    },
    /// A key that no rule has.
    #[error("unknown key {key:?}, {hint}")]
    Unknown {
        /// What was written.
        key: String,
        /// What it may mean.
        hint: String,
    },
    /// A key that takes one value.
    #[error("{key} takes one text that is not empty")]
    NotOne {
        /// Which.
        key: String,
    },
    /// A rule for everything would hide everything.
    #[error("it names nothing: give {one_of}")]
    NamesNothing {
        /// What it could name.
        one_of: &'static str,
    },
    /// No day.
    #[error("expires takes a date (2027-01-31), not {value:?}")]
    NoDate {
        /// What was written.
        value: String,
    },
    /// No such verdict or report.
    #[error("{key} takes {expected}, not {value:?}")]
    NotKnown {
        /// `verdict` or `query`.
        key: &'static str,
        /// What was written.
        value: String,
        /// What there is.
        expected: String,
    },
    /// A query and a verdict that no row has both.
    #[error("query {query} never holds verdict {verdict}")]
    Contradiction {
        /// The report.
        query: String,
        /// The verdict.
        verdict: String,
    },
    /// Text before the first key.
    #[error("it takes key=value, comma-joined, not {value:?}")]
    NoKey {
        /// What was written.
        value: String,
    },
}

impl RuleError {
    /// The key that it is about, if it is about one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            RuleError::Unknown { key, .. } | RuleError::NotOne { key } => Some(key),
            RuleError::NoDate { .. } => Some("expires"),
            RuleError::NotKnown { key, .. } => Some(key),
            RuleError::Contradiction { .. } => Some("query"),
            RuleError::Missing { .. }
            | RuleError::NamesNothing { .. }
            | RuleError::NoKey { .. } => None,
        }
    }
}

/// Reads `grant=ID,owner=…,reason=…,expires=2027-01-31`. A comma that no key follows is text.
///
/// # Errors
/// When it begins with no key.
pub fn fields_of(kind: Kind, text: &str) -> Result<Fields, RuleError> {
    let mut fields = Fields::new();
    let mut last: Option<String> = None;
    for part in text.split(',') {
        let key = part.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        // A key is one word; in a reason `a=b` may stand after a comma.
        let key = key.filter(|(key, _)| kind.keys().contains(key) || last.is_none());
        match (key, &last) {
            (Some((key, value)), _) => {
                fields.entry(key.to_owned()).or_default().push(value.to_owned());
                last = Some(key.to_owned());
            }
            (None, Some(last)) => {
                let value = fields.get_mut(last).and_then(|values| values.last_mut());
                if let Some(value) = value {
                    value.push(',');
                    value.push_str(part);
                }
            }
            (None, None) => return Err(RuleError::NoKey { value: text.to_owned() }),
        }
    }
    Ok(fields)
}

impl Rule {
    /// Reads a rule from its fields.
    ///
    /// # Errors
    /// When a key is missing or not known, or a value does not read.
    pub fn new(place: &str, kind: Kind, fields: &Fields) -> Result<Self, RuleError> {
        let keys = kind.keys();
        if let Some(key) = fields.keys().find(|key| !keys.contains(&key.as_str())) {
            let hint = near::hint(key, keys.iter().copied());
            return Err(RuleError::Unknown { key: key.clone(), hint });
        }
        let one = |key: &str| match fields.get(key).map(Vec::as_slice) {
            None => Ok(None),
            Some([one]) if !one.trim().is_empty() => Ok(Some(one.clone())),
            Some(_) => Err(RuleError::NotOne { key: key.to_owned() }),
        };
        let needed = |key: &'static str| one(key)?.ok_or(RuleError::Missing { key });
        let principals = match kind {
            Kind::Suppress => one("principal")?.into_iter().collect(),
            Kind::BreakGlass => fields.get("principals").cloned().unwrap_or_default(),
        };
        let (grant, cluster) = (one("grant")?, one("cluster")?);
        let verdict = verdict_of(one("query")?, one("verdict")?)?;
        let names = [!principals.is_empty(), grant.is_some(), cluster.is_some()];
        match kind {
            Kind::Suppress if !names.contains(&true) && verdict.is_none() => {
                let one_of = "principal, grant, query, verdict or cluster";
                return Err(RuleError::NamesNothing { one_of });
            }
            Kind::BreakGlass if principals.is_empty() => {
                return Err(RuleError::NamesNothing { one_of: "principals" });
            }
            _ => {}
        }
        let (owner, reason, expires) = (needed("owner")?, needed("reason")?, needed("expires")?);
        let day = Day::parse(&expires).ok_or(RuleError::NoDate { value: expires })?;
        Ok(Rule {
            place: place.to_owned(),
            kind,
            principals,
            cluster,
            grant,
            verdict,
            owner,
            reason,
            expires: day,
        })
    }

    /// True when its principals and its cluster are those of the finding.
    #[must_use]
    pub fn names(&self, case: &Case<'_>) -> bool {
        let principal = self.principals.is_empty()
            || self.principals.iter().any(|glob| glob_match(glob, case.principal));
        let cluster = self.cluster.as_deref().is_none_or(|glob| {
            glob_match(glob, case.cluster) || glob_match(glob, case.cluster_name)
        });
        principal && cluster
    }

    /// True when it is about the finding, expired or not.
    #[must_use]
    pub fn covers(&self, case: &Case<'_>) -> bool {
        let verdict = match self.kind {
            Kind::Suppress => self.verdict.as_deref().is_none_or(|one| one == case.verdict),
            Kind::BreakGlass => BREAK_GLASS_VERDICTS.contains(&case.verdict),
        };
        let grant = self.grant.as_deref().is_none_or(|id| id == case.grant);
        verdict && grant && self.names(case)
    }

    /// The first instant at which it no longer holds.
    #[must_use]
    pub fn ends(&self) -> Micros {
        Day(self.expires.0.saturating_add(1)).start()
    }

    /// True when it no longer holds at the end of a window.
    #[must_use]
    pub fn expired(&self, until: Micros) -> bool {
        until >= self.ends()
    }

    /// What it is, in a few words: place, what it names, and who answers for it.
    #[must_use]
    pub fn words(&self) -> String {
        let mut named: Vec<String> = Vec::new();
        if !self.principals.is_empty() {
            named.push(format!("principal {}", self.principals.join(" or ")));
        }
        named.extend(self.grant.iter().map(|id| format!("grant {id}")));
        named.extend(self.verdict.iter().map(|verdict| format!("verdict {verdict}")));
        named.extend(self.cluster.iter().map(|cluster| format!("cluster {cluster}")));
        if named.is_empty() {
            named.push("every finding".to_owned());
        }
        format!("{}: {}, of {}", self.place, named.join(", "), self.owner)
    }
}

fn verdict_of(query: Option<String>, verdict: Option<String>) -> Result<Option<String>, RuleError> {
    if let Some(value) = verdict.as_ref().filter(|one| !VERDICTS.contains(&one.as_str())) {
        let (value, expected) = (value.clone(), VERDICTS.join(", "));
        return Err(RuleError::NotKnown { key: "verdict", value, expected });
    }
    let Some(query) = query else { return Ok(verdict) };
    let Some((_, of_query)) = QUERIES.into_iter().find(|(name, _)| *name == query) else {
        let expected: Vec<&str> = QUERIES.iter().map(|(name, _)| *name).collect();
        let expected = expected.join(", ");
        return Err(RuleError::NotKnown { key: "query", value: query, expected });
    };
    match verdict {
        Some(verdict) if verdict != of_query => Err(RuleError::Contradiction { query, verdict }),
        _ => Ok(Some(of_query.to_owned())),
    }
}
