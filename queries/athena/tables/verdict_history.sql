CREATE EXTERNAL TABLE IF NOT EXISTS `verdict_history` (
  `grant_id` string,
  `cluster` string,
  `verdict` string,
  `severity` string,
  `recommendation` string,
  `until` timestamp,
  `finding` boolean
)
STORED AS PARQUET
LOCATION '${LOCATION}/history/verdicts/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
