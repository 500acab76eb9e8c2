CREATE EXTERNAL TABLE IF NOT EXISTS `token_findings` (
  `cluster` string,
  `cluster_name` string,
  `kind` string,
  `subject` string,
  `detail` string,
  `first_seen` timestamp,
  `last_seen` timestamp,
  `count` bigint,
  `severity` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/token_findings/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
