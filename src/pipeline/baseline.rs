//! The earlier run that findings are compared with, and what is new since.

use std::collections::BTreeSet;

use super::finished::Finished;
use super::{PipelineError, Plan};
use crate::compare::Baseline;
use crate::model::time::{Micros, Window};
use crate::publish::HISTORY;
use crate::rbac::sensitive::Severity;
use crate::report::summary::{Finding, News, SummaryInput};
use crate::source::{Location, Prune, S3Options, SourceError, Store};
use crate::table::parquet::rows_of;
use crate::table::rows::verdicts::{RunRow, VerdictHistoryRow, VerdictRow};

/// Which earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineSpec {
    /// The newest in the history of the output; none is no error.
    Newest,
    /// The newest in the history of the output whose window ended at this instant or before.
    At(Micros),
    /// The output of another run.
    Run(Location),
}

/// Reads the baseline of a run over `window`.
///
/// # Errors
/// When it cannot be read, or was asked for and is not there.
pub(super) async fn read(plan: &Plan, window: Window) -> Result<Option<Baseline>, PipelineError> {
    let Some(spec) = &plan.baseline else { return Ok(None) };
    let latest = match spec {
        BaselineSpec::Newest => window.until,
        BaselineSpec::At(at) => *at,
        BaselineSpec::Run(from) => return of_run(from, &plan.s3).await.map(Some),
    };
    let found = of_history(plan, latest, window).await?;
    match (spec, found) {
        (BaselineSpec::At(at), None) => {
            let (out, at) = (plan.out.to_string(), at.to_rfc3339());
            Err(PipelineError::NoBaseline { out, at })
        }
        (_, found) => Ok(found),
    }
}

async fn of_run(from: &Location, s3: &S3Options) -> Result<Baseline, PipelineError> {
    let finished = Finished::open(from, s3).await?;
    let run: Vec<RunRow> = finished.rows().await?;
    let verdicts: Vec<VerdictRow> = finished.rows().await?;
    let until = run.first().map(|run| run.until).ok_or_else(|| finished.without("run"))?;
    Ok(Baseline::of_verdicts(until, verdicts))
}

/// The newest entry of the history that ended at `latest` or before, and before the window of this run:
/// the same window is the same run.
async fn of_history(
    plan: &Plan,
    latest: Micros,
    window: Window,
) -> Result<Option<Baseline>, PipelineError> {
    let place = format!("{}/{HISTORY}/verdicts", plan.out.to_string().trim_end_matches('/'));
    let place = Location::parse(&place)?;
    if matches!(&place, Location::Local(path) if !path.exists()) {
        return Ok(None);
    }
    let store = Store::open(&place, &plan.s3).await?;
    let mut newest = None;
    for object in store.list(&Prune::everything()).await?.objects()? {
        let object = object.map_err(SourceError::from)?;
        let ended = ended(&object.key).filter(|until| *until <= latest && *until < window.until);
        if let Some(until) = ended
            && newest.as_ref().is_none_or(|(known, _)| *known <= until)
        {
            newest = Some((until, object));
        }
    }
    let Some((until, object)) = newest else { return Ok(None) };
    let fetched = store.fetch(&object).await;
    let bytes = fetched.map_err(|source| SourceError::Fetch { key: object.key.clone(), source })?;
    Ok(Some(Baseline::of_history(until, rows_of::<VerdictHistoryRow>(bytes)?)))
}

/// The end of the window whose verdicts a file of the history holds: `p_until=2026-11-24T00Z/part-0.parquet`.
fn ended(key: &str) -> Option<Micros> {
    let folder = key.strip_suffix(".parquet")?.rsplit('/').nth(1)?;
    let (day, hour) = folder.strip_prefix("p_until=")?.strip_suffix('Z')?.split_once('T')?;
    Micros::parse(&format!("{day}T{hour}:00:00Z"))
}

/// Marks what is new in a summary. Without an earlier run everything is.
pub(super) fn compare(summary: &mut SummaryInput, baseline: Option<&Baseline>) {
    for finding in &mut summary.findings {
        finding.new = Some(baseline.is_none_or(|baseline| is_new(finding, baseline)));
    }
    let all = summary.findings.iter().chain(&summary.suppressed);
    let now: BTreeSet<(&str, &str)> =
        all.map(|finding| (finding.grant_id.as_str(), finding.verdict)).collect();
    summary.news = Some(News {
        since: baseline.map(|baseline| baseline.until.to_rfc3339()),
        new: summary.findings.iter().filter(|finding| finding.new == Some(true)).count(),
        gone: baseline.map_or(0, |baseline| baseline.gone(&now)),
    });
}

fn is_new(finding: &Finding, baseline: &Baseline) -> bool {
    match finding.since {
        Some(since) => since >= baseline.until,
        None => baseline.is_new(&finding.grant_id, finding.verdict, finding.severity),
    }
}

/// The worst finding, and the worst that is new.
pub(super) fn worst(findings: &[Finding]) -> (Option<Severity>, Option<Severity>) {
    let worst = |new: bool| {
        let counts = findings.iter().filter(|finding| !new || finding.new == Some(true));
        counts.filter_map(|finding| Severity::named(finding.severity)).max()
    };
    (worst(false), worst(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_entry_tells_when_its_window_ended() {
        let check = |key: &str, expected: Option<&str>| {
            assert_eq!(ended(key), expected.and_then(Micros::parse), "{key}");
        };
        let window =
            Window { since: Micros(0), until: Micros::parse("2026-11-24T05:00:00Z").unwrap() };
        check(&super::super::history_path(window), Some("2026-11-24T05:00:00Z"));
        check("p_until=2026-11-24T00Z/part-0.parquet", Some("2026-11-24T00:00:00Z"));
        check("p_until=2026-11-24T00Z/.tmp", None);
        check("p_until=yesterday/part-0.parquet", None);
        check("part-0.parquet", None);
    }

    #[test]
    fn without_an_earlier_run_all_is_new_and_what_dates_itself_needs_none() {
        let finding = |severity, verdict, since: Option<i64>| Finding {
            severity,
            verdict,
            grant_id: "a".to_owned(),
            since: since.map(Micros),
            ..Finding::default()
        };
        let summary = || SummaryInput {
            findings: vec![
                finding("critical", "unused", None),
                finding("high", "break_glass_used", Some(7)),
            ],
            ..SummaryInput::default()
        };
        let mut first = summary();
        compare(&mut first, None);
        let news = News { since: None, new: 2, gone: 0 };
        assert_eq!(first.news, Some(news));
        assert_eq!(worst(&first.findings), (Some(Severity::Critical), Some(Severity::Critical)));

        let known = VerdictHistoryRow {
            grant_id: "a".to_owned(),
            verdict: "unused".to_owned(),
            severity: "critical".to_owned(),
            finding: Some(true),
            ..VerdictHistoryRow::default()
        };
        let check = |until: i64, new: usize, worst_new: Option<Severity>| {
            let mut later = summary();
            let baseline = Baseline::of_history(Micros(until), vec![known.clone()]);
            compare(&mut later, Some(&baseline));
            assert_eq!(later.news.as_ref().map(|news| (news.new, news.gone)), Some((new, 0)));
            assert_eq!(worst(&later.findings), (Some(Severity::Critical), worst_new));
        };
        check(7, 1, Some(Severity::High));
        check(8, 0, None);
    }
}
