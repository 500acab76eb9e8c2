//! Arguments of the commands that ask a finished run.

use std::path::PathBuf;

use clap::ValueEnum;

/// `overgrant sql`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a statement there is a prompt on a terminal; elsewhere the statement is read from stdin.

Exit codes: 0 complete, 2 usage, 4 failed (a statement that does not run, too).

Examples:
  overgrant sql --from reports
  overgrant sql .tables --from reports
  overgrant sql --from reports \"SELECT verdict, count(*) AS n FROM verdicts GROUP BY verdict ORDER BY n DESC\"
  overgrant sql --from s3://reports/overgrant --file question.sql --param team=payments --format csv")]
pub struct Sql {
    /// One statement that reads; `-` is stdin; .tables and .schema TABLE tell what there is
    #[arg(value_name = "STATEMENT")]
    pub statement: Option<String>,
    /// Folder or s3://bucket/prefix that `overgrant audit` wrote
    #[arg(long, value_name = "OUT")]
    pub from: String,
    /// Read the statement from this file
    #[arg(long, value_name = "FILE", conflicts_with = "statement")]
    pub file: Option<PathBuf>,
    /// Value of $NAME in the statement: a date, an integer, true, false, else text; repeat for more
    ///
    /// $since and $until are the window of the run where they are not given.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// How to write the rows
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: RowFormat,
    /// Write the rows into this file, in place of stdout
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Rows that a table shows; 0 for all. Other formats always give all
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub max_rows: usize,
    /// Memory for the statement, in MiB; what needs more goes through temporary files
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub memory: usize,
    /// Region of the bucket, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `overgrant explain`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 complete, 2 nobody or several go by that name, 4 failed.

Examples:
  overgrant explain ci-deployer --from reports
  overgrant explain arn:aws:sts::111122223333:assumed-role/ci-deployer/GitHubActions --from reports
  overgrant explain shop/app-controller --from s3://reports/overgrant --format json")]
pub struct Explain {
    /// An ARN (of a role, user or session), role name, access key id, unique id, Kubernetes user or
    /// group, NAMESPACE/SERVICEACCOUNT, NAMESPACE/POD, or a grant_id
    #[arg(value_name = "WHO|GRANT")]
    pub who: String,
    /// Folder or s3://bucket/prefix that `overgrant audit` wrote
    #[arg(long, value_name = "OUT")]
    pub from: String,
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: PageFormat,
    /// Region of the bucket, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PageFormat {
    /// 80 columns
    Text,
    /// One object
    Json,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Columns for people
    Table,
    /// With a header
    Csv,
    /// An array of objects, one to a line
    Json,
    /// Parquet with zstd
    Parquet,
}
