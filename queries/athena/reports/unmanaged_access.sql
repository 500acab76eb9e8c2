CREATE OR REPLACE VIEW unmanaged_access AS
SELECT
    cluster, principal_arn, principal_id, username, identity_kind, via, impersonated_username, verb, api_group, resource,
    subresource, namespace, path,
    sum(count) AS used_count,
    min(first_seen) AS first_used,
    max(last_seen) AS last_used
FROM api_access
WHERE decision = 'allow' AND credited_grant_id IS NULL AND covering_grants = 0 AND NOT component
GROUP BY
    cluster, principal_arn, principal_id, username, identity_kind, via, impersonated_username, verb, api_group, resource,
    subresource, namespace, path
ORDER BY
    cluster NULLS LAST, principal_arn NULLS LAST, username NULLS LAST, verb NULLS LAST,
    api_group NULLS LAST, resource NULLS LAST, subresource NULLS LAST, namespace NULLS LAST,
    path NULLS LAST, via NULLS LAST, impersonated_username NULLS LAST, identity_kind NULLS LAST, principal_id NULLS LAST
