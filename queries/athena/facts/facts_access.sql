CREATE EXTERNAL TABLE IF NOT EXISTS `facts_access` (
  `cluster` string,
  `hour` timestamp,
  `via` int,
  `verb` string,
  `api_group` string,
  `resource` string,
  `subresource` string,
  `namespace` string,
  `name` string,
  `path` string,
  `decision` int,
  `reason` string,
  `status_class` int,
  `user_agent_family` string,
  `issued_credential_id` string,
  `token` int,
  `username` string,
  `uid` string,
  `groups` array<string>,
  `access_key_id` string,
  `principal_id` string,
  `session_name` string,
  `arn` string,
  `canonical_arn` string,
  `credential_id` string,
  `pod_name` string,
  `subject_username` string,
  `subject_uid` string,
  `subject_groups` array<string>,
  `name_capped` boolean,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
PARTITIONED BY (`p_cluster` string, `p_date` string)
STORED AS PARQUET
LOCATION '${LOCATION}/facts/access/'
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
