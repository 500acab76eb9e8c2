//! The ledger of objects that were read, and of the days that were folded: what a run continues from.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "ledger", "an object that was listed and read, or could not be read",
    key (source, object), sort (source, object),
    LedgerRow {
        "Bucket; empty for folders." source: String,
        "Key, as listed." object: String,
        "ETag, or the time of change of a file." etag: Option<String>,
        "Bytes as stored." size: i64,
        "`kept` `filtered` `rejected`." outcome: String,
        "Why it was filtered or rejected." reason: Option<String>,
        "Hour of its first record." first_hour: Option<Micros>,
        "Hour of its last record." last_hour: Option<Micros>,
        "First day whose records were taken." days_from: Micros,
        "Last day whose records were taken." days_to: Micros,
        "Digest of what was looked for." looked_for: String,
        "Counters, deliveries and rejects, for the tool." details: Vec<u8>,
    }
}

table! {
    "days", "a family of facts, a place and a day, folded",
    key (family, place, day, part), sort (family, place, day, part),
    DayRow {
        "`sessions` `authentications` `aws_calls` `logins` `changes` `audit_requests`." family: String,
        "Digits at the end of the folder of the place." place: String,
        "Day." day: Micros,
        "0, or the number of a file of facts that came late." part: i32,
        "False when copies in late facts could not be told apart." count_exact: bool,
        "Distinct records." distinct: i64,
        "Copies folded away." copies: i64,
        "The same by hour, for the tool." details: Vec<u8>,
    }
}
