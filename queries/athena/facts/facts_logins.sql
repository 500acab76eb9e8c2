CREATE EXTERNAL TABLE IF NOT EXISTS `facts_logins` (
  `cluster` string,
  `hour` timestamp,
  `granted` boolean,
  `arn` string,
  `principal_id` string,
  `username` string,
  `groups` array<string>,
  `refusal` string,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
PARTITIONED BY (`p_cluster` string, `p_date` string)
STORED AS PARQUET
LOCATION '${LOCATION}/facts/logins/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1',
  'projection.enabled' = 'true',
  'projection.p_cluster.type' = 'injected',
  'projection.p_date.type' = 'date',
  'projection.p_date.format' = 'yyyy-MM-dd',
  'projection.p_date.range' = 'NOW-3YEARS,NOW+1DAYS',
  'projection.p_date.interval' = '1',
  'projection.p_date.interval.unit' = 'DAYS'
)
