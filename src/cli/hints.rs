//! What to do next, for every error that does not say it by itself.

use std::error::Error;

use crate::live::LiveError;
use crate::pipeline::PipelineError;
use crate::pipeline::ask::AskError;
use crate::pipeline::inputs::InputError;
use crate::pipeline::shards::ShardError;
use crate::publish::PublishError;
use crate::remedy::RemedyError;
use crate::report::ReportError;
use crate::source::{FetchError, SourceError};

const OF_PLACES: &str = "check the path; logs may also be s3://bucket/prefix";
const OF_BUCKETS: &str =
    "check credentials (AWS_PROFILE), region (--region) and the bucket's policy";
const OF_RUNS: &str =
    "give the folder or prefix that was --out of a finished `overgrant audit`, not one below it";
const OF_THE_DISK: &str = "check that --out can be written and the disk is not full";
const OF_MISTAKES: &str =
    "this is a mistake of overgrant: report it with what `overgrant --version` prints";

/// What to do about an error; nothing where its own words say it.
pub(super) fn hint(error: &PipelineError) -> Option<&'static str> {
    match error {
        PipelineError::Source(error) | PipelineError::Publish(PublishError::Source(error)) => {
            Some(of_source(error))
        }
        PipelineError::NoLogs { .. } => Some(
            "give the folder or prefix that holds AWSLogs/ or the audit log objects; --since and --until prune by delivery day",
        ),
        PipelineError::EmptyWindow { .. } => Some(
            "give a --since before --until; without --until the window ends when the newest inventory was taken",
        ),
        PipelineError::Policies { .. } => Some(
            "a table is {\"version\": DATE, \"policies\": [{\"name\": …, \"rules\": […]}]}; without --access-policies the one that ships is used",
        ),
        PipelineError::Start(_) => Some(
            "check that --out and the folder for temporary files (TMPDIR) can be written, and the limits of threads and memory (ulimit -a)",
        ),
        PipelineError::NoRun { .. } => Some(OF_RUNS),
        PipelineError::NoTable { .. } => {
            Some("run `overgrant audit` with this version into that place, then ask again")
        }
        PipelineError::Ask(error) => of_question(error),
        PipelineError::NoBaseline { .. } => Some(
            "give --new-since a later date or the output of another run; see --out/history/verdicts",
        ),
        PipelineError::Remedy(RemedyError::UnknownGrant { .. }) => {
            Some("take grant_id from tables/verdicts of the same run")
        }
        PipelineError::PublicKeys { .. } => Some(
            "make the file with `aws cloudtrail list-public-keys --start-time … > FILE`, or leave --public-keys out to ask CloudTrail",
        ),
        PipelineError::Input(error) => of_input(error),
        PipelineError::Shards(error) => of_shards(error),
        PipelineError::Report(ReportError::Query { .. }) => {
            Some("give SQL more room with --memory, or judge a shorter window with --since")
        }
        PipelineError::Facts(_)
        | PipelineError::Report(_)
        | PipelineError::Publish(_)
        | PipelineError::Codec(_)
            if error.is_of_writing() || is_of_the_disk(error) =>
        {
            Some(OF_THE_DISK)
        }
        PipelineError::Facts(_) => Some(
            "facts or spill files were changed by someone else: run again, and with --rescan if that does not help",
        ),
        PipelineError::Worker
        | PipelineError::Packed(_)
        | PipelineError::Remedy(RemedyError::Yaml(_))
        | PipelineError::Report(ReportError::Manifest(_)) => Some(OF_MISTAKES),
        // Their words say what to do.
        PipelineError::Report(_)
        | PipelineError::Publish(_)
        | PipelineError::Codec(_)
        | PipelineError::Ledger(_)
        | PipelineError::Expired { .. }
        | PipelineError::Named { .. }
        | PipelineError::Interrupted { .. } => None,
    }
}

