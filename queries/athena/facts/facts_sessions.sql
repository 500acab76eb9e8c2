CREATE EXTERNAL TABLE IF NOT EXISTS `facts_sessions` (
  `account` string,
  `issued_at` timestamp,
  `region` string,
  `issued_by` string,
  `role_arn` string,
  `role_id` string,
  `session_name` string,
  `access_key_id` string,
  `expires_at` timestamp,
  `source_identity` string,
  `tags` map<string,string>,
  `transitive_keys` array<string>,
  `provider` string,
  `subject` string,
  `shared_event_id` string,
  `error` string,
  `caller_kind` string,
  `caller_principal_id` string,
  `caller_arn` string,
  `caller_account` string,
  `caller_access_key_id` string,
  `caller_issuer_arn` string,
  `caller_issuer_id` string,
  `caller_issuer_name` string,
  `caller_created_at` timestamp,
  `caller_source_identity` string,
  `caller_invoked_by` string,
  `caller_user_name` string,
  `caller_on_behalf_of` string
)
PARTITIONED BY (`p_account` string, `p_date` string)
STORED AS PARQUET
LOCATION '${LOCATION}/facts/sessions/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1',
  'projection.enabled' = 'true',
  'projection.p_account.type' = 'injected',
  'projection.p_date.type' = 'date',
  'projection.p_date.format' = 'yyyy-MM-dd',
  'projection.p_date.range' = 'NOW-3YEARS,NOW+1DAYS',
  'projection.p_date.interval' = '1',
  'projection.p_date.interval.unit' = 'DAYS'
)
