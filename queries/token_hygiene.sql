-- Tokens, certificates and OIDC
-- Question: which credentials live too long or cannot be taken back?
-- Grain: one row a finding. Reads: token_findings.
-- Tokens that a kubelet asked for are bound to a pod and rotated: they are findings beyond a day, others beyond an hour.
SELECT
    cluster, cluster_name, kind, subject, detail, severity, first_seen, last_seen, count
FROM token_findings
ORDER BY cluster NULLS LAST, kind NULLS LAST, subject NULLS LAST, detail NULLS LAST
