//! What the user typed. The doc comments are the help.

pub mod asking;
mod review;
pub mod scanning;

use clap::{Parser, Subcommand, ValueEnum};

use crate::rbac::exact::VerbGroups;

pub use review::{Diff, DiffFormat, FailOn, Review, SummaryFormat};

/// Who may do what in your EKS clusters, who really did, and what smaller grant would have been
/// enough.
#[derive(Debug, Parser)]
#[command(
    name = "overgrant",
    version,
    long_version = super::version::long(),
    max_term_width = 100
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say less: no progress, no summary
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
    /// Say more on stderr; repeat for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub verbose: u8,
    /// Plain lines on stderr in place of a progress bar: stages, figures every ten seconds, errors
    #[arg(long, global = true, value_name = "HOW", help_heading = "Everywhere")]
    pub log_format: Option<super::progress::LogFormat>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Everywhere"
    )]
    pub color: Color,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge every grant by what the logs show
    ///
    /// Reads gzipped CloudTrail and EKS audit logs and the inventory of the clusters, joins every
    /// request to the grant that allowed it and to the session behind it, and writes Parquet tables
    /// and reports. Nothing but the output folder is ever written.
    Audit(Box<Audit>),
    /// Take a snapshot of what clusters grant now
    ///
    /// Asks EKS, IAM and the Kubernetes API, pages and all, and writes a folder per cluster that
    /// `overgrant audit --inventory` reads. It only ever reads: secrets not even that, but for the
    /// names of ServiceAccount tokens. A call that is denied leaves a hole that names the missing
    /// permission; what the hole would hold is judged unobservable, never unused.
    Inventory(Box<Inventory>),
    /// Check that CloudTrail logs are what CloudTrail wrote
    ///
    /// Walks the chains of digest files, checks their signatures with CloudTrail's public keys, and the
    /// hash of every log with the digest that names it. Audit logs of EKS are signed by nobody and cannot
    /// be checked. A copy of a bucket in a folder has lost the signatures beside the digests, but each
    /// digest names that of the one before it: all are checked but the newest.
    Verify(Verify),
    /// Write the changes that a run proposes, and the way back
    ///
    /// Reads the output of `overgrant audit` and writes a script for the aws and kubectl command lines,
    /// Terraform, RBAC objects, and the inverse of each. Nothing is applied: read it, then run it. What
    /// is new comes before what is old goes.
    Remediate(Box<Remediate>),
    /// Tell all that a run says of one principal or grant
    ///
    /// Who it is and how it gets in, what it may do, what it did, when and from where, and what is
    /// recommended. Nothing is judged anew: it is what the run says, on one page.
    Explain(asking::Explain),
    /// Ask the tables and reports of a run in SQL
    ///
    /// One statement that reads, as an argument, from a file or from stdin; on a terminal a prompt with
    /// history and completion. The same statement gives the same rows in DuckDB. Tables in a bucket are
    /// fetched when a statement first names them.
    Sql(asking::Sql),
    /// Print completions for a shell
    Completions(super::shell::Completions),
    /// Print the manual page, or write a page for each subcommand
    Man(super::shell::Man),
    /// Read a share of the logs and leave the facts, for `overgrant audit --facts`
    ///
    /// For more logs than one machine reads in time: as many scans as there are shards, on any machines, in
    /// any order. Reports are the same as those of one run over all logs.
    Scan(scanning::Scan),
    /// Read objects that another engine names, and hand it the facts
    Worker(scanning::Worker),
    /// Tell the columns of tables
    Schema(scanning::SchemaOf),
    /// Say what changed between two runs
    ///
    /// Compares the grants and verdicts of two outputs of `overgrant audit`: what is new, gone or changed, whose
    /// verdict is another, what is newly used and newly unused. What AWS and Kubernetes put into every cluster is
    /// left out.
    Diff(Diff),
}

/// `overgrant verify`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
On stdout is a line per object that is not valid: status, object, why.

Exit codes: 0 all is valid, 1 something is invalid, missing or unsigned, 2 usage, 3 something could
not be checked, 4 failed.

