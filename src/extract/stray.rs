//! Text among the logs that is no log: a readme, a listing, the output of another program.
//!
//! What cannot be read may hold records, and the hours that it may be of are then not covered. A stray
//! file should not cost that; so it is told apart, and only where that is safe: plain text in words,
//! without any word that every record has.

use memchr::memmem;

/// Of these, every CloudTrail record, audit event and line of the authenticator has one, whoever
/// carries it and however its keys are spelt.
const MARKS: [&[u8]; 9] = [
    b"auditid",
    b"audit_id",
    b"audit.k8s.io",
    b"requesturi",
    b"eventname",
    b"eventsource",
    b"event_name",
    b"arn:aws",
    b"access granted",
];
/// What is longer without a break may be packed or enciphered; lines of Base64 have 64 and more.
const MAX_WORD: usize = 63;

/// True for what cannot hold a record.
pub(super) fn is_stray(inflated: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(inflated) else { return false };
    let odd = |c: char| c.is_control() && !c.is_whitespace();
    let breaks = |c: char| !c.is_ascii_alphanumeric() && !"+/=-_".contains(c);
    if text.trim().is_empty()
        || text.contains(odd)
        || text.split(breaks).any(|w| w.len() > MAX_WORD)
    {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    !MARKS.iter().any(|mark| memmem::find(lower.as_bytes(), mark).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_no_log() {
        let check = |text: &[u8], expected: bool| {
            assert_eq!(is_stray(text), expected, "{}", String::from_utf8_lossy(text));
        };
        check(b"# Logs of prod\n\nCopied in October.\n", true);
        check(b"{\"a\":{\"Records\":[]}}", true);
        check(b"", false);
        check(b" \n ", false);
        check(b"\x28\xb5\x2f\xfd\x04\x00", false);
        check(b"PAR1\x15\x04", false);
        check("eNqrVkrLz1eyUkpKLFKqBQAeDgRQ".repeat(3).as_bytes(), false);
        check(br#"<14>1 host app - {"kind":"Event","AuditID":"1"}"#, false);
        check(br#"{"event":{"EventName":"AssumeRole"}}"#, false);
        check(b"who=arn:aws:iam::111122223333:role/x did=get", false);
    }
}
