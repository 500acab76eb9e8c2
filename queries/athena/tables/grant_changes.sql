CREATE EXTERNAL TABLE IF NOT EXISTS `grant_changes` (
  `cluster` string,
  `at` timestamp,
  `change` string,
  `subject` string,
  `reference` string,
  `names` string,
  `namespaces` string,
  `actor` string,
  `session_id` string,
  `invoked_by` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/grant_changes/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
