CREATE EXTERNAL TABLE IF NOT EXISTS `auth_mode_plan` (
  `cluster` string,
  `cluster_name` string,
  `mode` string,
  `api_safe` string,
  `step_no` int,
  `step` string,
  `subject` string,
  `what` string,
  `why` string,
  `command` string,
  `guardrail` string,
  `blocking` boolean,
  `done` boolean
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/auth_mode_plan/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
