CREATE EXTERNAL TABLE IF NOT EXISTS `run` (
  `since` timestamp,
  `until` timestamp,
  `tool_version` string,
  `schema_version` string,
  `policy_table_version` string,
  `clusters` bigint
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/run/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
