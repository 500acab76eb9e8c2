//! `audit --dry-run`: what would be read, as a table or as JSON.

use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::pipeline::dry_run::{Amount, DryRun, GET_PRICE, LIST_PRICE, PRICES_OF, PlaceShare};
use crate::pipeline::inputs::{LiveInputs, LogInput};
use crate::report::terminal::printable;

/// Whether to read at all.
#[derive(Debug, clap::Args)]
pub struct DryRunArgs {
    /// Say what would be read and about what the requests to S3 cost, and do not read it
    ///
    /// Lists the logs, reads inventory and ledger, and compares. No log is fetched and nothing is
    /// written. Event histories (lookup-events:REGION) are not asked for.
    #[arg(long)]
    pub dry_run: bool,
}

/// Takes event histories out of the inputs; says so.
pub(super) fn leave_histories(inputs: &mut LiveInputs) -> Vec<String> {
    let (histories, others): (Vec<LogInput>, Vec<LogInput>) = std::mem::take(&mut inputs.logs)
        .into_iter()
        .partition(|input| matches!(input, LogInput::LookupEvents(_)));
    inputs.logs = others;
    let say = |input| match input {
        LogInput::LookupEvents(region) => {
            Some(format!("lookup-events:{region} is not asked for in a dry run, and not counted"))
        }
        LogInput::Location(_) | LogInput::Trail(_) => None,
    };
    histories.into_iter().filter_map(say).collect()
}

/// All of it, for stdout.
pub(super) fn render(told: &DryRun, as_json: bool) -> String {
    if as_json {
        serde_json::to_string_pretty(&to_json(told)).unwrap_or_default() + "\n"
    } else {
        table(told)
    }
}

fn amount(amount: Amount) -> String {
    format!("{:>12} objects  {:>12}", count(amount.objects), HumanBytes(amount.bytes).to_string())
}

/// `1,234,567`; of a width, where one is asked for.
fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

fn table(told: &DryRun) -> String {
    let window = told.window;
    let mut lines =
        vec![format!("window  {} … {}", window.since.to_rfc3339(), window.until.to_rfc3339())];
    for place in &told.places {
        lines.push(String::new());
        lines.extend(of_place(place));
    }
    lines.push(String::new());
    lines.push(format!("{}  to be read in all", amount(told.to_read())));
    if told.rebuilt.objects > 0 {
        lines.push(format!("{}  about, again for days that are touched", amount(told.rebuilt)));
    }
    if told.to_read() == Amount::default() && told.rebuilt == Amount::default() {
        lines.push("nothing to read: every object that may matter is in the ledger".to_owned());
    }
    let requests = told.requests;
    if requests.list + requests.get > 0 {
        lines.push(format!(
            "S3: about {} LIST and {} GET requests, about {} USD ({PRICES_OF}; inventory and output not counted)",
            count(requests.list),
            count(requests.get),
            dollars(requests.cost())
        ));
        lines.push(
            "    transfer within a region is free; transfer across regions is not counted"
                .to_owned(),
        );
    }
    lines.extend(told.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines.push(String::new());
    lines.join("\n")
}

fn of_place(place: &PlaceShare) -> Vec<String> {
    let mut lines = vec![printable(&place.place)];
    lines.push(format!("{}  listed", amount(place.listed)));
    if place.known.objects > 0 {
        lines.push(format!("{}  known from the ledger, not read", amount(place.known)));
    }
    for read in &place.read {
        lines.push(format!("{}  to be read: {}", amount(read.amount), read.because));
    }
    for (why, n) in &place.pruned {
        let what = if *why == "prefix" { "folders" } else { "objects" };
        lines.push(format!("{:>12} {what}  left out by {why}", count(*n)));
    }
    if place.hidden > 0 {
        lines.push(format!(
            "{:>12} folders or files  cannot be looked at: their hours will not be covered",
            count(place.hidden)
        ));
    }
    lines
}

/// Dollars of 10⁻⁷ USD: four digits, and never 0 for what costs something.
fn dollars(cost: u64) -> String {
    if cost > 0 && cost < 1000 {
        return "less than 0.0001".to_owned();
    }
    let rounded = cost.saturating_add(500) / 1000;
    format!("{}.{:04}", rounded / 10_000, rounded % 10_000)
}

/// Tenths of a millionth of a dollar as a JSON number.
fn usd(cost: u64) -> Value {
    let text = format!("{}.{:07}", cost / 10_000_000, cost % 10_000_000);
    serde_json::from_str(&text).unwrap_or_default()
}

fn to_json(told: &DryRun) -> Value {
    let amount = |amount: Amount| json!({ "objects": amount.objects, "bytes": amount.bytes });
    let place = |place: &PlaceShare| {
        let read = place.read.iter().map(|read| {
            json!({
                "why": read.why,
                "because": read.because,
                "objects": read.amount.objects,
                "bytes": read.amount.bytes,
            })
        });
        json!({
            "place": printable(&place.place),
            "listed": amount(place.listed),
            "known": amount(place.known),
            "to_read": read.collect::<Vec<_>>(),
            "pruned": place.pruned,
            "cannot_be_looked_at": place.hidden,
        })
    };
    json!({
        "since": told.window.since.to_rfc3339(),
        "until": told.window.until.to_rfc3339(),
        "places": told.places.iter().map(place).collect::<Vec<_>>(),
        "to_read": amount(told.to_read()),
        "about_read_again": amount(told.rebuilt),
        "s3": {
            "list_requests": told.requests.list,
            "get_requests": told.requests.get,
            "about_usd": usd(told.requests.cost()),
            "usd_per_list": usd(LIST_PRICE),
            "usd_per_get": usd(GET_PRICE),
            "prices_of": PRICES_OF,
        },
        "notes": told.notes.iter().map(|note| printable(note)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_rounded_and_never_to_nothing() {
        let check = |cost, expected: &str| assert_eq!(dollars(cost), expected, "{cost}");
        check(0, "0.0000");
        check(4, "less than 0.0001");
        check(999, "less than 0.0001");
        check(1_500, "0.0002");
        check(50_000, "0.0050");
        check(12_345_678, "1.2346");
        assert_eq!(usd(50).to_string(), "5e-6");
        assert_eq!(usd(12_345_678).to_string(), "1.2345678");
    }
}
