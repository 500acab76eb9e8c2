CREATE EXTERNAL TABLE IF NOT EXISTS `grant_rules` (
  `cluster` string,
  `role_ref` string,
  `rule_no` int,
  `api_groups` array<string>,
  `resources` array<string>,
  `resource_names` array<string>,
  `non_resource_urls` array<string>,
  `verbs` array<string>
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/grant_rules/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
