//! Questions to a finished run: `overgrant sql`, and what `overgrant explain` looks up.
//!
//! A table is fetched and registered when a statement first names it: a question about grants never
//! touches the requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::finished::Finished;
use crate::model::near::nearest;
use crate::model::time::Micros;
use crate::publish::PublishError;
use crate::publish::published::Published;
use crate::report::ReportError;
use crate::report::answer::{Format, Writer};
use crate::report::catalogue::QUERIES;
use crate::report::engine::{Engine, EnginePlan, Parameter, Rows};
use crate::source::{Location, S3Options};
use crate::table::Row;
use crate::table::parquet::{BatchWriter, CodecError, plain_schema};
use crate::table::rows::ALL;

/// Name of the verdicts of every run.
const HISTORY: &str = "verdict_history";

/// Which run is asked, and how.
#[derive(Debug, Clone)]
pub struct AskPlan {
    /// The output of a run: a folder, or a prefix in a bucket.
    pub from: Location,
    /// Bytes that the engine may hold before it spills.
    pub memory: usize,
    /// How to reach S3.
    pub s3: S3Options,
    /// True where Ctrl-C ends a statement and not the program.
    pub interactive: bool,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As text.
    Text(Format),
    /// As Parquet.
    Parquet,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such table.
    #[error("there is no table {name}{}", near.as_ref().map_or_else(String::new, |near| format!("; did you mean {near}?")))]
    NoTable {
        /// As it was named.
        name: String,
        /// The name that is most like it.
        near: Option<String>,
    },
    /// The run cannot be read.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The statement failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The rows do not become Parquet, or are not what they should be.
    #[error("cannot write the answer")]
    Codec(#[from] CodecError),
    /// Who reads the answer went away, or it cannot be written.
    #[error("cannot write the answer")]
    Write(#[from] std::io::Error),
    /// Ctrl-C.
    #[error("cancelled")]
    Cancelled,
}

/// A table that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// One row is …, or the question that a report answers.
    pub about: String,
    files: Vec<String>,
}

/// A finished run, open for questions.
pub struct Asked {
    runtime: Hasty,
    published: Published,
    engine: Engine,
    known: Vec<Known>,
    registered: BTreeSet<String>,
    interactive: bool,
    window: Vec<(String, Parameter)>,
    _spill: tempfile::TempDir,
}

impl Asked {
    /// Opens a run.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(plan: &AskPlan) -> Result<Self, super::PipelineError> {
        let runtime = Hasty::new(super::runtime()?);
        let spill = tempfile::tempdir().map_err(super::PipelineError::Start)?;
        let engine = EnginePlan { memory: plan.memory, spill: spill.path().to_path_buf() };
        let engine = Engine::start(&engine)?;
        let finished = runtime.block_on(Finished::open(&plan.from, &plan.s3))?;
        let published = finished.published;
        let known = known(published.paths());
        let window = window(published.manifest());
        Ok(Asked {
            runtime,
            published,
            engine,
            known,
            registered: BTreeSet::new(),
            interactive: plan.interactive,
            window,
            _spill: spill,
        })
    }

    /// Tables, then reports, then the history.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// The columns of a table.
    ///
    /// # Errors
    /// When there is no such table or it cannot be read.
    pub fn columns(&mut self, name: &str) -> Result<SchemaRef, AskError> {
        // Quoted: a name is looked up as it is typed.
        let sql = format!("SELECT * FROM \"{}\" LIMIT 0", name.replace('"', "\"\""));
        self.register(&sql)?;
        let rows = self.runtime.block_on(self.engine.ask(&sql, &[]))?;
        Ok(rows.schema())
    }

    /// Runs a statement and writes its rows; how many, and how many of them are not shown.
    ///
    /// `$since` and `$until` are the window of the run unless `parameters` say otherwise.
    ///
    /// # Errors
    /// When the statement fails, names no table of the run, or `out` refuses.
    pub fn write<W: Write + Send>(
        &mut self,
        sql: &str,
        parameters: &[(String, Parameter)],
        shape: Shape,
        out: W,
    ) -> Result<(u64, u64), AskError> {
        self.register(sql)?;
        let named = |name: &str| parameters.iter().any(|(given, _)| given == name);
        let mut all: Vec<(String, Parameter)> =
            self.window.iter().filter(|(name, _)| !named(name)).cloned().collect();
        all.extend(parameters.iter().cloned());
        let interactive = self.interactive;
        let engine = &self.engine;
        self.runtime.block_on(async {
            let rows = engine.ask(sql, &all).await?;
            let schema = rows.schema();
            let mut rows = Feed::start(rows, interactive);
            match shape {
                Shape::Text(format) => {
                    let mut writer = Writer::new(out, schema, format)?;
                    while let Some(batch) = rows.next().await? {
                        writer.write(&batch)?;
                    }
                    Ok(writer.finish()?)
                }
                Shape::Parquet => {
                    let mut writer = BatchWriter::new(out, plain_schema(&schema));
                    while let Some(batch) = rows.next().await? {
                        writer.write(batch)?;
                    }
                    let (mut out, rows) = writer.finish()?;
                    out.flush()?;
                    Ok((rows, 0))
                }
            }
        })
    }

