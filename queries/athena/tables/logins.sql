CREATE EXTERNAL TABLE IF NOT EXISTS `logins` (
  `cluster` string,
  `hour` timestamp,
  `granted` boolean,
  `arn` string,
  `username` string,
  `refusal` string,
  `groups` string,
  `principal_id` string,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/logins/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
