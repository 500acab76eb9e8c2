-- Generated. Views over a run's tables for DuckDB; run from the output folder:
--   duckdb -init tables/schema.sql
CREATE OR REPLACE VIEW run AS SELECT * FROM read_parquet('tables/run/*.parquet');
CREATE OR REPLACE VIEW identities AS SELECT * FROM read_parquet('tables/identities/*.parquet');
CREATE OR REPLACE VIEW grants AS SELECT * FROM read_parquet('tables/grants/*.parquet');
CREATE OR REPLACE VIEW grant_members AS SELECT * FROM read_parquet('tables/grant_members/*.parquet');
CREATE OR REPLACE VIEW grant_rules AS SELECT * FROM read_parquet('tables/grant_rules/*.parquet');
CREATE OR REPLACE VIEW sessions AS SELECT * FROM read_parquet('tables/sessions/*.parquet');
CREATE OR REPLACE VIEW session_keys AS SELECT * FROM read_parquet('tables/session_keys/*.parquet');
CREATE OR REPLACE VIEW session_tags AS SELECT * FROM read_parquet('tables/session_tags/*.parquet');
CREATE OR REPLACE VIEW authentications AS SELECT * FROM read_parquet('tables/authentications/*.parquet');
CREATE OR REPLACE VIEW group_sets AS SELECT * FROM read_parquet('tables/group_sets/*.parquet');
CREATE OR REPLACE VIEW api_access AS SELECT * FROM read_parquet('tables/api_access/*.parquet');
CREATE OR REPLACE VIEW aws_access AS SELECT * FROM read_parquet('tables/aws_access/*.parquet');
CREATE OR REPLACE VIEW grant_usage AS SELECT * FROM read_parquet('tables/grant_usage/*.parquet');
CREATE OR REPLACE VIEW member_usage AS SELECT * FROM read_parquet('tables/member_usage/*.parquet');
CREATE OR REPLACE VIEW coverage AS SELECT * FROM read_parquet('tables/coverage/*.parquet');
CREATE OR REPLACE VIEW rejects AS SELECT * FROM read_parquet('tables/rejects/*.parquet');
CREATE OR REPLACE VIEW notes AS SELECT * FROM read_parquet('tables/notes/*.parquet');
CREATE OR REPLACE VIEW auth_mode_rows AS SELECT * FROM read_parquet('tables/auth_mode_rows/*.parquet');
CREATE OR REPLACE VIEW auth_mode_plan AS SELECT * FROM read_parquet('tables/auth_mode_plan/*.parquet');
CREATE OR REPLACE VIEW token_findings AS SELECT * FROM read_parquet('tables/token_findings/*.parquet');
CREATE OR REPLACE VIEW grant_changes AS SELECT * FROM read_parquet('tables/grant_changes/*.parquet');
CREATE OR REPLACE VIEW logins AS SELECT * FROM read_parquet('tables/logins/*.parquet');
CREATE OR REPLACE VIEW verdicts AS SELECT * FROM read_parquet('tables/verdicts/*.parquet');
CREATE OR REPLACE VIEW proposals AS SELECT * FROM read_parquet('tables/proposals/*.parquet');
