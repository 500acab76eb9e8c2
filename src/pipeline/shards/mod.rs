//! Reading in many processes, joining in one: what they agree on, and where it lies.
//!
//! All scans of one place see one listing, made by whoever comes first, so that each object is read by
//! one of them whatever is delivered meanwhile. What a scan leaves has names that tell its content: a
//! scan that is killed, run again or run twice at once changes nothing. A file that names all others
//! of a scan is put last.
//!
//! ```text
//! FACTS/plan.json                          what is looked for, in which days, in which places
//! FACTS/listing-ID.parquet                 the objects
//! FACTS/of-0004/shard-0002.json            what the third of four scans left: files and digests
//! FACTS/of-0004/shard-0002/facts-ID.parquet, objects-ID.parquet
//! FACTS/records/kind=fact/…, kind=object/… what Spark left, with a file _SUCCESS
//! ```

pub(super) mod gather;
pub mod scan;
pub mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scan::{Item, Work, whole_days};
use super::{PipelineError, Plan};
use crate::decode::gunzip::Limits;
use crate::extract::Context;
use crate::extract::clusters::ClusterResolver;
use crate::ledger::diff::Why;
use crate::ledger::entry::Listed;
use crate::ledger::lens::Lens;
use crate::model::digest;
use crate::model::packed::{PackedError, Packer};
use crate::model::time::Day;
use crate::publish::depot::Depot;
use crate::publish::{KeptFile, to_json};
use crate::source::{Location, Object, Store};
use crate::table::Row;
use crate::table::parquet::{CodecError, RowWriter, rows_of};
use crate::table::scanned::ListingRow;

const PLAN: &str = "plan.json";
/// What Spark left.
const RECORDS: &str = "records/";
/// What Spark puts when it is done.
const SUCCESS: &str = "records/_SUCCESS";
/// Of `plan.json` and of what scans leave.
const FORMAT: u32 = 1;
/// So many scans at most: their numbers have four digits.
pub const MOST_SHARDS: u32 = 9999;

/// One of several scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// Where the file is that names what it left.
    fn note(self) -> String {
        format!("of-{:04}/shard-{:04}.json", self.of, self.number)
    }

    /// Where its files are.
    fn folder(self) -> String {
        format!("of-{:04}/shard-{:04}/", self.of, self.number)
    }
}

/// Why scans and who joins them do not come together.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// Nobody scanned.
    #[error("{place} holds no facts: there is no {PLAN}")]
    NoFacts {
        /// The place.
        place: String,
    },
    /// Something else is there.
    #[error("{place} holds {found:?}, which no scan wrote; give --out another place, or empty it")]
    Foreign {
        /// The place.
        place: String,
        /// One of the names.
        found: String,
    },
    /// Another plan was first.
    #[error("{place} holds facts of another scan: {what}; give --out another place, or empty it")]
    OtherPlan {
        /// The place.
        place: String,
        /// What is other.
        what: String,
    },
    /// The end of the window would be another for each scan.
    #[error(
        "scans that belong together need one end of the window: give --until, or an --inventory, whose date is its end"
    )]
    NoEnd,
    /// Some scans are not done.
    #[error("the facts in {place} are not complete: {missing}")]
    Incomplete {
        /// The place.
        place: String,
        /// What is missing.
        missing: String,
    },
    /// A file is not what it should be.
    #[error("{file} is not what the scan wrote that names it")]
    Damaged {
        /// The file.
        file: String,
    },
    /// The window needs days that were not read.
    #[error("the facts in {place} are of {from} to {to}, and the window needs {wanted}")]
    OtherDays {
        /// The place.
        place: String,
        /// First day.
        from: String,
        /// Last day.
        to: String,
        /// First and last day of the window, with one more on each side.
        wanted: String,
    },
    /// The facts lack what this inventory or these options need.
    #[error("the facts in {place} are not enough: of {objects} objects, {}", why.as_str())]
    Lacks {
        /// The place.
        place: String,
        /// How many objects.
        objects: usize,
        /// Of the first.
        why: Why,
    },
    /// Somebody asked for the end.
    #[error("interrupted: nothing of this scan is kept")]
    Interrupted,
    /// A place of logs is none of files.
    #[error("a line on stdin names no object: {line:?}")]
    BadLine {
        /// The line, cut.
        line: String,
    },
    /// The stream of rows cannot be written.
    #[error("cannot write rows to stdout")]
    Stream(#[source] arrow::error::ArrowError),
    /// stdin cannot be read.
    #[error("cannot read from stdin")]
    Stdin(#[source] std::io::Error),
}

/// What each scan of a place is told, and must be told alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    format: u32,
    /// Version of the tool that made the listing.
    version: String,
    /// First and last day whose records are taken.
    days: (Day, Day),
    lens: Lens,
    /// Places of logs, as they were given.
    logs: Vec<String>,
}

