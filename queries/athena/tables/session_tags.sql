CREATE EXTERNAL TABLE IF NOT EXISTS `session_tags` (
  `session_id` string,
  `tag_key` string,
  `tag_value` string,
  `inherited` boolean
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/session_tags/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
