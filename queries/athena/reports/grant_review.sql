CREATE OR REPLACE VIEW grant_review AS
SELECT
    g.grant_id, g.cluster, g.cluster_name, g.grant_kind, g.identity_kind, g.principal, g.principal_id,
    g.grant_ref, g.role_ref, g.scope, g.namespaces, v.members, v.verdict, v.also, v.reason, v.detail, v.confidence, v.severity,
    v.age_days, v.coverage, v.window_start, v.window_end, v.first_used, v.last_used, v.last_authenticated, v.used_days,
    v.used_count, v.used_permissions, v.recommendation, v.recommended_policy, v.recommended_scope,
    v.recommended_namespaces, v.recommended_rbac, v.excess_before, v.excess_after, v.replay_denied,
    v.replay_breaks, v.recommendation_detail,
    g.valid_from, g.valid_to, g.granted_by, g.managed_by_aws, g.open_ended,
    v.suppressed, v.suppressed_by, v.suppressed_reason, v.suppressed_until
FROM grants g
JOIN verdicts v ON v.grant_id = g.grant_id
ORDER BY v.severity_rank DESC NULLS LAST, g.cluster NULLS LAST, g.principal NULLS LAST, g.grant_id NULLS LAST
