//! Use, cluster by cluster: on disk from when the cluster was joined until it is judged, so that what
//! is held does not grow with the number of clusters.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::facts::FactsError;
use crate::facts::sort::SpillDir;
use crate::facts::spool::{Spool, Spooled};
use crate::join::usage::{Member, Usage, Use};

/// Use of all clusters, by their number.
#[derive(Debug, Default)]
pub(super) struct UsedBy {
    /// Facts come cluster by cluster; where they do not, a cluster has several parts.
    parts: BTreeMap<usize, Vec<Part>>,
}

#[derive(Debug)]
struct Part {
    members: Spooled,
    uses: Spooled,
}

impl UsedBy {
    /// Puts aside what was used of a cluster.
    pub(super) fn keep(
        &mut self,
        cluster: usize,
        usage: &Usage,
        spill: &SpillDir,
    ) -> Result<(), FactsError> {
        let part =
            Part { members: spool(&usage.members, spill)?, uses: spool(&usage.uses, spill)? };
        self.parts.entry(cluster).or_default().push(part);
        Ok(())
    }

    /// Gives it back in its final order, once.
    pub(super) fn take(&mut self, cluster: usize, spill: &SpillDir) -> Result<Usage, FactsError> {
        let mut usage = Usage::default();
        for Part { members, uses } in self.parts.remove(&cluster).unwrap_or_default() {
            let before = usage.members.len();
            members.each(spill, |member: Member| usage.members.push(member))?;
            uses.each(spill, |used: Use| {
                usage.uses.push(Use { member: used.member + before, ..used });
            })?;
        }
        usage.finish();
        Ok(usage)
    }
}

fn spool(values: &[impl Serialize], spill: &SpillDir) -> Result<Spooled, FactsError> {
    let mut spool = Spool::new(spill)?;
    for value in values {
        spool.push(value)?;
    }
    spool.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(name: &str, counts: &[i64]) -> Usage {
        let mut usage = Usage::default();
        usage.members.push(Member {
            principal_id: String::new(),
            username: name.to_owned(),
            groups: vec!["g".to_owned()],
        });
        usage.uses = counts.iter().map(|&count| Use { count, ..Use::default() }).collect();
        usage
    }

    #[test]
    fn use_is_given_back_by_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let spill = SpillDir::new(folder.path().to_path_buf());
        let mut used = UsedBy::default();
        used.keep(1, &usage("ann", &[1, 2]), &spill).unwrap();
        used.keep(0, &usage("bob", &[3]), &spill).unwrap();
        used.keep(1, &usage("carol", &[4]), &spill).unwrap();
        let mut check = |cluster: usize, expected: &[(&str, i64)]| {
            let usage = used.take(cluster, &spill).unwrap();
            let name = |used: &Use| usage.members[used.member].username.clone();
            let got: Vec<_> = usage.uses.iter().map(|used| (name(used), used.count)).collect();
            let expected: Vec<_> =
                expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            assert_eq!(got, expected);
        };
        check(1, &[("ann", 1), ("ann", 2), ("carol", 4)]);
        check(0, &[("bob", 3)]);
        check(1, &[]);
        check(7, &[]);
    }
}
