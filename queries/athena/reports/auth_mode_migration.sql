CREATE OR REPLACE VIEW auth_mode_migration AS
SELECT
    cluster, cluster_name, kind, principal, row_no, action, blocking, username, groups, effective,
    ineffective_reason, movable, how, used, last_used, last_authenticated, iam_arn, command, guardrail
FROM auth_mode_rows
ORDER BY cluster NULLS LAST, kind NULLS LAST, principal NULLS LAST, row_no NULLS LAST
