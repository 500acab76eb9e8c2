CREATE OR REPLACE VIEW token_hygiene AS
SELECT
    cluster, cluster_name, kind, subject, detail, severity, first_seen, last_seen, count
FROM token_findings
ORDER BY cluster NULLS LAST, kind NULLS LAST, subject NULLS LAST, detail NULLS LAST
