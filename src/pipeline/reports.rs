//! What is made of the tables of a run: the reports, the page, the schema for other engines.

use std::path::Path;

use super::{PipelineError, Plan};
use crate::publish::PAGE;
use crate::report::catalogue::QUERIES;
use crate::report::engine::{Engine, EnginePlan};
use crate::report::output::OutputDir;
use crate::report::page::page;
use crate::table::parquet::{CodecError, plain_schema, write_batches};
use crate::table::rows::ALL;

/// Writes them; `warnings` are for the page, which says whether the run is `complete`.
pub(super) async fn write(
    plan: &Plan,
    out: &OutputDir,
    spill: &Path,
    warnings: &[String],
    complete: bool,
) -> Result<(), PipelineError> {
    let engine_plan = EnginePlan { memory: plan.memory / 2, spill: spill.to_path_buf() };
    let engine = Engine::open(out.staging(), &ALL, &engine_plan).await?;
    for query in QUERIES {
        let (schema, batches) = engine.run(query).await?;
        let schema = plain_schema(&schema);
        let batches: Result<Vec<_>, _> =
            batches.into_iter().map(|batch| batch.with_schema(schema.clone())).collect();
        let batches = batches.map_err(CodecError::from)?;
        let bytes = write_batches(Vec::new(), schema, &batches)?;
        out.write(&format!("reports/{}.parquet", query.name), &bytes)?;
    }
    out.write(PAGE, &page(&engine, warnings, complete).await?)?;
    out.write("tables/schema.sql", crate::table::reference::schema_sql().as_bytes())?;
    Ok(())
}
