//! The YAML inside the aws-auth ConfigMap, read as the authenticator reads it.
//!
//! Elements are judged one by one: a bad one is dropped and told, the others count; a value that is
//! no YAML drops its whole key. Role ARNs are compared without regard to case and the last row for
//! one ARN wins. Source: <https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html>.

use std::collections::BTreeMap;

use serde_yaml_ng::Value;

use crate::model::inventory::AwsAuthRow;

/// Takes what does not read, for people.
pub type Lost<'a> = &'a mut dyn FnMut(String);

/// Rows of `mapRoles` (`rolearn`) or `mapUsers` (`userarn`), in order.
pub fn rows(yaml: &str, arn_key: &str, lost: Lost<'_>) -> Vec<AwsAuthRow> {
    let mut rows = Vec::new();
    for element in elements(yaml, arn_key, lost) {
        let arn = element.get(arn_key).and_then(Value::as_str).unwrap_or_default();
        if arn.is_empty() {
            lost(format!("aws-auth: an element without {arn_key}"));
            continue;
        }
        let listed = element.get("groups").and_then(Value::as_sequence);
        rows.push(AwsAuthRow {
            arn: arn.to_owned(),
            username: element.get("username").and_then(scalar).unwrap_or_default(),
            groups: listed.into_iter().flatten().filter_map(scalar).collect(),
            overridden: false,
        });
    }
    // Users are keyed by the ARN as written, roles without regard to case.
    let key = |row: &AwsAuthRow| {
        if arn_key == "rolearn" { row.arn.to_lowercase() } else { row.arn.clone() }
    };
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for (idx, row) in rows.iter().enumerate() {
        last.insert(key(row), idx);
    }
    for (idx, row) in rows.iter_mut().enumerate() {
        row.overridden = last.get(&key(row)).is_some_and(|&winner| winner != idx);
    }
    rows
}

/// One row and one of its groups as a change of aws-auth names them. ARNs of roles compare without
/// regard to case.
#[must_use]
pub fn row_name(arn: &str, group: &str) -> String {
    format!("{} -> {group}", arn.to_lowercase())
}

/// Account ids of `mapAccounts`; an unquoted id was read as a number and lost its leading zeros.
pub fn accounts(yaml: &str, lost: Lost<'_>) -> Vec<String> {
    let mut accounts: Vec<String> = Vec::new();
    for element in elements(yaml, "mapAccounts", lost) {
        match scalar(&element) {
            Some(id) if id.bytes().all(|b| b.is_ascii_digit()) && !id.is_empty() => {
                accounts.push(format!("{id:0>12}"));
            }
            _ => lost("aws-auth: an element of mapAccounts that is no account id".to_owned()),
        }
    }
    accounts
}

fn elements(yaml: &str, what: &str, lost: Lost<'_>) -> Vec<Value> {
    let plain = yaml.trim();
    if matches!(plain, "" | "''" | "\"\"" | "``") {
        return Vec::new();
    }
    match serde_yaml_ng::from_str::<Value>(yaml) {
        Ok(Value::Sequence(list)) => list,
        Ok(Value::Null) => Vec::new(),
        Ok(_) => {
            lost(format!("aws-auth: {what} is no list"));
            Vec::new()
        }
        Err(error) => {
            lost(format!("aws-auth: {what}: {error}"));
            Vec::new()
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, expected: &[(&str, &str, &[&str], bool)], lost: bool) {
        let mut any_lost = false;
        let got = rows(yaml, "rolearn", &mut |_| any_lost = true);
        let got: Vec<_> = got
            .iter()
            .map(|r| {
                let groups: Vec<&str> = r.groups.iter().map(String::as_str).collect();
                (r.arn.as_str(), r.username.as_str(), groups, r.overridden)
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(a, u, g, o)| (*a, *u, g.to_vec(), *o)).collect();
        assert_eq!(got, expected, "{yaml}");
        assert_eq!(any_lost, lost, "{yaml}");
    }

    #[test]
    fn rows_are_judged_one_by_one() {
        check("", &[], false);
        check("''", &[], false);
        check(
            "- rolearn: a\n  username: u\n  groups: [g, h]",
            &[("a", "u", &["g", "h"], false)],
            false,
        );
        check(
            "- rolearn: a\n- username: x\n- rolearn: b",
            &[("a", "", &[], false), ("b", "", &[], false)],
            true,
        );
        check(
            "- rolearn: A\n  groups: [g]\n- rolearn: a\n  groups: [h]",
            &[("A", "", &["g"], true), ("a", "", &["h"], false)],
            false,
        );
        check("{not: a list}", &[], true);
        check("- rolearn: [", &[], true);
        check("- rolearn: a\n  userid: x\n  extra: {b: c}", &[("a", "", &[], false)], false);
    }

    #[test]
    fn account_ids_get_their_zeros_back() {
        let mut any_lost = false;
        assert_eq!(
            accounts("- \"012345678901\"\n- 12345678901\n- x", &mut |_| any_lost = true),
            ["012345678901", "012345678901"]
        );
        assert!(any_lost);
    }
}
