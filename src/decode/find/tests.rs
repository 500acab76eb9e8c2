//! Shapes, depths and callers one by one; any bytes beside a parser and the general way.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::split;

/// What the general way makes of a file.
fn by_split(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut pieces = split::pieces(bytes);
    let Some(split::Piece::Json(whole)) = pieces.next() else { return None };
    if pieces.next().is_some() {
        return None;
    }
    let mut members = split::members(whole);
    let (key, list) = members.next()?;
    (key == b"Records" && list.starts_with(b"["))
        .then(|| split::elements(list).collect::<Result<_, _>>().ok())?
}

fn by_find(bytes: &[u8]) -> Option<Vec<Found>> {
    let mut all = Records::default();
    records(bytes, &mut all, |_| false).then_some(all.found)
}

#[test]
fn shapes() {
    let check = |file: &str, expected: Option<&[&str]>| {
        let found = by_find(file.as_bytes());
        let got: Option<Vec<&str>> = found.as_ref().map(|found| {
            found
                .iter()
                .map(|one| std::str::from_utf8(one.bytes(file.as_bytes())).unwrap())
                .collect()
        });
        assert_eq!(got.as_deref(), expected, "{file}");
    };
    check(r#"{"Records":[]}"#, Some(&[]));
    check("\u{feff} { \"Records\" :\n[ ] }\n", Some(&[]));
    check(
        r#"{"Records":[{"a":1},{"b":[{"c":"}"}]}]}"#,
        Some(&[r#"{"a":1}"#, r#"{"b":[{"c":"}"}]}"#]),
    );
    check(r#"{"Records":[{"a":"\\\"{"},{}]} "#, Some(&[r#"{"a":"\\\"{"}"#, "{}"]));
    for other in [
        "",
        "{}",
        "[]",
        r#"{"Records":{}}"#,
        r#"{"records":[]}"#,
        r#"{"Records":[1]}"#,
        r#"{"Records":[[]]}"#,
        r#"{"Records":["x",{}]}"#,
        r#"{"Records":[{}]"#,
        r#"{"Records":[{}"#,
        r#"{"Records":[{"a":"#,
        r#"{"Records":[{"a":"x"#,
        r#"{"Records":[{]]}"#,
        r#"{"Records":[{}},{}]}"#,
        r#"{"Records":[{}],"more":1}"#,
        r#"{"Records":[{}]}{"Records":[]}"#,
        "{\"Records\":[{\"a\":\"x\ny\"}]}",
        "{\"Records\":[{\"a\":\"x\u{0}y\"}]}",
    ] {
        check(other, None);
    }
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    bytes.map(|bytes| std::str::from_utf8(bytes).unwrap())
}

#[test]
fn members_count_at_their_depth_alone() {
    let check = |record: &str, source: Option<&str>, odd: bool| {
        // Whatever it is that comes before, the borders of blocks must not matter.
        for pad in 0..70 {
            let file = format!("{{\"Records\":[{}{{\"x\":{{}}}},{record}]}}", " ".repeat(pad));
            let found = by_find(file.as_bytes()).unwrap_or_else(|| panic!("{file}"));
            let one = found[1];
            assert_eq!(one.odd, odd, "{file}");
            if !odd {
                assert_eq!(text(one.source(file.as_bytes())), source, "{file}");
            }
        }
    };
    check(r#"{"eventSource":"sts"}"#, Some("sts"), false);
    check(r#"{"a":1,"eventSource": "sts" ,"b":{}}"#, Some("sts"), false);
    check(r#"{"a":{"eventSource":"sts"}}"#, None, false);
    check(r#"{"a":[{"eventSource":"sts"}],"eventSource":"ec2"}"#, Some("ec2"), false);
    check(r#"{"a":"\"eventSource\":\"sts\"","eventSource":"ec2"}"#, Some("ec2"), false);
    check(r#"{"myeventSource":"sts"}"#, None, false);
    check(r#"{"eventSource":7}"#, None, false);
    check(r#"{"eventSource":"s\u0074s"}"#, None, false);
    check(r#"{"eventSource":"sts","eventSource":"ec2"}"#, None, true);
    check(r#"{"event\u0053ource":"sts"}"#, None, true);
    check(r#"{"x\"eventSource":"sts"}"#, None, true);
    check(
        r#"{"a":1,"\u0065\u0076\u0065\u006e\u0074\u0053\u006f\u0075\u0072\u0063\u0065":"sts"}"#,
        None,
        true,
    );
    check(r#"{"eventSource" :"sts"}"#, None, true);
    check(r#"{"a":"C:\\","eventSource":"sts"}"#, Some("sts"), false);
    check(r#"{"a":"\\\"","eventSource":"sts"}"#, Some("sts"), false);
}

#[test]
fn what_a_record_says() {
    let file = br#"{"Records":[{"userIdentity":{"principalId":"AROA:x"},"eventTime":"t","eventCategory":"Data","awsRegion":"r","recipientAccountId":"1"},{"userIdentity":{}}]}"#;
    let found = by_find(file).unwrap();
    assert_eq!(text(found[0].time(file)), Some("t"));
    assert_eq!(text(found[0].category(file)), Some("Data"));
    assert_eq!(found[0].account_and_region(file), Some((b"1".as_slice(), b"r".as_slice())));
    let ids: Vec<_> = found[0].callers(file).0.map(text).collect();
    assert_eq!(ids, [Some("AROA:x")]);
    assert_eq!(text(found[1].time(file)), None);
    assert_eq!(text(found[1].category(file)), Some(""));
}

#[test]
fn what_is_passed_is_not_kept() {
    let file = br#"{"Records":[{"a":1},{"eventSource":"b","c":2},{"d":3}]}"#;
    let mut all = Records::default();
    let mut shown = 0;
    assert!(records(file, &mut all, |one| {
        shown += 1;
        one.source(file).is_none()
    }));
    assert_eq!((shown, all.found.len()), (3, 1));
    assert_eq!(all.found[0].bytes(file), br#"{"eventSource":"b","c":2}"#);
}

#[test]
fn callers_wherever_they_stand() {
    let check = |identity: &str, ids: &[Option<&str>], arns: &[Option<&str>], odd: bool| {
        for pad in 0..70 {
            let file = format!(
                r#"{{"Records":[{}{{"userIdentity":{identity},"more":"{}"}}]}}"#,
                " ".repeat(pad),
                "x".repeat(80)
            );
            let found = by_find(file.as_bytes()).unwrap_or_else(|| panic!("{file}"));
            assert_eq!(found[0].odd, odd, "{file}");
            if !odd {
                let (got_ids, got_arns) = found[0].callers(file.as_bytes());
                assert_eq!(got_ids.map(text).collect::<Vec<_>>(), ids, "{file}");
                assert_eq!(got_arns.map(text).collect::<Vec<_>>(), arns, "{file}");
            }
        }
    };
    let padding = "y".repeat(70);
    check("{}", &[], &[], false);
    check("null", &[], &[], false);
    check(r#"{"principalId":"A:s","arn":"a"}"#, &[Some("A:s")], &[Some("a")], false);
    check(r#"{"arn": "a"}"#, &[], &[Some("a")], false);
    check(r#"{"arn":7,"principalId":null}"#, &[None], &[None], false);
    check(
        &format!(
            r#"{{"principalId":"A:s","z":"{padding}","c":{{"s":{{"principalId":"A","arn":"b"}}}},"arn":"a"}}"#
        ),
        &[Some("A:s"), Some("A")],
        &[Some("b"), Some("a")],
        false,
    );
    check(r#"{"arn":"a","b":{"arn":"b","c":{"arn":"c"}}}"#, &[], &[], true);
    check(r#"{"\u0061rn":"a"}"#, &[], &[], true);
    check(r#"{"arn" :"a"}"#, &[], &[], true);
    check(r#"{"xarn":"a","rn":"b"}"#, &[], &[], false);
}

fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "[a-z\"\\\\]{0,4}",
        prop::sample::select(vec![
            "eventSource",
            "eventTime",
            "userIdentity",
            "eventCategory",
            "Records",
            "awsRegion",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Into::into),
        "[a-z\"\\\\{}\\[\\],:é\n]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[cfg(target_arch = "x86_64")]
proptest! {
    #[test]
    fn machines_agree(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"\"\\{}[]:,\n {}".to_vec())], 0..400)) {
        let file = [b"{\"Records\":[{\"eventSource\":\"", bytes.as_slice(), b"\"}]}"].concat();
        let first = br#"{"Records":["#.len();
        let (mut one, mut other) = (Records::default(), Records::default());
        let portable = walk((&file, first), &mut one, lanes::masks, lanes::prefix_xor, &mut |_| false);
        if let Ok(fast) = super::super::audited::records_by_avx2((&file, first), &mut other, &mut |_| false) {
            prop_assert_eq!(fast, portable);
            prop_assert_eq!(one.found, other.found);
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_parser(all in prop::collection::vec(value(), 0..6), pretty: bool, pad in 0_usize..70) {
        let file = json!({ "Records": all });
        let file = if pretty { serde_json::to_string_pretty(&file) } else { serde_json::to_string(&file) };
        let file = format!("{}{}", " ".repeat(pad), file.unwrap());
        let found = by_find(file.as_bytes());
        prop_assert_eq!(found.is_some(), all.iter().all(Value::is_object));
        for (one, value) in found.iter().flatten().zip(&all) {
            let read: Value = serde_json::from_slice(one.bytes(file.as_bytes())).unwrap();
            prop_assert_eq!(&read, value);
            if !one.odd {
                for (key, got) in [("eventSource", one.source(file.as_bytes())), ("eventTime", one.time(file.as_bytes()))] {
                    let plain = value[key].as_str().filter(|text| !text.contains(['"', '\\', '\n']));
                    prop_assert_eq!(text(got), plain);
                }
            }
        }
    }

    #[test]
    fn finds_what_the_general_way_finds(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:\\a \n{}\"\"".to_vec()), 0..200)) {
        let file = [b"{\"Records\":[{\"a\":", bytes.as_slice(), b"}]}"].concat();
        if let Some(found) = by_find(&file) {
            let got: Vec<&[u8]> = found.iter().map(|one| one.bytes(&file)).collect();
            prop_assert_eq!(Some(got), by_split(&file));
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for file in [bytes.clone(), [b"{\"Records\":[", bytes.as_slice()].concat()] {
            for one in by_find(&file).unwrap_or_default() {
                assert!(one.callers(&file).0.count() <= PLACES);
                assert!(one.time(&file).is_none_or(|text| text.len() < file.len()));
            }
        }
    }
}