/// What all scans of a place agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pinned {
    #[serde(flatten)]
    asked: Asked,
    listing: KeptFile,
    objects: u64,
    pruned: BTreeMap<String, u64>,
    unreadable: Vec<(String, String)>,
    unlisted: Vec<(String, String)>,
}

impl Asked {
    /// What is other in what was asked first; `None` where nothing is.
    fn differs(&self, first: &Asked) -> Option<&'static str> {
        if first.format != self.format || first.lens.version != self.lens.version {
            return Some("another version of overgrant made it");
        }
        if first.days != self.days {
            return Some("it is of another window");
        }
        if first.logs != self.logs {
            return Some("it is of other places of logs");
        }
        (first.lens != self.lens)
            .then_some("its inventory, or an option that decides what is read, is another")
    }
}

impl Pinned {
    /// What the extractors must know.
    fn context(&self) -> Context {
        let clusters: Vec<String> = self.asked.lens.clusters.iter().cloned().collect();
        Context {
            window: whole_days(self.asked.days),
            relevant_ids: self.asked.lens.ids.iter().cloned().collect(),
            relevant_names: self.asked.lens.names.iter().cloned().collect(),
            clusters: ClusterResolver::new(&clusters, &self.asked.lens.cluster_map),
            limits: Limits { max_inflated: self.asked.lens.max_inflated },
            hide_secret_names: self.asked.lens.hide_secret_names,
        }
    }

    fn pruned(&self) -> BTreeMap<&'static str, u64> {
        let known =
            |why: &String| crate::source::key::PRUNED.into_iter().find(|known| known == why);
        self.pruned.iter().filter_map(|(why, n)| Some((known(why)?, *n))).collect()
    }
}

/// A place of facts, and what is agreed on there.
struct Agreed {
    depot: Depot,
    pinned: Pinned,
    rows: Vec<ListingRow>,
}

impl Agreed {
    /// Reads what is agreed on.
    async fn read(depot: Depot, place: &Location) -> Result<Self, PipelineError> {
        let pinned = read_pinned(&depot, place).await?;
        Agreed::of(depot, pinned).await
    }

    async fn of(depot: Depot, pinned: Pinned) -> Result<Self, PipelineError> {
        let path = &pinned.listing.path;
        let listing = depot.get(path).await?.filter(|bytes| pinned.listing.is(bytes));
        let listing = listing.ok_or_else(|| ShardError::Damaged { file: path.clone() })?;
        let rows = rows_of::<ListingRow>(listing)?;
        Ok(Agreed { depot, pinned, rows })
    }

    /// The work as whoever listed saw it. Stores are opened for those who read.
    fn work(&self, stores: &[Arc<Store>]) -> Result<Work, PackedError> {
        let mut packer = Packer::default();
        for row in &self.rows {
            let size = u64::try_from(row.size).unwrap_or(0);
            packer.push(&Item {
                object: Object::new(row.key.clone(), size, row.etag.clone()),
                source: row.source.clone(),
                name: (row.object != row.key).then(|| row.object.clone()),
                store: u32::try_from(row.at_place).ok(),
            })?;
        }
        Ok(Work {
            objects: Arc::new(packer.finish()?),
            stores: stores.to_vec(),
            pruned: self.pinned.pruned(),
            unreadable: self.pinned.unreadable.clone(),
            unlisted: self.pinned.unlisted.clone(),
            places: Vec::new(),
        })
    }
}

async fn read_pinned(depot: &Depot, place: &Location) -> Result<Pinned, PipelineError> {
    let found = depot.get(PLAN).await?;
    parse(&found.ok_or_else(|| ShardError::NoFacts { place: place.to_string() })?)
}

