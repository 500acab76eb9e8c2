CREATE EXTERNAL TABLE IF NOT EXISTS `facts_changes` (
  `cluster` string,
  `at` timestamp,
  `change` string,
  `subject` string,
  `reference` string,
  `association_id` string,
  `names` array<string>,
  `replaces` boolean,
  `namespaces` array<string>,
  `username` string,
  `entry_type` string,
  `actor` string,
  `actor_access_key_id` string,
  `invoked_by` string
)
PARTITIONED BY (`p_cluster` string, `p_date` string)
STORED AS PARQUET
LOCATION '${LOCATION}/facts/changes/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1',
  'projection.enabled' = 'true',
  'projection.p_cluster.type' = 'injected',
  'projection.p_date.type' = 'date',
  'projection.p_date.format' = 'yyyy-MM-dd',
  'projection.p_date.range' = 'NOW-3YEARS,NOW+1DAYS',
  'projection.p_date.interval' = '1',
  'projection.p_date.interval.unit' = 'DAYS'
)
