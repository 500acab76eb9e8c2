-- aws-auth rows and how to move them
-- Question: what must become an access entry before aws-auth can go?
-- Grain: one row an aws-auth row. Reads: auth_mode_rows.
SELECT
    cluster, cluster_name, kind, principal, row_no, username, groups, effective, ineffective_reason,
    movable, how, used, last_used, last_authenticated
FROM auth_mode_rows
ORDER BY cluster NULLS LAST, kind NULLS LAST, principal NULLS LAST, row_no NULLS LAST
