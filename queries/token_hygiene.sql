-- Tokens, certificates and OIDC
-- Question: which credentials live too long or cannot be taken back?
-- Grain: one row a finding. Reads: token_findings.
SELECT
    cluster, cluster_name, kind, subject, detail, severity, first_seen, last_seen, count
FROM token_findings
ORDER BY cluster NULLS LAST, kind NULLS LAST, subject NULLS LAST
