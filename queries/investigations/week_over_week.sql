-- This week and the week before
-- Question: who does more, less or other things than a week ago?
-- Grain: one row a cluster and caller. Reads: run, api_access.
-- A week is the last 7 days of the window; permissions = distinct verbs on resources of a namespace.
WITH weeks AS (
    SELECT
        a.cluster, a.principal_arn, a.decision, a.count,
        a.verb || ' ' || a.api_group || '/' || a.resource || '/' || a.subresource || ' ' || a.namespace || ' ' || a.path
            AS permission,
        CASE WHEN a.hour >= r.until - INTERVAL '7' DAY THEN 1 ELSE 0 END AS this_week
    FROM api_access a
    CROSS JOIN run r
    WHERE NOT a.component AND a.hour >= r.until - INTERVAL '14' DAY
)
SELECT
    w.cluster, w.principal_arn,
    sum(CASE WHEN w.this_week = 1 THEN w.count ELSE 0 END) AS requests,
    sum(CASE WHEN w.this_week = 0 THEN w.count ELSE 0 END) AS requests_before,
    sum(CASE WHEN w.this_week = 1 AND w.decision = 'forbid' THEN w.count ELSE 0 END) AS refused,
    sum(CASE WHEN w.this_week = 0 AND w.decision = 'forbid' THEN w.count ELSE 0 END) AS refused_before,
    count(DISTINCT CASE WHEN w.this_week = 1 THEN w.permission END) AS permissions,
    count(DISTINCT CASE WHEN w.this_week = 0 THEN w.permission END) AS permissions_before
FROM weeks w
GROUP BY w.cluster, w.principal_arn
ORDER BY w.cluster NULLS LAST, w.principal_arn NULLS LAST
