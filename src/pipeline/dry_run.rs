//! What a run would read, and what the requests for it cost: listed and compared, and nothing more.
//!
//! Input: a [`Plan`]. Output: a [`DryRun`]. Inventory, listing and ledger are those of the run itself
//! ([`catch_up`](super::catch_up)); no log object is fetched, nothing is written but temporary copies of
//! the ledger. Prices are here and their arithmetic is in whole tenths of a millionth of a dollar.

use std::collections::{BTreeMap, BTreeSet};

use super::catch_up::{Purpose, Site, Survey, places_of, survey};
use super::memory::Folders;
use super::scan::{Pick, Share};
use super::{Events, PipelineError, Plan, read_world, runtime, window};
use crate::facts::sort::SpillDir;
use crate::integrity::chain::chain_of;
use crate::ledger::LedgerError;
use crate::ledger::days::rebuild;
use crate::ledger::diff::{self, Why};
use crate::ledger::entry::Name;
use crate::model::outcome::Unit;
use crate::model::time::{Day, Window};
use crate::publish::place::Place;

/// Price of a LIST request, in 10⁻⁷ USD: 0.005 USD per 1,000. S3 Standard in us-east-1, as of 2025-11.
/// Source: <https://aws.amazon.com/s3/pricing/>.
pub const LIST_PRICE: u64 = 50;
/// Price of a GET request, in 10⁻⁷ USD: 0.0004 USD per 1,000. S3 Standard in us-east-1, as of 2025-11.
/// Source: <https://aws.amazon.com/s3/pricing/>.
pub const GET_PRICE: u64 = 4;
/// Where and when the prices hold.
pub const PRICES_OF: &str = "us-east-1, S3 Standard, 2025-11";

/// Objects and their bytes as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// How large.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// Objects that would be read for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToRead {
    /// For programs: `new`, `changed`, …
    pub why: &'static str,
    /// For people; what follows "so many objects:".
    pub because: &'static str,
    /// How much.
    pub amount: Amount,
}

/// What one place comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceShare {
    /// As it was given.
    pub place: String,
    /// All that may matter, by key.
    pub listed: Amount,
    /// Left out by key, by why: objects, and for `prefix` whole folders of a bucket.
    pub pruned: BTreeMap<&'static str, u64>,
    /// Folders and files that cannot be looked at.
    pub hidden: u64,
    /// In the ledger, and not read.
    pub known: Amount,
    /// What would be read.
    pub read: Vec<ToRead>,
}

/// Requests to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// `ListObjectsV2`: as many as this listing took.
    pub list: u64,
    /// `GetObject`: one for each object.
    pub get: u64,
}

impl Requests {
    /// What they cost, in 10⁻⁷ USD.
    #[must_use]
    pub fn cost(self) -> u64 {
        self.list.saturating_mul(LIST_PRICE).saturating_add(self.get.saturating_mul(GET_PRICE))
    }
}

/// What a run would read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    /// The window that the run would judge.
    pub window: Window,
    /// In the order in which they were given.
    pub places: Vec<PlaceShare>,
    /// Known objects that are read again, because days that they hold are touched by what is read:
    /// about, as the days of an object are known when it is read.
    pub rebuilt: Amount,
    /// Requests for logs; those for inventory and output are not counted.
    pub requests: Requests,
    /// What else a person should know.
    pub notes: Vec<String>,
}

impl DryRun {
    /// What would be read in all, but for [`rebuilt`](Self::rebuilt).
    #[must_use]
    pub fn to_read(&self) -> Amount {
        let all = self.places.iter().flat_map(|place| &place.read);
        all.fold(Amount::default(), |sum, read| Amount {
            objects: sum.objects + read.amount.objects,
            bytes: sum.bytes + read.amount.bytes,
        })
    }
}

/// Lists and compares.
///
/// # Errors
/// When the run itself could not begin.
pub fn dry_run(plan: &Plan, events: &mut dyn Events) -> Result<DryRun, PipelineError> {
    let runtime = runtime()?;
    events.stage("inventory");
    let (_, world) = read_world(plan, &runtime)?;
    let (window, _) = window(plan, &world)?;
    let place = runtime.block_on(Place::peek(&plan.out, &plan.s3))?;
    let staging = place.staging();
    let (run, state) = (staging.join("run"), staging.join("state"));
    let folders = Folders { run: &run, state: &state };
    let spill = SpillDir::new(staging.join("spill"));
    let site = Site { plan, runtime: &runtime, place: &place, folders, spill: &spill };
    let survey = survey(&site, window, &world, Purpose::DryRun, events)?;

    let again = rebuilt(&survey)?;
    let mut rebuilt = Amount::default();
    for pick in &again {
        rebuilt.add(pick.size);
    }
    let mut notes = survey.memory.warnings.clone();
    if rebuilt.objects > 0 {
        notes.push(
            "days that are touched are made anew from all objects that hold them; which days those are \
             is certain only when the objects are read"
                .to_owned(),
        );
    }
    if plan.verify.is_some() {
        notes.push(
            "--verify: digests are not fetched in a dry run; what they say may have more objects read \
             again"
                .to_owned(),
        );
    }
    Ok(DryRun {
        window,
        places: places(&survey),
        rebuilt,
        requests: requests(&survey, &again, plan.verify.is_some())?,
        notes,
    })
}