fn parse(bytes: &[u8]) -> Result<Pinned, PipelineError> {
    let damaged = |_| ShardError::Damaged { file: PLAN.to_owned() };
    Ok(serde_json::from_slice(bytes).map_err(damaged)?)
}

fn listed(row: &ListingRow) -> Listed {
    Listed {
        name: (row.source.clone(), row.object.clone()),
        etag: row.etag.clone(),
        size: u64::try_from(row.size).unwrap_or(0),
    }
}

/// The rows of a listing, in order of name.
fn listing_rows(work: &Work) -> Result<Vec<ListingRow>, PackedError> {
    let mut rows = Vec::with_capacity(work.objects.len());
    for item in work.objects.iter() {
        let item = item?;
        let path = work.store(&item).and_then(|store| store.path(&item.object));
        let (at_place, name) =
            (item.store.and_then(|at| i32::try_from(at).ok()), item.name().to_owned());
        let Item { object, source, .. } = item;
        rows.push(ListingRow {
            uri: match path {
                Some(path) => {
                    let path = std::path::absolute(&path).unwrap_or(path);
                    path.to_string_lossy().into_owned()
                }
                None => format!("s3://{source}/{}", object.key),
            },
            at_place: at_place.unwrap_or(-1),
            key: object.key,
            source,
            object: name,
            etag: object.etag,
            size: i64::try_from(object.size).unwrap_or(i64::MAX),
        });
    }
    rows.sort_by(|a, b| (&a.source, &a.object).cmp(&(&b.source, &b.object)));
    Ok(rows)
}

/// A file whose name tells its content.
fn named(folder: &str, what: &str, bytes: &[u8]) -> KeptFile {
    let id = digest::hex(&digest::of_bytes(bytes), 16);
    KeptFile::of(format!("{folder}{what}-{id}.parquet"), bytes)
}

/// Rows as the bytes of a file.
fn parquet<R: Row>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, CodecError> {
    let mut writer = RowWriter::new(Vec::new());
    for row in rows {
        writer.push(row)?;
    }
    Ok(writer.finish()?.0)
}

/// Lists, unless somebody did: whoever is first decides what all read.
fn agree(
    plan: &Plan,
    mine: &Asked,
    runtime: &tokio::runtime::Runtime,
    list: impl FnOnce() -> Result<Work, PipelineError>,
) -> Result<Agreed, PipelineError> {
    let depot = runtime.block_on(Depot::open(&plan.out, &plan.s3));
    let place = plan.out.to_string();
    let first = if let Some(first) = runtime.block_on(depot.get(PLAN))? {
        first
    } else {
        runtime.block_on(refuse_foreign(&depot, &place))?;
        let work = list()?;
        let rows = listing_rows(&work)?;
        let objects = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let bytes = parquet(rows)?;
        let listing = named("", "listing", &bytes);
        runtime.block_on(depot.put(&listing.path, bytes))?;
        let pinned = Pinned {
            asked: mine.clone(),
            listing,
            objects,
            pruned: work.pruned.iter().map(|(why, n)| ((*why).to_owned(), *n)).collect(),
            unreadable: work.unreadable,
            unlisted: work.unlisted,
        };
        runtime.block_on(depot.pin(PLAN, to_json(&pinned)))?
    };
    let pinned = parse(&first)?;
    match mine.differs(&pinned.asked) {
        Some(what) => Err(ShardError::OtherPlan { place, what: what.to_owned() }.into()),
        None => runtime.block_on(Agreed::of(depot, pinned)),
    }
}

/// A place that holds something else is no place of facts.
async fn refuse_foreign(depot: &Depot, place: &str) -> Result<(), PipelineError> {
    let ours = |key: &str| {
        let top = key.split('/').next().unwrap_or_default();
        // What a scan that was killed left, or one that was first by a moment.
        let ours = ["listing-", "of-", ".part-"];
        [PLAN, "records"].contains(&top) || ours.iter().any(|begin| top.starts_with(begin))
    };
    match depot.keys().await?.into_iter().find(|key| !ours(key)) {
        Some(found) => Err(ShardError::Foreign { place: place.to_owned(), found }.into()),
        None => Ok(()),
    }
}
