//! What CloudTrail alone says, and what it does not.

use std::sync::Arc;

use super::*;
use crate::join::Hourly;
use crate::join::presence::Presence;
use crate::model::coverage::{Delivered, LogStream};
use crate::model::fact::{AwsCallFact, AwsCaller};

fn trail(account: &str, hours: std::ops::Range<i32>) -> Coverage {
    let mut all = Deliveries::default();
    for hour in hours {
        let stream = LogStream::CloudTrail { account: account.to_owned(), region: "r".to_owned() };
        let delivered = Delivered { objects: 1, events: 1, rejected: 0 };
        all.by_hour.insert((stream, crate::model::time::Hour(hour)), delivered);
    }
    all.issuing.insert(account.to_owned());
    Coverage::new(&all, &Unreadable::default(), window())
}

fn seen(agent: &str) -> Presence {
    let caller = Arc::new(AwsCaller { principal_id: "AROA0:s".to_owned(), ..AwsCaller::default() });
    let body =
        AwsCallFact { caller, user_agent_family: agent.to_owned(), ..AwsCallFact::default() };
    let at = Micros(5 * DAY);
    let call = Hourly { hour: at.hour(), body, count: 1, first: at, last: at };
    let mut presence = Presence::default();
    presence.note_authentication(&call);
    presence
}

#[test]
fn who_never_came_did_nothing() {
    let all_hours = 0..90 * 24;
    let check = |presence: Presence,
                 coverage: Coverage,
                 calibrated: bool,
                 change: fn(&mut Grant),
                 expected: (Kind, &str, Option<i64>)| {
        let verdict = one(change, &Evidence::default(), false, |case| {
            case.audit = Covered::default();
            case.presence = Box::leak(Box::new(presence));
            case.coverage = Box::leak(Box::new(coverage));
            case.calibrated = calibrated.then(|| "1".to_owned()).into_iter().collect();
        });
        let last = verdict.last_authenticated.map(|at| at.0 / DAY);
        assert_eq!((verdict.kind, verdict.reason.as_str(), last), expected, "{verdict:?}");
    };
    let same: fn(&mut Grant) = |_| {};
    let nobody = Presence::default;
    let full = || trail("1", all_hours.clone());
    check(nobody(), full(), false, same, (Kind::Unused, "no_session", None));
    check(
        nobody(),
        full(),
        false,
        |g| g.valid_from = Some(Micros(80 * DAY)),
        (Kind::TooNew, "too_new", None),
    );
    // A hole in the trail may hide a session; another account's trail says nothing of this one.
    check(nobody(), trail("1", 0..80 * 24), false, same, (Kind::Unobservable, "no_logs", None));
    check(
        nobody(),
        trail("2", all_hours.clone()),
        false,
        same,
        (Kind::Unobservable, "no_logs", None),
    );
    let redeemed = || seen("Go-http-client");
    check(
        redeemed(),
        full(),
        true,
        same,
        (Kind::Unobservable, "authenticated_no_audit_log", Some(5)),
    );
    // A session that redeems nothing proves something only where redemption is seen at all.
    check(
        seen("aws-cli"),
        full(),
        false,
        same,
        (Kind::Unobservable, "authenticated_no_audit_log", Some(5)),
    );
    check(seen("aws-cli"), full(), true, same, (Kind::Unused, "no_token_redeemed", Some(5)));
    // A user needs no session: its silence counts only where redemption is known to show.
    let person: fn(&mut Grant) = |g| g.holder = Holder::Identity(1);
    check(nobody(), full(), false, person, (Kind::Unobservable, "no_logs", None));
    check(nobody(), full(), true, person, (Kind::Unused, "no_session", None));
    // Rules that are not known stay unknown, and what pods hold is not IAM's.
    check(
        nobody(),
        full(),
        false,
        |g| g.allows = Allows::Hole,
        (Kind::Unobservable, "inventory_hole", None),
    );
    check(
        nobody(),
        full(),
        false,
        |g| {
            g.kind = GrantKind::RbacSubject;
            g.holder = Holder::Subject(Subject::ServiceAccount {
                namespace: "a".to_owned(),
                name: "b".to_owned(),
            });
        },
        (Kind::Unobservable, "no_logs", None),
    );
    check(
        nobody(),
        full(),
        false,
        |g| {
            g.kind = GrantKind::RbacSubject;
            g.holder = Holder::Subject(Subject::User("r0".to_owned()));
        },
        (Kind::Unused, "no_session", None),
    );
}

#[test]
fn an_audit_log_that_covers_enough_has_the_word() {
    let verdict = one(
        |_| {},
        &Evidence::default(),
        false,
        |case| {
            case.presence = Box::leak(Box::new(seen("Go-http-client")));
            case.coverage = Box::leak(Box::new(trail("1", 0..90 * 24)));
        },
    );
    assert_eq!((verdict.kind, verdict.reason.as_str()), (Kind::Unused, "no_use"));
    assert_eq!(verdict.last_authenticated, Some(Micros(5 * DAY)));
}
