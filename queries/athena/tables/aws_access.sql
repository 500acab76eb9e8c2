CREATE EXTERNAL TABLE IF NOT EXISTS `aws_access` (
  `hour` timestamp,
  `account` string,
  `region` string,
  `role_arn` string,
  `session_id` string,
  `pod_namespace` string,
  `pod_service_account` string,
  `event_source` string,
  `event_name` string,
  `error` string,
  `data_event` boolean,
  `count` bigint,
  `first_seen` timestamp,
  `last_seen` timestamp
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/aws_access/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
