CREATE EXTERNAL TABLE IF NOT EXISTS `notes` (
  `cluster` string,
  `code` string,
  `grant_id` string,
  `what` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/notes/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
