-- New behaviour in the last week
-- Question: what did somebody do in the last 7 days that he had not done before in the window?
-- Grain: one row a cluster, caller, verb, resource and namespace. Reads: run, api_access.
-- caller_is_new = nothing at all of this caller is older than that.
WITH firsts AS (
    SELECT
        cluster, principal_arn, verb, api_group, resource, subresource, namespace, path, decision,
        min(first_seen) AS first_used,
        sum(count) AS requests
    FROM api_access
    WHERE NOT component
    GROUP BY cluster, principal_arn, verb, api_group, resource, subresource, namespace, path, decision
),
callers AS (
    SELECT cluster, principal_arn, min(first_used) AS first_seen
    FROM firsts
    GROUP BY cluster, principal_arn
)
SELECT
    f.cluster, f.principal_arn, c.first_seen >= r.until - INTERVAL '7' DAY AS caller_is_new, f.first_used, f.verb,
    f.api_group, f.resource, f.subresource, f.namespace, f.path, f.decision, f.requests
FROM firsts f
JOIN callers c ON c.cluster = f.cluster AND c.principal_arn = f.principal_arn
CROSS JOIN run r
WHERE f.first_used >= r.until - INTERVAL '7' DAY
ORDER BY
    f.cluster NULLS LAST, f.principal_arn NULLS LAST, f.first_used NULLS LAST, f.verb NULLS LAST,
    f.api_group NULLS LAST, f.resource NULLS LAST, f.subresource NULLS LAST, f.namespace NULLS LAST,
    f.path NULLS LAST, f.decision NULLS LAST
