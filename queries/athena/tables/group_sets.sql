CREATE EXTERNAL TABLE IF NOT EXISTS `group_sets` (
  `groups_digest` string,
  `groups` array<string>
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/group_sets/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
