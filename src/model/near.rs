//! Names that are like what somebody typed: tables, keys of the configuration, principals.

/// How alike two names must be, of 1.
const ALIKE: f64 = 0.8;

/// At most `most` of the names that are like `typed` or hold it, best first. Case does not count. Of a path or
/// an ARN the last part may be what was typed.
#[must_use]
pub fn near<'a>(
    typed: &str,
    among: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    let typed = typed.trim().to_lowercase();
    let like = |name: &str| {
        let name = name.to_lowercase();
        let last = last_part(&name);
        let whole = strsim::jaro_winkler(&typed, &name);
        let part = strsim::jaro_winkler(last_part(&typed), last);
        // The longer the part of it that was typed, the better.
        let held = last.contains(&typed).then(|| share(typed.len(), last.len()));
        whole.max(part).max(held.unwrap_or(0.0))
    };
    let scored = among.into_iter().map(|name| (like(name), name));
    let mut scored: Vec<(f64, &str)> = scored.filter(|(score, _)| *score > ALIKE).collect();
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    scored.into_iter().take(most).map(|(_, name)| name).collect()
}

/// The one that is most like `typed`, if any is.
#[must_use]
pub fn nearest<'a>(typed: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(typed, among, 1).first().copied()
}

/// What to say of a name that is none of the known: the nearest, or all where none is like it.
#[must_use]
pub fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(typed, known.iter().copied()) {
        Some(one) => format!("the nearest is {one:?}"),
        None => format!("there is {}", known.join(", ")),
    }
}

/// How alike a name is that holds what was typed: nobody means one letter.
fn share(typed: usize, name: usize) -> f64 {
    let of = f64::from(u32::try_from(typed).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(name).unwrap_or(u32::MAX));
    if typed < 2 { 0.0 } else { ALIKE + (1.0 - ALIKE) * of }
}

fn last_part(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name() {
        let check = |typed: &str, expected: Option<&str>| {
            let among = ["grants", "grant_usage", "verdicts", "api_access"];
            assert_eq!(nearest(typed, among), expected, "{typed}");
        };
        check("grant", Some("grants"));
        check("Verdict", Some("verdicts"));
        check("apiaccess", Some("api_access"));
        check("pods", None);
        check("", None);
    }

    #[test]
    fn several_names_best_first() {
        let role = "arn:aws:iam::1:role/team/jenkins";
        let among = ["shop/jenkin", role, "arn:aws:iam::1:role/ci", "developers"];
        assert_eq!(near("jenkin", among, 3), ["shop/jenkin", role]);
        assert_eq!(near("arn:aws:iam::1:role/jenkins", among, 1), [role]);
        assert_eq!(near("zzz", among, 3), [""; 0]);
        assert_eq!(near("kin", among, 3), ["shop/jenkin", role]);
        assert_eq!(near("n", among, 3), [""; 0]);
    }

    #[test]
    fn where_none_is_like_it_all_are_told() {
        assert_eq!(hint("onwer", ["owner", "reason"]), "the nearest is \"owner\"");
        assert_eq!(hint("zzz", ["owner", "reason"]), "there is owner, reason");
    }
}
