CREATE EXTERNAL TABLE IF NOT EXISTS `authentications` (
  `hour` timestamp,
  `account` string,
  `principal_id` string,
  `session_id` string,
  `region` string,
  `user_agent_family` string,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/authentications/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
