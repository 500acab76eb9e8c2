CREATE EXTERNAL TABLE IF NOT EXISTS `coverage` (
  `stream_kind` string,
  `cluster` string,
  `account` string,
  `region` string,
  `stream` string,
  `hour` timestamp,
  `objects` bigint,
  `events` bigint,
  `rejected` bigint,
  `covered` boolean,
  `digest_status` string,
  `count_exact` boolean
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/coverage/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
