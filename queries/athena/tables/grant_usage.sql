CREATE EXTERNAL TABLE IF NOT EXISTS `grant_usage` (
  `grant_id` string,
  `via` string,
  `verb` string,
  `api_group` string,
  `resource` string,
  `subresource` string,
  `namespace` string,
  `name` string,
  `path` string,
  `credited` boolean,
  `covered` boolean,
  `first_used` timestamp,
  `last_used` timestamp,
  `used_days` bigint,
  `count` bigint
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/grant_usage/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
