CREATE OR REPLACE VIEW redundant_grants AS
SELECT
    v.severity, g.cluster_name, g.grant_kind, g.principal, g.grant_ref, g.role_ref, g.scope, g.namespaces,
    v.reason, v.detail, v.confidence, v.recommendation, v.used_permissions, v.used_days, v.last_used, v.coverage, v.members,
    v.also, g.open_ended, g.valid_from, g.principal_id, g.identity_kind, g.cluster, g.grant_id
FROM grants g
JOIN verdicts v ON v.grant_id = g.grant_id
WHERE v.verdict = 'redundant' AND NOT g.managed_by_aws
ORDER BY v.severity_rank DESC NULLS LAST, g.cluster NULLS LAST, g.principal NULLS LAST, g.grant_id NULLS LAST
