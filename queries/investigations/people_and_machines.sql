-- People and machines
-- Question: which principals are used by people, which by programs, and which by both?
-- Grain: one row a cluster, caller, user agent and kind. Reads: api_access, sessions.
-- looks_like: person = AWS names the person, or an OIDC user; machine = a ServiceAccount or a token of a pod or
-- pipeline; unclear = only the user agent speaks, which the caller chooses.
WITH seen AS (
    SELECT
        a.cluster, a.principal_arn, a.user_agent_family, a.session_id, a.hour, a.count,
        CASE
            WHEN s.person IS NOT NULL OR s.kind = 'saml' OR a.identity_kind = 'oidc' THEN 'person'
            WHEN a.identity_kind = 'service_account' OR s.kind IN ('web_identity', 'pod_identity', 'roles_anywhere')
                THEN 'machine'
            ELSE 'unclear'
        END AS looks_like
    FROM api_access a
    LEFT JOIN sessions s ON s.session_id = a.session_id
    WHERE NOT a.component
)
SELECT
    v.cluster, v.principal_arn, v.user_agent_family, v.looks_like,
    count(DISTINCT v.session_id) AS sessions,
    count(DISTINCT date_trunc('day', v.hour)) AS days,
    sum(v.count) AS requests
FROM seen v
GROUP BY v.cluster, v.principal_arn, v.user_agent_family, v.looks_like
ORDER BY v.cluster NULLS LAST, v.looks_like NULLS LAST, v.principal_arn NULLS LAST, v.user_agent_family NULLS LAST
