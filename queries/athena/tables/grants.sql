CREATE EXTERNAL TABLE IF NOT EXISTS `grants` (
  `grant_id` string,
  `cluster` string,
  `cluster_name` string,
  `grant_kind` string,
  `identity_kind` string,
  `subject_kind` string,
  `principal` string,
  `principal_id` string,
  `grant_ref` string,
  `role_ref` string,
  `scope` string,
  `namespaces` string,
  `effective` boolean,
  `ineffective_reason` string,
  `power` string,
  `valid_from` timestamp,
  `valid_to` timestamp,
  `granted_by` string,
  `managed_by_aws` boolean,
  `open_ended` boolean
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/grants/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
