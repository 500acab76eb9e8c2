CREATE OR REPLACE VIEW denied_access AS
WITH callers AS (
    SELECT cluster, principal_arn, sum(count) AS allowed
    FROM api_access
    WHERE decision = 'allow' AND credited_grant_id IS NOT NULL
    GROUP BY cluster, principal_arn
)
SELECT
    a.cluster, a.principal_arn, a.principal_id, a.identity_kind, a.via, a.impersonated_username, a.verb, a.api_group, a.resource,
    a.subresource, a.namespace, a.path,
    CASE WHEN c.allowed IS NULL THEN 'probe' ELSE 'missing_grant' END AS kind,
    sum(a.count) AS denied_count,
    min(a.first_seen) AS first_denied,
    max(a.last_seen) AS last_denied
FROM api_access a
LEFT JOIN callers c ON c.cluster = a.cluster AND c.principal_arn = a.principal_arn
WHERE a.decision = 'forbid'
GROUP BY
    a.cluster, a.principal_arn, a.principal_id, a.identity_kind, a.via, a.impersonated_username, a.verb, a.api_group, a.resource,
    a.subresource, a.namespace, a.path, CASE WHEN c.allowed IS NULL THEN 'probe' ELSE 'missing_grant' END
ORDER BY
    a.cluster NULLS LAST, a.principal_arn NULLS LAST, a.verb NULLS LAST, a.api_group NULLS LAST,
    a.resource NULLS LAST, a.subresource NULLS LAST, a.namespace NULLS LAST, a.path NULLS LAST,
    a.via NULLS LAST, a.impersonated_username NULLS LAST, a.identity_kind NULLS LAST, a.principal_id NULLS LAST