fn places(survey: &Survey) -> Vec<PlaceShare> {
    let of = |share: &super::scan::Share| {
        let mut place = PlaceShare {
            place: share.place.clone(),
            pruned: share.pruned.clone(),
            hidden: share.hidden,
            ..PlaceShare::default()
        };
        let mut read: BTreeMap<Why, Amount> = BTreeMap::new();
        let objects = u64::try_from(share.range.len()).unwrap_or(u64::MAX);
        place.listed = Amount { objects, bytes: share.bytes };
        place.known = place.listed;
        for one in read_of(survey, share) {
            read.entry(one.why).or_default().add(one.size);
            place.known.objects -= 1;
            place.known.bytes -= one.size;
        }
        let to_read = |(why, amount): (Why, Amount)| ToRead {
            why: why.word(),
            because: why.as_str(),
            amount,
        };
        place.read = read.into_iter().map(to_read).collect();
        place
    };
    survey.work.places.iter().map(of).collect()
}

/// What is to be read of a place.
fn read_of<'a>(survey: &'a Survey, share: &Share) -> impl Iterator<Item = &'a diff::ToRead> {
    let range = share.range.clone();
    survey.diff.read.iter().filter(move |read| range.contains(&(read.at as usize)))
}

/// Objects that are read again for days that are touched: those that the objects to be read held
/// before, and for the others the delivery day and the one before it.
fn rebuilt(survey: &Survey) -> Result<Vec<Pick>, LedgerError> {
    let Survey { memory, work, diff, .. } = survey;
    let mut touched: BTreeSet<Unit> = BTreeSet::new();
    let mut delivered: BTreeSet<Day> = BTreeSet::new();
    let mut read: BTreeSet<Name> = BTreeSet::new();
    let (mut reader, mut finder) = (work.objects.reader(), memory.entries.finder());
    for one in &diff.read {
        if one.why == Why::New {
            delivered.extend(one.day);
            continue;
        }
        let Some(item) = reader.get(one.at as usize)?.cloned() else { continue };
        let name = item.into_listed().name;
        if let Some(entry) = finder.get(one.day, &name)? {
            touched.extend(entry.outcome()?.units);
        }
        read.insert(name);
    }
    let near = |unit: &Unit| delivered.iter().any(|d| unit.day == *d || unit.day.0 == d.0 - 1);
    touched.extend(memory.days.units().into_iter().filter(near));
    let mut places = BTreeMap::new();
    let mut present = |needed: &_| places_of(work, needed, &mut places);
    let is_read = |name: &Name| read.contains(name);
    let plan = rebuild(&touched, &memory.days, &memory.entries, &is_read, &mut present)?;
    Ok(plan.again.iter().filter_map(|name| places.get(name).copied()).collect())
}

/// A GET for each object that is read from a bucket, and one more for each digest that is verified.
fn requests(survey: &Survey, again: &[Pick], verify: bool) -> Result<Requests, LedgerError> {
    let mut requests = Requests::default();
    for share in survey.work.places.iter().filter(|share| share.is_bucket) {
        requests.list += share.requests;
        let again = again.iter().filter(|pick| share.range.contains(&(pick.at as usize)));
        let mut gets = read_of(survey, share).count() + again.count();
        if verify {
            for item in survey.work.objects.from(share.range.start).take(share.range.len()) {
                gets += usize::from(chain_of(item?.name()).is_some());
            }
        }
        requests.get += u64::try_from(gets).unwrap_or(u64::MAX);
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_requests_cost() {
        let check = |list, get, expected| assert_eq!(Requests { list, get }.cost(), expected);
        check(0, 0, 0);
        // 0.005 USD and 0.0004 USD, in 10⁻⁷ USD.
        check(1000, 0, 50_000);
        check(0, 1000, 4_000);
        check(3, 1_000_000, 4_000_150);
        check(u64::MAX, 1, u64::MAX);
    }
}