fn of_shards(error: &ShardError) -> Option<&'static str> {
    match error {
        ShardError::NoFacts { .. } => Some("run `overgrant scan LOGS … --out FACTS` first"),
        ShardError::Damaged { .. } => Some(
            "run the scan again that wrote it; of plan.json or a listing, give --out another place",
        ),
        ShardError::OtherDays { .. } => {
            Some("judge a shorter window, or scan with this one into another place")
        }
        ShardError::Lacks { .. } => Some(
            "give the inventory and options that the scans had, or scan with these into another place",
        ),
        ShardError::BadLine { .. } => {
            Some("a line is s3://bucket/key, a path, or a row of the listing as JSON")
        }
        ShardError::Stream(_) => Some("whoever reads the rows ended early: see what it said"),
        ShardError::Foreign { .. }
        | ShardError::OtherPlan { .. }
        | ShardError::NoEnd
        | ShardError::Incomplete { .. }
        | ShardError::Interrupted
        | ShardError::Stdin(_) => None,
    }
}

fn of_question(error: &AskError) -> Option<&'static str> {
    match error {
        AskError::NoTable { .. } => Some("`overgrant sql .tables --from OUT` lists what there is"),
        AskError::Publish(PublishError::Source(error)) => Some(of_source(error)),
        AskError::Report(ReportError::Statement { .. }) => Some(
            "`overgrant sql '.schema TABLE' --from OUT` lists the columns of a table; a statement only reads",
        ),
        AskError::Write(_) => Some("check that the file of --output can be written"),
        AskError::Publish(_) | AskError::Report(_) | AskError::Codec(_) | AskError::Cancelled => {
            None
        }
    }
}

fn of_source(error: &SourceError) -> &'static str {
    match error {
        SourceError::BadLocation { .. } | SourceError::Local { .. } => OF_PLACES,
        SourceError::S3 { .. } => OF_BUCKETS,
        SourceError::FileTooLarge { .. } => {
            "give --inventory a folder of snapshots and nothing else; logs go before the options"
        }
        SourceError::Fetch { source, .. } => match source {
            FetchError::Gone | FetchError::Changed => {
                "something else writes there: run again when it is done"
            }
            FetchError::Denied { .. } => {
                "add the statement, to the key's policy where it is kms:Decrypt"
            }
            FetchError::Expired { .. } => "renew the credentials and run again",
            FetchError::Failed { .. } => OF_BUCKETS,
        },
        SourceError::Packed(_) => OF_MISTAKES,
    }
}

fn of_input(error: &InputError) -> Option<&'static str> {
    match error {
        InputError::Trail { .. } => Some(
            "check the name and --region, or give trail:ARN; a trail of another account takes --role-arn",
        ),
        InputError::Lookup { .. } => Some(
            "check credentials (AWS_PROFILE) and --role-arn; what is kept is not asked for again",
        ),
        InputError::Cluster(LiveError::NotFound { .. }) => Some(
            "see `aws eks list-clusters`; another region takes --region, another account --role-arn",
        ),
        InputError::Cluster(LiveError::Describe { .. }) => Some(
            "check credentials (AWS_PROFILE) and --role-arn; see samples/deploy/iam-policy.json",
        ),
        InputError::Cluster(LiveError::NoRegion { .. })
        | InputError::Stopped { .. }
        | InputError::StoppedClusters => None,
    }
}

