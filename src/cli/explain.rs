//! `overgrant explain`: one principal or grant on one page.

use super::args::asking::{Explain, PageFormat};
use super::error::UserError;
use super::exit::Exit;
use super::plan;
use super::ui::Ui;
use crate::explain::render;
use crate::pipeline::PipelineError;
use crate::pipeline::ask::{AskError, AskPlan};
use crate::pipeline::explain::{Explained, explain};
use crate::report::terminal::Style;
use crate::source::S3Options;

/// Bytes that the engine may hold before it spills.
const MEMORY: usize = 1 << 30;

/// Runs the command.
///
/// # Errors
/// When the run cannot be read.
pub(super) fn run(asked: &Explain, ui: &mut Ui) -> Result<Exit, UserError> {
    let plan = AskPlan {
        from: plan::location("--from", &asked.from)?,
        memory: MEMORY,
        s3: S3Options { region: asked.region.clone(), ..S3Options::default() },
        interactive: false,
    };
    match explain(&plan, &asked.who)? {
        Explained::One(dossier) => {
            let text = match asked.format {
                PageFormat::Text => render(&dossier, Style { color: ui.has_color() }),
                PageFormat::Json => {
                    let json = serde_json::to_string_pretty(&dossier)
                        .map_err(|error| PipelineError::from(AskError::Write(error.into())))?;
                    json + "\n"
                }
            };
            ui.print(&text);
            Ok(Exit::Complete)
        }
        Explained::Several(all) => {
            ui.say(&format!("error: several go by the name {}:", asked.who));
            for one in all {
                ui.say(&format!("  {one}"));
            }
            Ok(Exit::Usage)
        }
        Explained::Nobody(near) => {
            ui.say(&format!("error: this run knows nobody by the name {}", asked.who));
            if !near.is_empty() {
                ui.say(&format!("  did you mean {}?", near.join(", or ")));
            }
            ui.say(&format!(
                "  all that it knows: overgrant sql --from {} \"SELECT DISTINCT principal FROM grants ORDER BY principal\"",
                asked.from
            ));
            Ok(Exit::Usage)
        }
    }
}
