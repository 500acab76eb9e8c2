CREATE EXTERNAL TABLE IF NOT EXISTS `api_access` (
  `cluster` string,
  `hour` timestamp,
  `principal_arn` string,
  `principal_id` string,
  `uid` string,
  `username` string,
  `groups_digest` string,
  `identity_kind` string,
  `component` boolean,
  `session_id` string,
  `join_confidence` string,
  `corroborated` boolean,
  `impersonated_username` string,
  `via` string,
  `verb` string,
  `api_group` string,
  `resource` string,
  `subresource` string,
  `namespace` string,
  `name` string,
  `path` string,
  `decision` string,
  `status_class` string,
  `credited_grant_id` string,
  `covering_grants` bigint,
  `user_agent_family` string,
  `source` string,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/api_access/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
