//! Runs queries over the written tables: the reports, and what people ask; the only file that names
//! the SQL engine.
//!
//! The engine gets nothing that an analyst lacks: no function of our own, no view that is not a table
//! on disk. It only reads: statements that make, change or set anything are refused. Memory is bounded and spills. One partition and a total order in every
//! query make the rows, and so the bytes, repeat.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::common::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;

use super::ReportError;
use super::catalogue::Query;
use crate::model::time::Micros;
use crate::table::Description;

/// How the engine may work.
#[derive(Debug, Clone)]
pub struct EnginePlan {
    /// Bytes of its pool.
    pub memory: usize,
    /// Folder for what does not fit.
    pub spill: std::path::PathBuf,
}

/// A value for a parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// An instant.
    Instant(Micros),
}

/// Rows as they come.
pub struct Rows {
    schema: SchemaRef,
    stream: SendableRecordBatchStream,
    /// The report that they are of.
    report: Option<&'static str>,
}

impl Rows {
    /// Columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next rows; `None` when there are no more.
    ///
    /// # Errors
    /// When the statement fails on the way.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, ReportError> {
        self.stream.next().await.transpose().map_err(|error| match self.report {
            Some(name) => failed(name)(error),
            None => stated(error),
        })
    }
}

/// The tables of a run, ready for queries.
pub struct Engine {
    context: SessionContext,
}

impl Engine {
    /// An engine without tables.
    ///
    /// # Errors
    /// When the engine does not start.
    pub fn start(plan: &EnginePlan) -> Result<Self, ReportError> {
        let pool = TrackConsumersPool::new(
            FairSpillPool::new(plan.memory),
            std::num::NonZeroUsize::MIN.saturating_add(4),
        );
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![plan.spill.clone()]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(failed("engine"))?;
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().execution.time_zone = Some("UTC".to_owned());
        // The generic dialect takes `, cluster` for the end of a list of columns.
        config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
        // Files of the history lie in a folder per run.
        config.options_mut().execution.listing_table_ignore_subdirectory = false;
        // Text stays text: what is written must have the type an analyst expects.
        config.options_mut().execution.parquet.schema_force_view_types = false;
        Ok(Engine { context: SessionContext::new_with_config_rt(config, runtime) })
    }

    /// Registers `tables` found under `root/tables/NAME/` by their names.
    ///
    /// # Errors
    /// When the engine does not start or a table does not open.
    pub async fn open(
        root: &Path,
        tables: &[Description],
        plan: &EnginePlan,
    ) -> Result<Self, ReportError> {
        let engine = Engine::start(plan)?;
        for table in tables {
            engine.register(table.name, &root.join("tables").join(table.name)).await?;
        }
        Ok(engine)
    }

    /// Makes a Parquet file, or the files of a folder, a table.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn register(&self, name: &str, place: &Path) -> Result<(), ReportError> {
        let slash = if place.is_dir() { "/" } else { "" };
        let path = format!("{}{slash}", place.display());
        self.context
            .register_parquet(name, &path, ParquetReadOptions::default())
            .await
            .map_err(failed(name))
    }

    /// Names of the tables that a statement reads, whether they are registered or not.
    ///
    /// # Errors
    /// When it is no statement.
    pub fn tables_of(&self, sql: &str) -> Result<Vec<String>, ReportError> {
        let state = self.context.state();
        let dialect = state.config_options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(stated)?;
        let named = state.resolve_table_references(&statement).map_err(stated)?;
        Ok(named.iter().map(|table| table.table().to_owned()).collect())
    }

    /// Starts one report.
    ///
    /// # Errors
    /// When the statement does not start.
    pub async fn report(&self, query: &Query) -> Result<Rows, ReportError> {
        let start = async {
            let frame = self.context.sql(query.sql).await?;
            let schema = Arc::new(frame.schema().as_arrow().clone());
            Ok(Rows { schema, stream: frame.execute_stream().await?, report: Some(query.name) })
        };
        start.await.map_err(failed(query.name))
    }

    /// Starts a statement that reads.
    ///
    /// # Errors
    /// When it is no statement, more than one, one that writes, or lacks a table or parameter.
    pub async fn ask(
        &self,
        sql: &str,
        parameters: &[(String, Parameter)],
    ) -> Result<Rows, ReportError> {
        let only_reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let values: Vec<(&str, ScalarValue)> =
            parameters.iter().map(|(name, value)| (name.as_str(), scalar(value))).collect();
        let ask = async {
            let mut frame = self.context.sql_with_options(sql, only_reads).await?;
            if !values.is_empty() {
                frame = frame.with_param_values(values)?;
            }
            let schema = Arc::new(frame.schema().as_arrow().clone());
            Ok(Rows { schema, stream: frame.execute_stream().await?, report: None })
        };
        ask.await.map_err(stated)
    }
}

fn scalar(value: &Parameter) -> ScalarValue {
    match value {
        Parameter::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Parameter::Integer(n) => ScalarValue::Int64(Some(*n)),
        Parameter::Boolean(is) => ScalarValue::Boolean(Some(*is)),
        Parameter::Instant(at) => ScalarValue::TimestampMicrosecond(Some(at.0), Some("UTC".into())),
    }
}

fn stated(source: DataFusionError) -> ReportError {
    ReportError::Statement { source: Box::new(source) }
}

fn failed(query: &str) -> impl Fn(DataFusionError) -> ReportError + use<> {
    let query = query.to_owned();
    move |source| ReportError::Query { query: query.clone(), source: Box::new(source) }
}
