-- Namespaces that a principal needs
-- Question: where did each principal really work, beside what its widest grant allows?
-- Grain: one row a cluster, principal and namespace. Reads: api_access, grants.
-- namespace empty = a request across all namespaces, or for something that has none.
-- holds = cluster when one of the grants in its own name reaches the whole cluster, else namespace; null = it has
-- none in its own name, but by a group. cluster sorts before namespace, so the smallest is the widest.
WITH held AS (
    SELECT
        cluster, coalesce(principal_id, principal) AS who,
        min(CASE WHEN scope = 'cluster' THEN 'cluster' ELSE 'namespace' END) AS holds
    FROM grants
    WHERE effective
    GROUP BY cluster, coalesce(principal_id, principal)
)
SELECT
    a.cluster, a.principal_arn, h.holds, a.namespace,
    count(DISTINCT a.verb || ' ' || a.api_group || '/' || a.resource || '/' || a.subresource || ' ' || a.path) AS permissions,
    sum(CASE WHEN a.verb IN ('get', 'list', 'watch') THEN 0 ELSE a.count END) AS changes,
    sum(a.count) AS requests,
    count(DISTINCT date_trunc('day', a.hour)) AS days,
    max(a.last_seen) AS last_used
FROM api_access a
LEFT JOIN held h ON h.cluster = a.cluster AND h.who = coalesce(a.principal_id, a.principal_arn)
WHERE NOT a.component AND a.decision = 'allow' AND a.via = 'direct'
GROUP BY a.cluster, a.principal_arn, h.holds, a.namespace
ORDER BY a.cluster NULLS LAST, a.principal_arn NULLS LAST, a.namespace NULLS LAST, h.holds NULLS LAST
