//! Runs the report queries over the written tables; the only file that names the SQL engine.
//!
//! The engine gets nothing that an analyst lacks: no function of our own, no parameter, no view that
//! is not a table on disk. Memory is bounded and spills. One partition and a total order in every
//! query make the rows, and so the bytes, repeat.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

use super::ReportError;
use super::catalogue::Query;
use crate::table::Description;

/// How the engine may work.
#[derive(Debug, Clone)]
pub struct EnginePlan {
    /// Bytes of its pool.
    pub memory: usize,
    /// Folder for what does not fit.
    pub spill: std::path::PathBuf,
}

/// The tables of a run, ready for queries.
pub struct Engine {
    context: SessionContext,
}

impl Engine {
    /// Registers `tables` found under `root/tables/NAME/` by their names.
    ///
    /// # Errors
    /// When the engine does not start or a table does not open.
    pub async fn open(
        root: &Path,
        tables: &[Description],
        plan: &EnginePlan,
    ) -> Result<Self, ReportError> {
        let failed = |query: &str| {
            let query = query.to_owned();
            move |source: DataFusionError| ReportError::Query { query, source: Box::new(source) }
        };
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
        // Text stays text: what is written must have the type an analyst expects.
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let context = SessionContext::new_with_config_rt(config, runtime);
        for table in tables {
            let folder = root.join("tables").join(table.name);
            let path = format!("{}/", folder.display());
            context
                .register_parquet(table.name, &path, ParquetReadOptions::default())
                .await
                .map_err(failed(table.name))?;
        }
        Ok(Engine { context })
    }

    /// Runs one report; its schema and its rows.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn run(&self, query: &Query) -> Result<(SchemaRef, Vec<RecordBatch>), ReportError> {
        self.sql(query.sql).await.map_err(|source| ReportError::Query {
            query: query.name.to_owned(),
            source: Box::new(source),
        })
    }

    async fn sql(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
        let frame = self.context.sql(sql).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        Ok((schema, frame.collect().await?))
    }
}
