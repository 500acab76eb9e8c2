//! What makes a record itself: copies of one have one number, and nobody can make another that has it.
//!
//! Input: what the record calls itself, and what it is about where the caller chose that. Output: 128 bits.

use super::id_from_parts;
use crate::model::digest::{self, Begun};
use crate::model::time::Micros;

/// The identity of a CloudTrail record: its id, which CloudTrail chose, and the account that it was
/// delivered to; of one without an id all of its bytes.
pub(super) fn of_record(event_id: &str, account: &str, bytes: &[u8]) -> u128 {
    let account = account.as_bytes();
    match uuid(event_id.as_bytes()) {
        // One block of the digest.
        Some(digits) => id_from_parts(&[&digits.to_be_bytes(), account]),
        None if event_id.is_empty() => id_from_parts(&[bytes]),
        None => id_from_parts(&[b"", event_id.as_bytes(), account]),
    }
}

/// The Audit-ID's number and the event's: what was asked by whom in the high half, when in the low half,
/// 0 where the time is lost. `asker` begins with the digest of who asked, as whom, with which verb.
pub(super) fn of_request(
    audit_id: &[u8],
    uri: &[u8],
    asker: &Begun,
    at: Option<Micros>,
) -> (u64, u128) {
    // The first byte tells where what is made of the Audit-ID ends.
    let (number, what) = match uuid(audit_id) {
        Some(digits) => {
            let [high, low] = halves(digits);
            let mut piece = [b'u'; 17];
            piece[1..].copy_from_slice(&digits.to_be_bytes());
            ((high ^ low).max(1), asker.and(&piece, uri))
        }
        None if audit_id.is_empty() => (0, asker.and(b"-", uri)),
        None => {
            let other = digest::of_bytes(audit_id);
            let mut piece = [b'o'; 33];
            piece[1..].copy_from_slice(&other);
            (low_half(digest::id(&other)).max(1), asker.and(&piece, uri))
        }
    };
    let [high, low] = halves(digest::id(&what));
    // Of one request every time gives another number.
    let low = at.map_or(0, |at| {
        let spread = at.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        low.wrapping_add(spread).max(1)
    });
    (number, u128::from(high) << 64 | u128::from(low))
}

fn halves(both: u128) -> [u64; 2] {
    [low_half(both >> 64), low_half(both)]
}

fn low_half(id: u128) -> u64 {
    u64::try_from(id & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

/// The digits of a UUID as the API server writes it. Two get one number only where somebody makes them up,
/// who could as well use one twice.
fn uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [8, 13, 18, 23].into_iter().any(|dash| text[dash] != b'-') {
        return None;
    }
    let eight = |at: usize| text.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    // Four digits on either side of a dash.
    let around = |at: usize| Some((eight(at)? & FRONT) | (eight(at + 1)? & !FRONT));
    let eights = [eight(0)?, around(9)?, around(19)?, eight(28)?];
    eights.into_iter().try_fold(0, |number, eight| Some(number << 32 | u128::from(digits(eight)?)))
}

const ONES: u64 = u64::MAX / 0xff;
const FRONT: u64 = 0xffff_ffff_0000_0000;

/// The number that eight hexadecimal digits in lower case are.
fn digits(text: u64) -> Option<u64> {
    // A letter has a bit that no figure has, and stands nine before its value.
    let letters = text >> 6 & ONES;
    let values = ((text & (ONES * 15)) + letters * 9) & (ONES * 15);
    // Whatever else was there does not come out again.
    let above_nine = (values + ONES * 6) >> 4 & ONES;
    let again = values + ONES * u64::from(b'0') + above_nine * u64::from(b'a' - b'0' - 10);
    let [by_two, by_four] = [0x00ff_00ff_00ff_00ff, 0x0000_ffff_0000_ffff];
    let twos = (values | values >> 4) & by_two;
    let fours = (twos | twos >> 8) & by_four;
    (again == text).then_some((fours | fours >> 16) & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_told_from_all_else() {
        for byte in 0..=255 {
            let expected = char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
            for at in 0..8 {
                let mut text = *b"01289abf";
                text[at] = byte;
                let number =
                    std::str::from_utf8(&text).ok().map(|text| u64::from_str_radix(text, 16));
                let got = digits(u64::from_be_bytes(text));
                assert_eq!(got, expected.map(|_| number.unwrap().unwrap()), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn one_record_has_one_number_and_no_other_has_it() {
        let check = |text: &str, expected: Option<u128>| {
            assert_eq!(uuid(text.as_bytes()), expected, "{text}");
        };
        let digits = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        check("01234567-89ab-cdef-0123-456789abcdef", Some(digits));
        check("01234567-89AB-cdef-0123-456789abcdef", None);
        check("0123456789ab-cdef-0123-456789abcdef00", None);
        check("01234567089ab-cdef-0123-456789abcdef", None);
        check("01234567-89ab-cdef-0123-456789abcde-", None);
        check("+1234567-89ab-cdef-0123-456789abcdef", None);
        check("", None);
        let of = |id: &str, uri: &str| {
            of_request(id.as_bytes(), uri.as_bytes(), &Begun::with(b"asker"), Some(Micros(1)))
        };
        let one = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(of(one, "/a"), of(one, "/a"));
        let all =
            [of(one, "/a"), of(one, "/b"), of("", "/a"), of("chosen", "/a"), of("", "chosen/a")];
        let ids: std::collections::BTreeSet<u128> = all.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), all.len());
        // Nor is a record another, however its id is written.
        let digits = of_record(one, "1", b"{}");
        assert_eq!(digits, of_record(one, "1", b"{ }"));
        let all = [
            digits,
            of_record(one, "2", b""),
            of_record("chosen", "1", b""),
            of_record("", "1", b"{}"),
            of_record("", "1", b"{ }"),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        // The high half tells what was asked, whenever it was.
        let later = of_request(one.as_bytes(), b"/a", &Begun::with(b"asker"), None);
        let now = of(one, "/a");
        assert_eq!((later.0, later.1 >> 64), (now.0, now.1 >> 64));
        assert_eq!((later.1, of("", "/a").0), (later.1 >> 64 << 64, 0));
    }
}
