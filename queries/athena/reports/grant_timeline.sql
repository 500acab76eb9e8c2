CREATE OR REPLACE VIEW grant_timeline AS
SELECT
    c.cluster, c.at, c.change, c.subject, c.reference, c.names, c.namespaces, c.actor, c.session_id, c.invoked_by
FROM grant_changes c
ORDER BY
    c.cluster NULLS LAST, c.at NULLS LAST, c.change NULLS LAST, c.subject NULLS LAST, c.reference NULLS LAST,
    c.names NULLS LAST, c.actor NULLS LAST, c.namespaces NULLS LAST, c.session_id NULLS LAST,
    c.invoked_by NULLS LAST
