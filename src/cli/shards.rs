//! `scan`, `worker` and `schema`: arguments to plans, and what they say.

use std::io::{BufReader, BufWriter};

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::args::scanning::{Scan, SchemaFormat, SchemaOf, ToldFormat, Worker};
use super::error::UserError;
use super::exit::Exit;
use super::plan::{Env, location, resolve_scan, usage};
use super::ui::Ui;
use super::{PipelineError, signals};
use crate::pipeline::shards::scan::{Told, scan};
use crate::pipeline::shards::worker::{WorkerPlan, worker};
use crate::pipeline::shards::{MOST_SHARDS, Shard};
use crate::report::schema::{SchemaForm, schema_of};
use crate::source::S3Options;

const SHARD: &str = "I/N with I from 0, below N; auto/N in a Kubernetes Indexed Job; auto in an array job of AWS Batch";

pub(super) fn run_scan(args: &Scan, ui: &mut Ui) -> Result<Exit, UserError> {
    let env = Env::read();
    let plan = resolve_scan(args, &env)?;
    let shard = if args.list { None } else { Some(shard(&args.shard, &env)?) };
    signals::watch(plan.stop.clone(), ui.talk()).map_err(PipelineError::Start)?;
    let told = scan(&plan, shard, ui);
    ui.finish_progress();
    let told = told?;
    match args.format {
        ToldFormat::Table if ui.is_quiet() => {}
        ToldFormat::Table => ui.print(&text(&told)),
        ToldFormat::Json => ui.print(&as_json(&told)),
    }
    Ok(if told.unread > 0 { Exit::Partial } else { Exit::Complete })
}

pub(super) fn run_worker(args: &Worker) -> Result<Exit, UserError> {
    let plan = WorkerPlan {
        facts: location("--facts", &args.facts)?,
        threads: args.threads,
        s3: S3Options { region: args.region.clone(), ..S3Options::default() },
    };
    worker(&plan, BufReader::new(std::io::stdin()), BufWriter::new(std::io::stdout()))?;
    Ok(Exit::Complete)
}

pub(super) fn run_schema(args: &SchemaOf, ui: &Ui) -> Result<Exit, UserError> {
    let form = match args.format {
        SchemaFormat::Table => SchemaForm::Table,
        SchemaFormat::SparkDdl => SchemaForm::SparkDdl,
        SchemaFormat::Json => SchemaForm::Json,
    };
    let told = schema_of(&args.tables, form);
    let told =
        told.map_err(|name| usage("TABLE", &name, "a table; without a name all are told"))?;
    ui.print(&told);
    Ok(Exit::Complete)
}

/// Reads `I/N`, `auto` and `auto/N`.
fn shard(text: &str, env: &Env) -> Result<Shard, UserError> {
    let wrong = || usage("--shard", text, SHARD);
    let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
    let (index, size) = (env.job.0.as_deref(), env.job.1.as_deref());
    let (which, of) = match text.split_once('/') {
        Some(("auto", of)) => (index.ok_or_else(wrong)?, of),
        Some(both) => both,
        None if text == "auto" => (index.ok_or_else(wrong)?, size.ok_or_else(wrong)?),
        None => return Err(wrong()),
    };
    let shard = Shard { number: number(which)?, of: number(of)? };
    if shard.number < shard.of && shard.of <= MOST_SHARDS { Ok(shard) } else { Err(wrong()) }
}

fn text(told: &Told) -> String {
    let count = |n: u64| HumanCount(n).to_string();
    let mut lines = Vec::new();
    match told.shard {
        None => lines.push(format!("{} objects are listed in {}", count(told.listed), told.out)),
        Some(Shard { number, of }) => {
            lines.push(format!(
                "shard {number} of {of}: {} of {} objects, {}, {} records",
                count(told.objects),
                count(told.listed),
                HumanBytes(told.bytes),
                count(told.records),
            ));
            lines.push(format!(
                "{} facts in {}, {}; rejected {}",
                count(told.facts),
                told.out,
                HumanBytes(told.written),
                count(told.rejected),
            ));
        }
    }
    if told.unread > 0 {
        lines.push(format!(
            "{} objects could not be fetched: run this shard again",
            count(told.unread)
        ));
    }
    if told.hidden > 0 {
        lines.push(format!(
            "{} folders or files could not be looked at when the logs were listed",
            count(told.hidden)
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn as_json(told: &Told) -> String {
    let value = json!({
        "shard": told.shard.map(|shard| shard.number),
        "of": told.shard.map(|shard| shard.of),
        "listed": told.listed,
        "objects": told.objects,
        "bytes": told.bytes,
        "records": told.records,
        "facts": told.facts,
        "written": told.written,
        "rejected": told.rejected,
        "unread": told.unread,
        "hidden": told.hidden,
        "out": told.out,
    });
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;

    #[test]
    fn shards_are_named_or_told_by_the_environment() {
        let check = |text: &str, job: (&str, &str), expected: Option<(u32, u32)>| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let job = (some(job.0), some(job.1));
            let env = Env { now: Micros(0), cores: 1, cache: None, job };
            let got = shard(text, &env).ok().map(|shard| (shard.number, shard.of));
            assert_eq!(got, expected, "{text}");
        };
        check("0/1", ("", ""), Some((0, 1)));
        check("3/4", ("9", "10"), Some((3, 4)));
        check("4/4", ("", ""), None);
        check("0/0", ("", ""), None);
        check("0/10000", ("", ""), None);
        check("-1/4", ("", ""), None);
        check("auto/4", ("3", ""), Some((3, 4)));
        check("auto/3", ("3", ""), None);
        check("auto", ("3", "4"), Some((3, 4)));
        check("auto", ("3", ""), None);
        check("auto", ("", ""), None);
        check("1", ("", ""), None);
    }
}
