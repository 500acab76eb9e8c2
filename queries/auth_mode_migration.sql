-- aws-auth rows and how to move them
-- Question: what must become an access entry before aws-auth can go?
-- Grain: one row an aws-auth row. Reads: auth_mode_rows.
-- action: drop, create_entry, replace (the entry gives as much by another way), rebind_first (an entry cannot carry
-- its groups), find_arn (its path is not known), cannot_move, already_moved. guardrail: the IAM policy of a role that
-- may run the command and make no other entry.
SELECT
    cluster, cluster_name, kind, principal, row_no, action, blocking, username, groups, effective,
    ineffective_reason, movable, how, used, last_used, last_authenticated, iam_arn, command, guardrail
FROM auth_mode_rows
ORDER BY cluster NULLS LAST, kind NULLS LAST, principal NULLS LAST, row_no NULLS LAST
