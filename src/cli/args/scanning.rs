//! Arguments of the commands that read in many processes.

use clap::ValueEnum;

/// `overgrant scan`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first of the scans lists the logs and leaves the list in --out; the others read their share of
that list, so all must be given the same logs, inventory and options. A scan that is killed is run
again; it may also run twice at once. `overgrant audit --facts` joins what they leave.

Exit codes: 0 complete, 2 usage, 3 partial (some objects could not be fetched: run this shard again),
4 failed, 130 interrupted.

Examples:
  overgrant scan s3://logs/AWSLogs s3://logs/eks-audit --inventory inventory --shard 0/4 --out s3://work/facts
  overgrant scan s3://logs/AWSLogs --inventory s3://work/inventory --shard auto --out s3://work/facts
  overgrant audit --facts s3://work/facts --inventory inventory --out reports")]
pub struct Scan {
    /// Folders, files or s3://bucket/prefix with logs
    #[arg(required = true, value_name = "LOGS")]
    pub logs: Vec<String>,
    /// Folder or s3://bucket/prefix with a folder per cluster, as aws and kubectl print it
    #[arg(long, value_name = "PATH")]
    pub inventory: Vec<String>,
    /// Start of the window: days before its end (90d) or a date (2026-08-25, RFC 3339)
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    pub since: String,
    /// End of the window; by default when the newest inventory was taken
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Folder or s3://bucket/prefix for the facts, the same for all shards
    #[arg(long, value_name = "FACTS")]
    pub out: String,
    /// Which share to read: I/N, with I from 0; auto or auto/N takes I from the environment
    ///
    /// auto reads JOB_COMPLETION_INDEX of a Kubernetes Indexed Job, which says nothing of N (auto/8), or
    /// AWS_BATCH_JOB_ARRAY_INDEX and AWS_BATCH_JOB_ARRAY_SIZE of an array job of AWS Batch.
    #[arg(long, value_name = "I/N|auto", default_value = "0/1")]
    pub shard: String,
    /// Only list the logs and leave the list in --out, for another engine to share out
    #[arg(long, conflicts_with = "shard")]
    pub list: bool,
    /// Put marks in place of the names of Secrets, in all that is written and said
    #[arg(long)]
    pub hide_secret_names: bool,
    /// Name the cluster of audit logs that do not say it: key prefix and cluster ARN
    #[arg(long, value_name = "KEYPREFIX=ARN")]
    pub cluster_map: Vec<String>,
    /// Threads that decode; by default one per core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory beside the scan, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: usize,
    /// Bytes that one object may inflate to, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub max_object: u64,
    /// Region of buckets, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// How to say on stdout what was done
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: ToldFormat,
}

/// How a scan says what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ToldFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// `overgrant worker`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line of stdin is an object: its URI (s3://bucket/key, or a path), or a row of
FACTS/listing-ID.parquet as a JSON object. On stdout is an Arrow IPC stream of rows of the table
`scanned` (`overgrant schema scanned`): the facts of each object, and a row for the object itself, also
where it could not be read. Lines are read no faster than rows are taken.

Exit codes: 0 all lines are done, 2 usage, 4 failed.

Example:
  overgrant worker --facts s3://work/facts < objects.jsonl > rows.arrows")]
pub struct Worker {
    /// Folder or s3://bucket/prefix that `overgrant scan` left its plan in
    #[arg(long, value_name = "FACTS")]
    pub facts: String,
    /// Threads that decode
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Region of buckets, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `overgrant schema`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a name all tables are told. Exit codes: 0 complete, 2 no such table.

Examples:
  overgrant schema verdicts
  overgrant schema scanned --format spark-ddl")]
pub struct SchemaOf {
    /// Tables
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// How to tell them
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: SchemaFormat,
}

/// How a schema is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// Columns, types and meanings
    Table,
    /// One line per table: what Spark's schema strings are
    SparkDdl,
    /// For programs
    Json,
}

/// Where facts of scans are; for `overgrant audit`.
#[derive(Debug, clap::Args)]
pub struct FromFacts {
    /// Join what `overgrant scan` left in this folder or s3://bucket/prefix, in place of reading logs
    ///
    /// The inventory, --cluster-map, --max-object and --hide-secret-names must be those of the scans; the
    /// window may be shorter, and clusters may be missing.
    #[arg(long, value_name = "FACTS", conflicts_with_all = ["logs", "verify", "rescan", "dry_run"])]
    pub facts: Option<String>,
}
