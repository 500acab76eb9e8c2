CREATE EXTERNAL TABLE IF NOT EXISTS `proposals` (
  `grant_id` string,
  `cluster` string,
  `candidate` string,
  `for_group` string,
  `part` int,
  `chosen` boolean,
  `kind` string,
  `policy_arn` string,
  `namespaces` string,
  `verbs` array<string>,
  `api_groups` array<string>,
  `resources` array<string>,
  `resource_names` array<string>,
  `non_resource_urls` array<string>,
  `excess` bigint
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/proposals/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
