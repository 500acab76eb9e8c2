//! What could not be read, as hours that count as not covered.
//!
//! An object is lost with all that it may hold: the day or hour that its key names, of the account and
//! the kind of log that it names; the whole window of every log where it names none. Better no verdict
//! than "unused" because the use was in the part that is lost.

use crate::analyse::coverage::Unreadable;
use crate::model::time::{Day, Hour, Window};
use crate::source::key::{LogKey, days_below, is_hidden, read_key};

/// How many keys are named.
const NAMED: usize = 3;

/// Notes an object that was listed and cannot be read, or not to its end; false where its key says
/// nothing of when, so that no hour of the window counts as covered.
pub(super) fn note_object(unreadable: &mut Unreadable, object: &str, window: Window) -> bool {
    let key = read_key(object);
    let Some(day) = key.day else {
        if is_hidden(object) {
            return true;
        }
        note_unlisted(unreadable, object, window);
        return false;
    };
    let hours = match key.hour {
        // Delivery follows the event by minutes: the hour before may be cut too.
        Some(hour) => (day.0 * 24 + hour - 1)..=(day.0 * 24 + hour),
        None => (day.0 * 24)..=(day.0 * 24 + 23),
    };
    note(unreadable, object, &key, hours.map(Hour));
    true
}

/// Whatever a folder that cannot be listed would hold may be missing.
pub(super) fn note_unlisted(unreadable: &mut Unreadable, folder: &str, window: Window) {
    let (first, last) = (window.since.day(), window.until.day());
    let (from, to) = days_below(folder).unwrap_or((first, Day(last.0 + 1)));
    let days = from.0.max(first.0 - 1)..to.0.min(last.0 + 2);
    let hours = (days.start * 24..days.end * 24).map(Hour);
    // As in a key below it.
    let key = read_key(&format!("{}/-/-/-", folder.trim_end_matches('/')));
    note(unreadable, folder, &key, hours);
}

fn note(
    unreadable: &mut Unreadable,
    object: &str,
    key: &LogKey,
    hours: impl Iterator<Item = Hour> + Clone,
) {
    match (key.is_cloudtrail, &key.account) {
        (true, Some(account)) => {
            unreadable.cloudtrail.entry(account.clone()).or_default().extend(hours);
        }
        // An account, and not which kind of log: either may be there.
        (false, Some(account)) => {
            unreadable.cloudtrail.entry(account.clone()).or_default().extend(hours.clone());
            unreadable.audit.extend(hours);
        }
        // The folders of an export task are named after log streams.
        (_, None) if object.contains("/kube-apiserver-audit-") => unreadable.audit.extend(hours),
        (_, None) => {
            unreadable.audit.extend(hours.clone());
            unreadable.cloudtrail_of_all.extend(hours);
        }
    }
}

/// What objects that say nothing of when cost, and how to have it back.
pub(super) fn warning(undated: &[&str]) -> Option<String> {
    if undated.is_empty() {
        return None;
    }
    let named: Vec<&str> = undated.iter().take(NAMED).copied().collect();
    let more = undated.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(format!(
        "{} cannot be read or not to the end, and no key says of which day: any hour may be missing \
         there, so none counts as covered. Mend them, or take away what is no log ({}{more}; \
         tables/rejects says why)",
        match undated.len() {
            1 => "an object".to_owned(),
            n => format!("{n} objects"),
        },
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;

    /// Hours lost of the audit log, of CloudTrail of one account, of CloudTrail of all.
    fn check(object: &str, expected: (usize, usize, usize), dated: bool) {
        let at = |text| Micros::parse(text).unwrap();
        let (since, until) = (at("2026-10-01T00:00:00Z"), at("2026-10-11T00:00:00Z"));
        let mut unreadable = Unreadable::default();
        let says = note_object(&mut unreadable, object, Window { since, until });
        let inside = |hours: &std::collections::BTreeSet<Hour>| {
            hours.range(since.hour()..until.hour()).count()
        };
        let of_account = unreadable.cloudtrail.get("111122223333").map_or(0, inside);
        let got = (inside(&unreadable.audit), of_account, inside(&unreadable.cloudtrail_of_all));
        assert_eq!((got, says), (expected, dated), "{object}");
    }

    #[test]
    fn an_object_takes_what_it_may_hold() {
        check("AWSLogs/111122223333/CloudTrail/us-west-2/2026/10/05/x.json.gz", (0, 24, 0), true);
        check("AWSLogs/111122223333/CloudTrail/us-west-2/x.json.gz", (0, 240, 0), false);
        check("AWSLogs/111122223333/x.json.gz", (240, 240, 0), false);
        check("eks/2026/10/05/09/audit-1", (2, 0, 2), true);
        check("some/2026/10/05/x.json.gz", (24, 0, 24), true);
        check("audit.log", (240, 0, 240), false);
        check("task/kube-apiserver-audit-0a1b/000000.gz", (240, 0, 0), false);
        check("some/_SUCCESS", (0, 0, 0), true);
        check(".DS_Store", (0, 0, 0), true);
        check("some/2026/10/05/_SUCCESS", (24, 0, 24), true);
    }

    #[test]
    fn a_few_are_named() {
        assert_eq!(warning(&[]), None);
        assert!(warning(&["a"]).unwrap().contains("an object cannot"), "one");
        let many = warning(&["a", "b", "c", "d"]).unwrap();
        assert!(many.contains("4 objects") && many.contains("a, b, c and 1 more;"), "{many}");
    }
}
