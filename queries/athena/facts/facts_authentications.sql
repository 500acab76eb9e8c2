CREATE EXTERNAL TABLE IF NOT EXISTS `facts_authentications` (
  `account` string,
  `hour` timestamp,
  `is_authentication` boolean,
  `event_source` string,
  `event_name` string,
  `region` string,
  `error` string,
  `data_event` boolean,
  `user_agent_family` string,
  `caller_kind` string,
  `principal_id` string,
  `arn` string,
  `caller_account` string,
  `access_key_id` string,
  `issuer_arn` string,
  `issuer_id` string,
  `issuer_name` string,
  `created_at` timestamp,
  `source_identity` string,
  `invoked_by` string,
  `user_name` string,
  `on_behalf_of` string,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
PARTITIONED BY (`p_account` string, `p_date` string)
STORED AS PARQUET
LOCATION '${LOCATION}/facts/authentications/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1',
  'projection.enabled' = 'true',
  'projection.p_account.type' = 'injected',
  'projection.p_date.type' = 'date',
  'projection.p_date.format' = 'yyyy-MM-dd',
  'projection.p_date.range' = 'NOW-3YEARS,NOW+1DAYS',
  'projection.p_date.interval' = '1',
  'projection.p_date.interval.unit' = 'DAYS'
)
