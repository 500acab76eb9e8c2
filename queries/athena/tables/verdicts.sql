CREATE EXTERNAL TABLE IF NOT EXISTS `verdicts` (
  `grant_id` string,
  `cluster` string,
  `verdict` string,
  `also` string,
  `reason` string,
  `detail` string,
  `confidence` string,
  `severity` string,
  `severity_rank` bigint,
  `age_days` bigint,
  `coverage` double,
  `window_start` timestamp,
  `window_end` timestamp,
  `members` bigint,
  `first_used` timestamp,
  `last_used` timestamp,
  `last_authenticated` timestamp,
  `used_days` bigint,
  `used_count` bigint,
  `used_permissions` bigint,
  `recommendation` string,
  `recommendation_detail` string,
  `recommended_policy` string,
  `recommended_scope` string,
  `recommended_namespaces` string,
  `recommended_rbac` string,
  `excess_before` bigint,
  `excess_after` bigint,
  `replay_denied` bigint,
  `replay_breaks` string,
  `suppressed` boolean,
  `suppressed_by` string,
  `suppressed_reason` string,
  `suppressed_until` timestamp
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/verdicts/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
