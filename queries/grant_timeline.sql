-- How grants came and went
-- Question: who made, changed or took away which grant, and when?
-- Grain: one row a change that took effect. Reads: grant_changes.
-- The column is c.at: a bare at is a keyword to some engines.
SELECT
    c.cluster, c.at, c.change, c.subject, c.reference, c.names, c.namespaces, c.actor, c.session_id, c.invoked_by
FROM grant_changes c
ORDER BY
    c.cluster NULLS LAST, c.at NULLS LAST, c.change NULLS LAST, c.subject NULLS LAST, c.reference NULLS LAST,
    c.names NULLS LAST, c.actor NULLS LAST, c.namespaces NULLS LAST, c.session_id NULLS LAST,
    c.invoked_by NULLS LAST
