CREATE EXTERNAL TABLE IF NOT EXISTS `identities` (
  `cluster` string,
  `identity_kind` string,
  `principal_arn` string,
  `mapping_no` int,
  `principal_id` string,
  `iam_arn` string,
  `username` string,
  `groups` array<string>,
  `entry_type` string,
  `effective` boolean,
  `ineffective_reason` string,
  `created_at` timestamp,
  `created_by` string,
  `source` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/identities/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
