CREATE OR REPLACE VIEW ineffective_grants AS
SELECT
    v.severity, g.cluster_name, g.grant_kind, g.principal, g.grant_ref, g.role_ref, g.scope, g.namespaces,
    v.reason, v.detail, v.confidence, v.recommendation, g.ineffective_reason, v.age_days, v.last_used,
    v.also, g.open_ended, g.valid_from, g.valid_to, g.granted_by, g.principal_id, g.identity_kind, g.cluster, g.grant_id
FROM grants g
JOIN verdicts v ON v.grant_id = g.grant_id
WHERE v.verdict = 'ineffective' AND NOT g.managed_by_aws
ORDER BY v.severity_rank DESC NULLS LAST, g.cluster NULLS LAST, g.principal NULLS LAST, g.grant_id NULLS LAST
