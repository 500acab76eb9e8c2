//! A line of the EKS authenticator log: who came with an IAM token, and whether it was mapped.
//!
//! The lines are logfmt, and the only place that names an IAM principal which tried and was not
//! mapped. Source: <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>,
//! <https://github.com/kubernetes-sigs/aws-iam-authenticator>.

use std::borrow::Cow;

/// One line. Absent fields are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoginLine<'a> {
    /// RFC 3339.
    pub time: Cow<'a, str>,
    /// `access granted`, `access denied`, `STS response`, …
    pub message: Cow<'a, str>,
    /// IAM ARN without path.
    pub arn: Cow<'a, str>,
    /// `aws-iam-authenticator:<account>:<AROA…>`
    pub uid: Cow<'a, str>,
    /// Kubernetes username.
    pub username: Cow<'a, str>,
    /// `[a b]`
    pub groups: Cow<'a, str>,
    /// Why not.
    pub error: Cow<'a, str>,
    /// Of an STS answer.
    pub access_key_id: Cow<'a, str>,
}

/// Reads a line; `None` when it is no logfmt with a time.
#[must_use]
pub fn read(line: &[u8]) -> Option<LoginLine<'_>> {
    let text = std::str::from_utf8(line).ok()?;
    if !text.starts_with("time=") {
        return None;
    }
    let mut read = LoginLine::default();
    for (key, value) in Pairs(text) {
        match key {
            "time" => read.time = value,
            "msg" => read.message = value,
            "arn" => read.arn = value,
            "uid" => read.uid = value,
            "username" => read.username = value,
            "groups" => read.groups = value,
            "error" => read.error = value,
            "accesskeyid" => read.access_key_id = value,
            _ => {}
        }
    }
    Some(read)
}

/// `key=value` and `key="quoted value"`, in order.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.0.trim_start().split_once('=')?;
        let Some(quoted) = rest.strip_prefix('"') else {
            let (value, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            self.0 = rest;
            return Some((key, Cow::Borrowed(value)));
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = quoted.get(at + 1..).unwrap_or_default();
                    return Some((key, Cow::Owned(value)));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, other)) => value.push(other),
                    None => break,
                },
                c => value.push(c),
            }
        }
        // The quote never closes: what was read is all there is.
        self.0 = "";
        Some((key, Cow::Owned(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logfmt_lines() {
        let granted = read(
            br#"time="2022-05-26T18:55:30Z" level=info msg="access granted" arn="arn:aws:iam::1:user/t" client="127.0.0.1:5" groups="[system:masters a]" method=POST uid="aws-iam-authenticator:1:AIDA" username=kubernetes-admin"#,
        )
        .unwrap();
        assert_eq!(granted.message, "access granted");
        assert_eq!(
            (granted.groups.as_ref(), granted.username.as_ref()),
            ("[system:masters a]", "kubernetes-admin")
        );
        let denied = read(
            br#"time="t" level=warning msg="access denied" arn="a" error="ARN is not mapped: \"x y\"\n""#,
        )
        .unwrap();
        assert_eq!(denied.error, "ARN is not mapped: \"x y\"\n");
        assert_eq!(read(br#"time="never closed"#).unwrap().time, "never closed");
        assert_eq!(read(b"I1124 klog"), None);
        assert_eq!(read(b"time=\xff"), None);
        assert_eq!(read(b"time=a b= =c d").unwrap().time, "a");
    }
}