Example:
  overgrant verify s3://logs/AWSLogs --since 7d")]
pub struct Verify {
    /// Folders or s3://bucket/prefix with CloudTrail logs and their digests
    #[arg(required = true, value_name = "LOGS")]
    pub logs: Vec<String>,
    /// Start of the window: days before its end (90d) or a date (2026-08-25, RFC 3339)
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    pub since: String,
    /// End of the window; by default now
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Public keys, as `aws cloudtrail list-public-keys` prints them; by default CloudTrail is asked
    #[arg(long, value_name = "FILE")]
    pub public_keys: Vec<std::path::PathBuf>,
    /// Threads that hash; by default one per core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Region of the buckets, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `overgrant remediate`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 complete, 2 usage, 3 partial (some findings are left to a person; it says which and
why), 4 failed.

Example:
  overgrant remediate --from reports --to bundle
  less bundle/apply.sh && bash bundle/apply.sh
  bash bundle/rollback/apply.sh")]
pub struct Remediate {
    /// Folder or s3://bucket/prefix that `overgrant audit` wrote
    #[arg(long, value_name = "OUT")]
    pub from: String,
    /// Folder of the bundle; an earlier bundle there is replaced
    #[arg(long, value_name = "DIR")]
    pub to: std::path::PathBuf,
    /// Only these grants, by grant_id; also those that a person must review
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub only: Vec<String>,
    /// Region of the bucket, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `overgrant inventory`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 complete, 2 usage, 3 partial (something could not be read; the holes say what and
why), 4 a cluster could not be taken at all.

Example:
  overgrant inventory --cluster prod --cluster dev --region eu-west-1 --out inventory
  overgrant audit s3://logs/AWSLogs s3://logs/eks-audit --inventory inventory --out reports")]
pub struct Inventory {
    /// Cluster name or ARN; repeat for more
    #[arg(long, required = true, value_name = "NAME|ARN")]
    pub cluster: Vec<String>,
    /// Region to look in; repeat for more; by default that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    /// Folder that gets a folder per cluster; an earlier snapshot there is replaced
    #[arg(long, value_name = "DIR")]
    pub out: std::path::PathBuf,
    /// Reach Kubernetes through this file, in place of the cluster's endpoint and an own token
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// Calls at once, per cluster
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub concurrency: usize,
    /// Roles to take
    #[command(flatten)]
    pub roles: Roles,
}

/// As whom AWS is asked.
#[derive(Debug, clap::Args)]
pub struct Roles {
    /// Role to ask AWS as, one per account; names are looked for in the accounts of all of them
    ///
    /// Clusters, trails and event histories are asked as the role of their account, and as the caller
    /// where there is none. Buckets are always read and written as the caller.
    #[arg(long, value_name = "ARN")]
    pub role_arn: Vec<String>,
    /// External id that the trust policies of the roles ask for
    #[arg(long, value_name = "ID", requires = "role_arn")]
    pub external_id: Option<String>,
}

/// `overgrant audit`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 complete, 1 findings at or above --fail-on, 2 usage, 3 partial (a verdict was
lowered for want of evidence, or too much was rejected), 4 failed, 130 interrupted.

Examples:
  overgrant audit s3://logs/AWSLogs s3://logs/eks-audit --inventory inventory --out reports
  overgrant audit trail:main s3://logs/eks-audit --cluster prod --out reports
  overgrant audit lookup-events:eu-west-1 --cluster prod --out reports")]
