CREATE EXTERNAL TABLE IF NOT EXISTS `grant_members` (
  `grant_id` string,
  `principal_id` string,
  `username` string,
  `via_identity` string,
  `via_group` string,
  `source` string,
  `open_ended` boolean,
  `first_used` timestamp,
  `last_used` timestamp,
  `used_days` bigint
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/grant_members/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
