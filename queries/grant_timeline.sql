-- How grants came and went
-- Question: who made, changed or took away which grant, and when?
-- Grain: one row a change that took effect. Reads: grant_changes.
SELECT
    cluster, at, change, subject, reference, names, namespaces, actor, session_id, invoked_by
FROM grant_changes
ORDER BY
    cluster NULLS LAST, at NULLS LAST, change NULLS LAST, subject NULLS LAST, reference NULLS LAST,
    names NULLS LAST, actor NULLS LAST, namespaces NULLS LAST, session_id NULLS LAST
