//! A line of the authenticator log to a fact.
//!
//! The authenticator writes one line per token review, cached ones apart, so its silence proves
//! nothing; but it is the only place that names a principal which no mapping let in.
//! Source: <https://github.com/kubernetes-sigs/aws-iam-authenticator/blob/master/pkg/server/server.go>.

use std::borrow::Cow;
use std::rc::Rc;

use super::id_from_parts;
use crate::decode::authenticator::LoginLine;
use crate::decode::lenient::Text;
use crate::model::fact::{Fact, FactBody, LoginFact};
use crate::model::tally::Reason;
use crate::model::time::Micros;

/// The fact of one line; `None` for lines that are about no login.
pub(super) fn extract(
    line: &LoginLine<'_>,
    bytes: &[u8],
    cluster: &str,
    stream: &str,
) -> Result<Option<Fact<'static>>, Reason> {
    let at = Micros::parse(&line.time).ok_or(Reason::BadTime)?;
    let granted = match line.message.as_ref() {
        "access granted" => true,
        "access denied" => false,
        _ => return Ok(None),
    };
    let owned = |text: &std::borrow::Cow<'_, str>| Text(text.clone()).to_owned();
    let arn = if line.arn.is_empty() { arn_in(&line.error) } else { owned(&line.arn) };
    let mut groups: Vec<String> = line
        .groups
        .trim_matches(['[', ']'])
        .split_whitespace()
        .map(|group| owned(&group.into()))
        .collect();
    groups.sort();
    groups.dedup();
    let refusal = match (granted, line.error.to_ascii_lowercase()) {
        (true, _) => "",
        (false, why) if why.contains("not mapped") => "not_mapped",
        (false, why) if why.contains("expired") => "expired",
        (false, _) => "other",
    };
    let body = LoginFact {
        cluster: cluster.to_owned(),
        granted,
        arn,
        principal_id: line.uid.rsplit(':').next().unwrap_or_default().to_owned(),
        username: owned(&line.username),
        groups,
        refusal: refusal.to_owned(),
    };
    let id = id_from_parts(&[cluster.as_bytes(), stream.as_bytes(), bytes]);
    let body = Rc::new(FactBody::Login(Box::new(body)));
    Ok(Some(Fact { group: 0, id, ordinal: 0, rank: 1, at, name: Cow::Borrowed(""), body }))
}

/// The ARN in a refusal's words; empty when there is none.
fn arn_in(error: &str) -> String {
    let word = error
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '(' | ')'))
        .find(|word| word.starts_with("arn:"));
    Text(word.unwrap_or_default().into()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::authenticator::read;

    #[test]
    fn logins_and_refusals() {
        let check = |line: &str, expected: Option<(&str, &str, &str)>| {
            let parsed = read(line.as_bytes()).unwrap();
            let got = extract(&parsed, line.as_bytes(), "c", "s").unwrap();
            let got = got.map(|fact| match &*fact.body {
                FactBody::Login(login) => {
                    (login.arn.clone(), login.refusal.clone(), login.groups.join(" "))
                }
                other => panic!("{other:?}"),
            });
            let got = got.as_ref().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str()));
            assert_eq!(got, expected, "{line}");
        };
        let time = r#"time="2026-01-01T00:00:00Z""#;
        check(
            &format!(
                r#"{time} msg="access granted" arn="arn:aws:iam::1:role/r" groups="[b a]" uid="aws-iam-authenticator:1:AROA""#
            ),
            Some(("arn:aws:iam::1:role/r", "", "a b")),
        );
        check(
            &format!(
                r#"{time} msg="access denied" error="ARN is not mapped: arn:aws:iam::1:role/x""#
            ),
            Some(("arn:aws:iam::1:role/x", "not_mapped", "")),
        );
        check(
            &format!(r#"{time} msg="access denied" error="input token was expired""#),
            Some(("", "expired", "")),
        );
        check(&format!(r#"{time} msg="STS response" accesskeyid=ASIA"#), None);
        let undated = read(br#"time="now" msg="access denied""#).unwrap();
        assert_eq!(extract(&undated, b"", "c", "s"), Err(Reason::BadTime));
    }
}