/// True when what the system said of a file is at the bottom of it.
fn is_of_the_disk(error: &PipelineError) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::cli::error::UserError;
    use crate::facts::FactsError;
    use crate::ledger::LedgerError;
    use crate::rbac::policies::PolicyTable;
    use crate::table::parquet::CodecError;

    fn full() -> io::Error {
        io::Error::new(io::ErrorKind::StorageFull, "no space")
    }

    fn codec() -> CodecError {
        arrow::error::ArrowError::NotYetImplemented("x".to_owned()).into()
    }

    /// What, where, why, and what to do: each error as people see it.
    #[test]
    fn every_error_says_what_where_why_and_what_to_do() {
        let check = |error: PipelineError, expected: &[&str]| {
            let text = UserError::Run(error).render();
            for part in expected {
                assert!(text.contains(part), "{part:?} in {text}");
            }
            assert!(text.ends_with('\n') && !text.contains("  hint: \n"), "{text}");
        };
        let s = str::to_owned;
        let local = SourceError::Local { path: "a/b".into(), source: full() };
        check(local.into(), &["error: cannot read a/b\n", "because: no space", OF_PLACES]);
        check(SourceError::BadLocation { text: s("x://") }.into(), &["x://", OF_PLACES]);
        let refused = || SourceError::S3 {
            operation: "GetObject",
            bucket: s("b"),
            key: s("k"),
            message: s("AccessDenied: no"),
            action: "s3:GetObject",
        };
        let words = ["GetObject failed on s3://b/k: AccessDenied: no", "s3:GetObject", OF_BUCKETS];
        check(refused().into(), &words);
        check(PublishError::Source(refused()).into(), &words);
        let large = SourceError::FileTooLarge { key: s("k"), size: 9 };
        check(large.into(), &["k has 9 bytes", "hint: give --inventory a folder of snapshots"]);
        let fetch = |source| SourceError::Fetch { key: s("k"), source }.into();
        check(fetch(FetchError::Gone), &["cannot fetch k", "gone since", "hint: something else"]);
        check(fetch(FetchError::Changed), &["changed since", "run again when it is done"]);
        let denied = FetchError::Denied { message: s("no"), statement: s("{S}") };
        check(fetch(denied), &["access denied: no", "add {S}", "hint: add the statement"]);
        let message = s("old");
        check(fetch(FetchError::Expired { message }), &["ran out: old", "hint: renew"]);
        check(fetch(FetchError::Failed { message: s("dns") }), &["because: dns", OF_BUCKETS]);

        let spill = FactsError::WriteSpill { path: "s/1".into(), source: full() };
        check(spill.into(), &["spill file s/1", "because: no space", OF_THE_DISK]);
        let rows = FactsError::WriteRows { path: "f/1".into(), source: codec() };
        check(rows.into(), &["fact file f/1", "because: Arrow refused", OF_THE_DISK]);
        check(FactsError::Codec(codec()).into(), &["because: Not yet", "hint: facts or spill"]);
        check(
            FactsError::Encoding(postcard::Error::DeserializeUnexpectedEnd).into(),
            &["does not read back", "--rescan"],
        );
        let io = |doing| ReportError::Io { doing, path: "o/x".into(), source: full() };
        check(io("write").into(), &["cannot write o/x", "because: no space", OF_THE_DISK]);
        let table = ReportError::Table { table: s("use"), source: codec() };
        check(table.into(), &["cannot write the table use", OF_THE_DISK]);
        let query = ReportError::Query { query: s("q1"), source: "Resources exhausted".into() };
        check(query.into(), &["query q1 failed", "because: Resources", "hint: give SQL more"]);
        let foreign = ReportError::ForeignFolder { path: "o".into() };
        check(foreign.into(), &["o is not empty", "choose another folder or empty it"]);
        let json = serde_json::from_str::<u8>("x").unwrap_err();
        check(ReportError::Manifest(json).into(), &["cannot write the manifest", OF_MISTAKES]);
        check(codec().into(), &["cannot write a table", OF_THE_DISK]);

        let source = PolicyTable::from_json(b"x").unwrap_err();
        check(
            PipelineError::Policies { path: "p.json".into(), source },
            &["cannot read the access policies in p.json", "because: ", "hint: a table is {"],
        );
        let (since, until) = (s("S"), s("U"));
        let empty = PipelineError::EmptyWindow { since, until };
        check(empty, &["starts at S and ends at U", "hint: give a --since before --until"]);
        let none = PipelineError::NoLogs { places: s("a, b"), unlisted: String::new() };
        check(none, &["no log objects were found in a, b", "hint: give the folder or prefix"]);
        check(PipelineError::Start(full()), &["cannot start", "because: no space", "TMPDIR"]);
        let no_run = PipelineError::NoRun { from: s("o") };
        check(no_run, &["o holds no overgrant run", "no manifest.json", "hint: give the folder"]);
        let no_table = PipelineError::NoTable { from: s("o"), table: "grants" };
        check(no_table, &["the run in o", "grants", "another version", "hint: run `overgrant"]);
        let replaced = PublishError::Replaced { file: s("o/f") };
        check(replaced.into(), &["o/f is not the file", "copied in part", "copy the whole"]);
        let unknown = RemedyError::UnknownGrant { id: s("g1") };
        check(unknown.into(), &["has the id g1", "hint: take grant_id from tables/verdicts"]);
        let keys = PipelineError::PublicKeys { path: "k.json".into(), why: s("no JSON") };
        check(keys, &["--public-keys k.json: no JSON", "hint: make the file with `aws cloudtrail"]);
        check(PipelineError::Worker, &["a worker thread ended early", OF_MISTAKES]);

        let place = || s("o");
        let busy = PublishError::Busy { place: place(), what: "another run is at work in it" };
        check(busy.into(), &["o is in use: another run", "run again when it is done"]);
        let foreign = PublishError::Foreign { path: "o".into(), found: s("thesis.txt") };
        check(foreign.into(), &["thesis.txt", "choose another folder or empty it"]);
        let io = PublishError::Io { doing: "lock", path: "o/.lock".into(), source: full() };
        check(io.into(), &["cannot lock o/.lock", "because: no space", OF_THE_DISK]);
        let later = PublishError::LaterVersion { place: place(), found: 9 };
        check(later.into(), &["o was written by a later version", "format 9", "--rescan"]);
        let source = postcard::Error::DeserializeUnexpectedEnd;
        let ledger = LedgerError::Details { what: s("k"), source };
        check(ledger.into(), &["--rescan starts without it", "because: the counters of k"]);
        check(PipelineError::Expired { objects: 3 }, &["3 of their log objects", "--rescan"]);
        check(PipelineError::Named { objects: 3 }, &["--hide-secret-names", "--rescan"]);
        let ended = PipelineError::Interrupted { kept: 1, of: 2 };
        check(ended, &["interrupted: 1 of 2 objects", "the next run goes on"]);

        let why = || s("needs x:Y");
        let trail = InputError::Trail { trail: s("main"), why: why() };
        check(trail.into(), &["trail:main: needs x:Y", "hint: check the name and --region"]);
        let lookup = InputError::Lookup { region: s("r"), why: why() };
        check(lookup.into(), &["lookup-events:r: needs x:Y", "run again", "hint: check cred"]);
        let stopped = InputError::Stopped { region: s("r") };
        check(stopped.into(), &["interrupted while lookup-events:r", "goes on from there"]);
        check(InputError::StoppedClusters.into(), &["the report is the earlier one"]);
        let cluster = |error| PipelineError::from(InputError::Cluster(error));
        let no_region = LiveError::NoRegion { cluster: s("c") };
        check(cluster(no_region), &["c: no region is given; add --region"]);
        let not_found = LiveError::NotFound { cluster: s("c"), regions: s("r") };
        check(cluster(not_found), &["c: no such cluster in r", "aws eks list-clusters"]);
        let describe = LiveError::Describe { cluster: s("c"), why: why() };
        check(cluster(describe), &["c: needs x:Y", "hint: check credentials"]);
    }

    #[test]
    fn hostile_words_of_an_error_are_escaped() {
        let error = SourceError::Local {
            path: "a\u{1b}[2J".into(),
            source: io::Error::other("\n\u{202e}"),
        };
        let told = UserError::Run(error.into()).told();
        assert_eq!(told.what, "cannot read a\\u{1b}[2J");
        assert_eq!(told.because, ["\\n\\u{202e}"]);
    }
}
