CREATE EXTERNAL TABLE IF NOT EXISTS `auth_mode_rows` (
  `cluster` string,
  `cluster_name` string,
  `kind` string,
  `principal` string,
  `row_no` int,
  `username` string,
  `groups` string,
  `effective` boolean,
  `ineffective_reason` string,
  `movable` boolean,
  `how` string,
  `used` boolean,
  `last_used` timestamp,
  `last_authenticated` timestamp,
  `action` string,
  `blocking` boolean,
  `iam_arn` string,
  `command` string,
  `guardrail` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/auth_mode_rows/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