    /// The rows of a table for which `condition` holds, with parameters as in a statement.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn rows<R: Row>(
        &mut self,
        condition: &str,
        parameters: &[(String, Parameter)],
    ) -> Result<Vec<R>, AskError> {
        let columns: Vec<String> =
            R::TABLE.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let mut sql = format!("SELECT {} FROM \"{}\"", columns.join(", "), R::TABLE.name);
        if !condition.is_empty() {
            let _written = write!(sql, " WHERE {condition}");
        }
        if !R::TABLE.sort_key.is_empty() {
            let _written = write!(sql, " ORDER BY {}", R::TABLE.sort_key.join(", "));
        }
        self.select(&sql, parameters)
    }

    /// The rows of a statement whose columns are those of `R`.
    ///
    /// # Errors
    /// When the statement fails or gives other columns.
    pub fn select<R: Row>(
        &mut self,
        sql: &str,
        parameters: &[(String, Parameter)],
    ) -> Result<Vec<R>, AskError> {
        self.register(sql)?;
        self.runtime.block_on(async {
            let mut rows = self.engine.ask(sql, parameters).await?;
            let mut all = Vec::new();
            while let Some(batch) = rows.next().await? {
                all.extend(R::from_batch(&batch).map_err(CodecError::from)?);
            }
            Ok(all)
        })
    }

    /// Fetches and registers what a statement names.
    fn register(&mut self, sql: &str) -> Result<(), AskError> {
        for name in self.engine.tables_of(sql)? {
            if self.registered.contains(&name) {
                continue;
            }
            let Some(known) = self.known.iter().find(|known| known.name == name) else {
                let near = nearest(&name, self.known.iter().map(|known| known.name.as_str()));
                return Err(AskError::NoTable { near: near.map(str::to_owned), name });
            };
            self.runtime.block_on(async {
                let mut place = None;
                if known.files.is_empty() {
                    place = self.published.history().await?;
                }
                for file in &known.files {
                    place = self.published.file(file).await?;
                }
                // A table of several files is their folder.
                if known.files.len() > 1 {
                    place = place.and_then(|file| file.parent().map(std::path::Path::to_path_buf));
                }
                match place {
                    Some(place) => Ok(self.engine.register(&name, &place).await?),
                    None => Err(AskError::NoTable { name: name.clone(), near: None }),
                }
            })?;
            self.registered.insert(name);
        }
        Ok(())
    }
}

/// A runtime that waits for nobody when it ends: a statement that was cancelled may compute for long.
struct Hasty {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Hasty {
    fn new(runtime: Runtime) -> Self {
        Hasty { handle: runtime.handle().clone(), runtime: Some(runtime) }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

impl Drop for Hasty {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Rows that another thread computes: one that computes hears no Ctrl-C.
struct Feed {
    rows: mpsc::Receiver<Result<RecordBatch, ReportError>>,
    task: JoinHandle<()>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Feed {
    /// Starts to compute; on the runtime that it is called in.
    #[expect(clippy::disallowed_methods, reason = "pipeline starts tasks")]
    fn start(mut rows: Rows, interactive: bool) -> Self {
        // One is computed while one is written.
        let (send, receive) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Some(batch) = rows.next().await.transpose() {
                if send.send(batch).await.is_err() {
                    break;
                }
            }
        });
        let stop: Pin<Box<dyn Future<Output = ()> + Send>> = if interactive {
            Box::pin(async {
                // Where no signal can be heard, none comes.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
        } else {
            Box::pin(std::future::pending())
        };
        Feed { rows: receive, task, stop }
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, AskError> {
        tokio::select! {
            biased;
            () = &mut self.stop => Err(AskError::Cancelled),
            batch = self.rows.recv() => Ok(batch.transpose()?),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The tables that the files of a run hold.
fn known<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Known> {
    let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut reports = Vec::new();
    for path in paths.filter(|path| path.ends_with(".parquet")) {
        let mut parts = path.split('/');
        match (parts.next(), parts.next()) {
            (Some("tables"), Some(name)) => {
                tables.entry(name).or_default().push(path.to_owned());
            }
            (Some("reports"), Some(file)) => {
                let name = file.trim_end_matches(".parquet").to_owned();
                let query = QUERIES.iter().find(|query| query.name == name);
                let about = query.and_then(|query| header(query.sql)).unwrap_or_default();
                reports.push(Known { name, about, files: vec![path.to_owned()] });
            }
            _ => {}
        }
    }
    let mut all: Vec<Known> = ALL
        .iter()
        .filter_map(|table| {
            let files = tables.remove(table.name)?;
            let about = format!("a row is {}", table.one_row_is);
            Some(Known { name: table.name.to_owned(), about, files })
        })
        .collect();
    all.extend(reports);
    let about = "a row is what one run said of a grant".to_owned();
    all.push(Known { name: HISTORY.to_owned(), about, files: Vec::new() });
    all
}

/// The question of a report, from its header.
fn header(sql: &str) -> Option<String> {
    sql.lines().find_map(|line| line.strip_prefix("-- Question: ")).map(str::to_owned)
}

/// `$since` and `$until` of a manifest.
fn window(manifest: &[u8]) -> Vec<(String, Parameter)> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    ["since", "until"]
        .into_iter()
        .filter_map(|name| {
            let at = Micros::parse(manifest.get(name)?.as_str()?)?;
            Some((name.to_owned(), Parameter::Instant(at)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_tables_and_reports() {
        let paths = [
            "facts/access/p_cluster=x/p_date=2026-01-01/part-0.parquet",
            "reports/unused_grants.parquet",
            "tables/grants/part-0.parquet",
            "tables/schema.sql",
        ];
        let got: Vec<(String, String)> =
            known(paths.into_iter()).into_iter().map(|one| (one.name, one.about)).collect();
        let is = |name: &str, about: &str| (name.to_owned(), about.to_owned());
        let expected = [
            is("grants", "a row is a grant: a thing one can delete"),
            is("unused_grants", "what can go?"),
            is("verdict_history", "a row is what one run said of a grant"),
        ];
        assert_eq!(got, expected);
    }
}
