CREATE EXTERNAL TABLE IF NOT EXISTS `rejects` (
  `object` string,
  `reason` string,
  `count` bigint,
  `first_example` string
)
STORED AS PARQUET
LOCATION '${LOCATION}/tables/rejects/'
TBLPROPERTIES (
  'overgrant.schema_version' = '1'
)
