//! One integration binary, so that the engine is linked once. Each module says what belongs there.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests stand outside the rooms: they set the stage and look at what came out"
)]

/// Statements and pages for analysts: the same answers from DuckDB.
mod analysts;
/// Questions to a finished run: `sql` and `explain`.
mod ask;
/// What a person sees: help, summary, exit codes, mistakes.
mod cli;
/// Examples of running it on a schedule.
mod deploy;
/// What the documents show is what comes out.
mod docs;
/// What S3, the disk and the network do to a run.
mod faults;
/// The fuzz targets: their corpus and mutations of it.
mod fuzz;
/// Hostile logs: what each counts as, that no verdict moves, that memory stays bounded.
mod hostile;
/// Runs that continue runs: cut, late, damaged, killed.
mod incremental;
/// Trails, event histories and clusters as inputs of an audit; the permissions that they take.
mod inputs;
/// Findings that are known, findings that are new, and two runs side by side.
mod known;
/// The recorded cluster and its truth, row by row.
mod lab;
/// A snapshot taken from the APIs, and what a denied call costs.
mod live;
/// From aws-auth to access entries; tokens and issuers.
mod migration;
/// The page of a run in a browser.
mod page;
/// Every report query over small hand-written tables.
mod queries;
/// Public logs: no panic, counters partition, sessions resolve.
mod real_logs;
/// Bundles: applied to the recorded cluster by fake command lines, and taken back.
mod remediate;
/// The same over S3, in-process, over a real socket.
mod s3;
/// The samples of the README: verdicts, determinism, the output contract.
mod samples;
/// SARIF, against its schema.
mod sarif;
/// Tokens, bodies and credentials: in no table, no line, no error.
mod secrets;
/// Many scans and one join; the worker that another engine feeds.
mod shards;
/// Spark: the same binary in executors, the same rows as on one machine.
mod spark;
/// What the tests share.
mod support;
/// The prompt at a terminal.
mod terminal;
/// Rooms and fences.
mod tidy;
/// Digest chains of CloudTrail: in buckets, in copies, and in an audit.
mod verify;
