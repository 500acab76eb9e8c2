//! What scans hand to whoever joins: facts before copies are removed, the objects that they are of, and
//! what was listed. One form for shards and for Spark.

use super::ledger::LedgerRow;
use crate::model::time::Micros;
use crate::table::table;

table! {
    "scanned_facts", "a fact of one record of a log, before copies are removed",
    key (), sort (key, body),
    FactRow {
        "`sessions` `authentications` `aws_calls` `logins` `changes` `audit_requests`." family: String,
        "8 hex digits of the account or cluster; in files by place the folder says it." place: Option<String>,
        "Event day." day: Micros,
        "Orders facts: family, day, place, hour, who made which request." key: Vec<u8>,
        "When." at: Micros,
        "Name of the object of the request." name: String,
        "What the record says, for the tool." body: Vec<u8>,
    }
}

table! {
    "listing", "an object that a scan is to read",
    key (source, object), sort (source, object),
    ListingRow {
        "`s3://bucket/key`, or the path of a file." uri: String,
        "Number of the place of logs that it was found in." at_place: i32,
        "Key, or path below the place." key: String,
        "Bucket; empty for folders." source: String,
        "Key, as the ledger knows it." object: String,
        "ETag, or the time of change of a file." etag: Option<String>,
        "Bytes as stored." size: i64,
    }
}

table! {
    "scanned", "a fact, or an object that was read: the two tables in one stream",
    key (), sort (kind, key, body),
    ScannedRow {
        "`fact` `object`." kind: String,
        "As in `scanned_facts`; null for an object." family: Option<String>,
        "As in `scanned_facts`." place: Option<String>,
        "As in `scanned_facts`." day: Option<Micros>,
        "As in `scanned_facts`." key: Option<Vec<u8>>,
        "As in `scanned_facts`." at: Option<Micros>,
        "As in `scanned_facts`." name: Option<String>,
        "As in `scanned_facts`." body: Option<Vec<u8>>,
        "As in `ledger`; null for a fact." source: Option<String>,
        "As in `ledger`." object: Option<String>,
        "As in `ledger`." etag: Option<String>,
        "As in `ledger`." size: Option<i64>,
        "As in `ledger`." outcome: Option<String>,
        "As in `ledger`." reason: Option<String>,
        "As in `ledger`." first_hour: Option<Micros>,
        "As in `ledger`." last_hour: Option<Micros>,
        "As in `ledger`." days_from: Option<Micros>,
        "As in `ledger`." days_to: Option<Micros>,
        "As in `ledger`." looked_for: Option<String>,
        "As in `ledger`." details: Option<Vec<u8>>,
    }
}

impl From<FactRow> for ScannedRow {
    fn from(fact: FactRow) -> Self {
        ScannedRow {
            kind: "fact".to_owned(),
            family: Some(fact.family),
            place: fact.place,
            day: Some(fact.day),
            key: Some(fact.key),
            at: Some(fact.at),
            name: Some(fact.name),
            body: Some(fact.body),
            ..ScannedRow::default()
        }
    }
}

impl From<LedgerRow> for ScannedRow {
    fn from(object: LedgerRow) -> Self {
        ScannedRow {
            kind: "object".to_owned(),
            source: Some(object.source),
            object: Some(object.object),
            etag: object.etag,
            size: Some(object.size),
            outcome: Some(object.outcome),
            reason: object.reason,
            first_hour: object.first_hour,
            last_hour: object.last_hour,
            days_from: Some(object.days_from),
            days_to: Some(object.days_to),
            looked_for: Some(object.looked_for),
            details: Some(object.details),
            ..ScannedRow::default()
        }
    }
}
