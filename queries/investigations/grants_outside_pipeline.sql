-- Grants made past the pipeline
-- Question: who made or changed a grant by hand, and who is behind that session?
-- Grain: one row a change that took effect. Reads: grant_changes, sessions.
-- pipeline = the callers that may change grants; put your own there, with UNION ALL for more than one.
WITH pipeline AS (
    SELECT 'arn:aws:iam::111122223333:role/ci-deployer' AS actor
)
SELECT
    c.cluster, c.at, c.change, c.subject, c.reference, c.names, c.namespaces, c.actor, s.session_name, s.person,
    c.invoked_by
FROM grant_changes c
LEFT JOIN pipeline p ON p.actor = c.actor
LEFT JOIN sessions s ON s.session_id = c.session_id
WHERE p.actor IS NULL
ORDER BY
    c.cluster NULLS LAST, c.at NULLS LAST, c.change NULLS LAST, c.subject NULLS LAST, c.reference NULLS LAST,
    c.names NULLS LAST, c.namespaces NULLS LAST, c.actor NULLS LAST, c.session_id NULLS LAST,
    c.invoked_by NULLS LAST
