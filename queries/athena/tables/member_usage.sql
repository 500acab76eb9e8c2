CREATE EXTERNAL TABLE IF NOT EXISTS `member_usage` (
  `cluster` string,
  `principal_id` string,
  `username` string,
  `groups_digest` string,
  `via` string,
  `verb` string,
  `api_group` string,
  `resource` string,
  `subresource` string,
  `namespace` string,
  `name` string,
  `path` string,
  `grants` bigint,
  `first_used` timestamp,
  `last_used` timestamp,
  `used_days` bigint,
  `count` bigint
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/member_usage/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
