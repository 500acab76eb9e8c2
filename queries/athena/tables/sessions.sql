CREATE EXTERNAL TABLE IF NOT EXISTS `sessions` (
  `session_id` string,
  `kind` string,
  `role_arn` string,
  `role_id` string,
  `session_name` string,
  `how` string,
  `issued_at` timestamp,
  `expires_at` timestamp,
  `source_principal` string,
  `source_identity` string,
  `person` string,
  `tags` map<string,string>,
  `transitive_keys` array<string>,
  `parent_session_id` string,
  `minted_by` string,
  `web_identity_subject` string,
  `pod_namespace` string,
  `pod_service_account` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/sessions/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
