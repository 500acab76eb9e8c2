-- Ways into running workloads
-- Question: who opened a shell or a port in a pod, took a ServiceAccount's token or acted as one, and which person was it?
-- Grain: one row a cluster, caller, session name, way, namespace and name. Reads: api_access, sessions.
-- way: exec, attach, portforward, ephemeralcontainers, proxy, token (minted for a ServiceAccount), impersonate.
WITH ways AS (
    SELECT
        a.cluster, a.principal_arn, a.username, a.session_id, a.namespace, a.resource, a.name, a.decision, a.count,
        a.first_seen, a.last_seen,
        CASE WHEN a.verb = 'impersonate' THEN 'impersonate' ELSE a.subresource END AS way
    FROM api_access a
    WHERE NOT a.component
        AND (
            a.verb = 'impersonate'
            OR a.resource = 'pods' AND a.subresource IN ('exec', 'attach', 'portforward', 'ephemeralcontainers', 'proxy')
            OR a.resource = 'nodes' AND a.subresource = 'proxy'
            OR a.resource = 'serviceaccounts' AND a.subresource = 'token'
        )
)
SELECT
    w.cluster, w.principal_arn, w.username, s.session_name, s.person, w.way, w.resource, w.namespace, w.name, w.decision,
    count(DISTINCT w.session_id) AS sessions,
    sum(w.count) AS requests,
    min(w.first_seen) AS first_used,
    max(w.last_seen) AS last_used
FROM ways w
LEFT JOIN sessions s ON s.session_id = w.session_id
GROUP BY
    w.cluster, w.principal_arn, w.username, s.session_name, s.person, w.way, w.resource, w.namespace, w.name, w.decision
ORDER BY
    w.cluster NULLS LAST, w.principal_arn NULLS LAST, w.username NULLS LAST, s.session_name NULLS LAST,
    s.person NULLS LAST, w.way NULLS LAST, w.resource NULLS LAST, w.namespace NULLS LAST, w.name NULLS LAST,
    w.decision NULLS LAST
