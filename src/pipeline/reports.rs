//! What is made of the tables of a run: the reports, the page, the schema for other engines.

use std::path::Path;

use super::{PipelineError, Plan};
use crate::publish::PAGE;
use crate::report::catalogue::QUERIES;
use crate::report::engine::{Engine, EnginePlan};
use crate::report::output::OutputDir;
use crate::report::page::page;
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
        out.write_report(query.name, engine.report(query).await?).await?;
    }
    out.write(PAGE, &page(&engine, warnings, complete).await?)?;
    out.write("tables/schema.sql", crate::table::reference::schema_sql().as_bytes())?;
    Ok(())
}
