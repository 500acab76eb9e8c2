CREATE EXTERNAL TABLE IF NOT EXISTS `session_keys` (
  `session_id` string,
  `access_key_id` string,
  `first_seen` timestamp,
  `last_seen` timestamp
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/session_keys/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