pub struct Audit {
    /// Folders, files or s3://bucket/prefix with logs; trail:NAME; lookup-events:REGION
    ///
    /// The kind of a log is read from its bytes. trail:NAME (or an ARN) is wherever the trail leaves its
    /// files. lookup-events:REGION is CloudTrail's event history: 90 days, no data events, two requests a
    /// second; what was had is kept under --lookup-cache and not asked for again.
    #[arg(required_unless_present = "facts", value_name = "LOGS")]
    pub logs: Vec<String>,
    /// Facts in place of logs
    #[command(flatten)]
    pub from: scanning::FromFacts,
    /// Folder or s3://bucket/prefix with a folder per cluster, as aws and kubectl print it
    #[arg(long, value_name = "PATH")]
    pub inventory: Vec<String>,
    /// Start of the window: days before its end (90d) or a date (2026-08-25, RFC 3339)
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    pub since: String,
    /// End of the window; by default when the newest inventory was taken
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Folder or s3://bucket/prefix for the output; a run that is there is continued
    #[arg(long, value_name = "DIR")]
    pub out: String,
    /// Forget what earlier runs into --out read, and read everything in the window again
    #[arg(long)]
    pub rescan: bool,
    /// Check CloudTrail logs against their digests; one that is not what CloudTrail wrote is not used
    #[arg(long)]
    pub verify: bool,
    /// Use logs that are not what CloudTrail wrote all the same
    #[arg(long, requires = "verify")]
    pub use_unverified: bool,
    /// Public keys, as `aws cloudtrail list-public-keys` prints them; by default CloudTrail is asked
    #[arg(long, value_name = "FILE", requires = "verify")]
    pub public_keys: Vec<std::path::PathBuf>,
    /// Put marks in place of the names of Secrets, in all that is written and said
    ///
    /// One mark for one name, so that verdicts stay the same. Rejects show no example then, and remediate
    /// leaves what is given by such a name to a person. A name that a rule gives for other resources too
    /// is also theirs, and stays.
    #[arg(long)]
    pub hide_secret_names: bool,
    /// Name the cluster of audit logs that do not say it: key prefix and cluster ARN
    #[arg(long, value_name = "KEYPREFIX=ARN")]
    pub cluster_map: Vec<String>,
    /// Rules of access policies, in place of those that ship with this version
    #[arg(long, value_name = "FILE")]
    pub access_policies: Option<std::path::PathBuf>,
    /// Days a grant must be old before its silence means anything
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub min_age: i64,
    /// Share of hours that the logs must cover, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    pub min_coverage: f64,
    /// Longest gap in the logs that is tolerated, in hours
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub max_hole: i64,
    /// Share of rejected records above which the run counts as partial
    #[arg(long, value_name = "SHARE", default_value_t = 0.001)]
    pub max_rejects: f64,
    /// Verbs that proposals give together although one was used
    #[arg(long, value_name = "HOW", default_value = "exact")]
    pub verb_groups: VerbGroupsArg,
    /// Threads that decode; by default one per core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory beside the scan, in MiB; half of it for SQL
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: usize,
    /// Bytes that one object may inflate to, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub max_object: u64,
    /// Region of buckets, clusters and trails given by name, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Write figures of the run as OpenMetrics text, also when it fails
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<std::path::PathBuf>,
    /// Whether to read at all
    #[command(flatten)]
    pub dry: super::dry_run::DryRunArgs,
    /// What counts of the findings
    #[command(flatten, next_help_heading = "Findings")]
    pub review: Review,
    /// Take the inventory of this cluster now, as `overgrant inventory` does; repeat for more
    #[arg(long, value_name = "NAME|ARN", help_heading = "Live inputs")]
    pub cluster: Vec<String>,
    /// Reach Kubernetes through this file, in place of the cluster's endpoint and an own token
    #[arg(long, value_name = "FILE", requires = "cluster", help_heading = "Live inputs")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kubeconfig", help_heading = "Live inputs")]
    pub context: Option<String>,
    /// Where event histories are kept; by default below the user's cache folder
    #[arg(long, value_name = "DIR", help_heading = "Live inputs")]
    pub lookup_cache: Option<std::path::PathBuf>,
    /// Roles to take
    #[command(flatten, next_help_heading = "Live inputs")]
    pub roles: Roles,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How verbs go together, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerbGroupsArg {
    /// What was used and no more
    Exact,
    /// get, list and watch together, as informers need them
    Read,
}

impl From<VerbGroupsArg> for VerbGroups {
    fn from(from: VerbGroupsArg) -> Self {
        match from {
            VerbGroupsArg::Exact => VerbGroups::Exact,
            VerbGroupsArg::Read => VerbGroups::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_declared() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
