-- Refused requests
-- Question: what was refused, to whom, and is it a probe, a missing grant or one that went away?
-- Grain: one row a cluster, caller and permission. Reads: api_access.
-- kind, the first that holds:
--   granted_since = the same permission was allowed, first after the last refusal;
--   lost_grant = the same permission was allowed, last before the first refusal;
--   probe = nothing else of this caller was ever allowed by a grant, or ten and more permissions were refused to it,
--     each at most twice on average;
--   near_miss = the same verb and resource was allowed to it in another namespace, or for other names;
--   missing_grant = it has allowed use too.
-- severity: high = a probe at secrets, identities, tokens, code or rights; medium = the same, refused to somebody who is
-- at work, and lost grants.
WITH refused AS (
    SELECT
        cluster, principal_arn, principal_id, identity_kind, via, impersonated_username, verb, api_group, resource,
        subresource, namespace, path,
        coalesce(impersonated_username, '') AS acts_as,
        sum(count) AS denied_count,
        count(DISTINCT date_trunc('day', hour)) AS denied_days,
        count(DISTINCT user_agent_family) AS user_agents,
        min(user_agent_family) AS user_agent,
        min(first_seen) AS first_denied,
        max(last_seen) AS last_denied
    FROM api_access
    WHERE decision = 'forbid'
    GROUP BY
        cluster, principal_arn, principal_id, identity_kind, via, impersonated_username, verb, api_group, resource,
        subresource, namespace, path
),
allowed AS (
    SELECT
        cluster, principal_arn, via, coalesce(impersonated_username, '') AS acts_as, verb, api_group, resource,
        subresource, namespace, path,
        min(first_seen) AS first_allowed,
        max(last_seen) AS last_allowed
    FROM api_access
    WHERE decision = 'allow'
    GROUP BY
        cluster, principal_arn, via, coalesce(impersonated_username, ''), verb, api_group, resource, subresource,
        namespace, path
),
elsewhere AS (
    SELECT
        cluster, principal_arn, via, acts_as, verb, api_group, resource, subresource, path,
        count(*) AS namespaces,
        min(namespace) AS namespace
    FROM allowed
    GROUP BY cluster, principal_arn, via, acts_as, verb, api_group, resource, subresource, path
),
callers AS (
    SELECT cluster, principal_arn
    FROM api_access
    WHERE decision = 'allow' AND credited_grant_id IS NOT NULL
    GROUP BY cluster, principal_arn
),
spread AS (
    SELECT cluster, principal_arn, count(*) AS permissions, sum(denied_count) AS requests
    FROM refused
    GROUP BY cluster, principal_arn
),
judged AS (
    SELECT
        r.cluster, r.principal_arn, r.principal_id, r.identity_kind, r.via, r.impersonated_username, r.verb,
        r.api_group, r.resource, r.subresource, r.namespace, r.path, r.denied_count, r.denied_days, r.user_agents,
        r.user_agent, r.first_denied, r.last_denied,
        CASE
            WHEN a.first_allowed > r.last_denied THEN 'granted_since'
            WHEN a.last_allowed < r.first_denied THEN 'lost_grant'
            WHEN c.principal_arn IS NULL THEN 'probe'
            WHEN s.permissions >= 10 AND s.requests <= 2 * s.permissions THEN 'probe'
            WHEN e.namespaces IS NOT NULL THEN 'near_miss'
            ELSE 'missing_grant'
        END AS kind,
        CASE
            WHEN r.verb IN ('impersonate', 'escalate', 'bind') THEN TRUE
            WHEN r.api_group = '' AND r.resource = 'secrets' THEN TRUE
            WHEN r.api_group = '' AND r.resource = 'serviceaccounts' AND r.subresource = 'token' THEN TRUE
            WHEN r.api_group = '' AND r.resource = 'nodes' AND r.subresource = 'proxy' THEN TRUE
            WHEN r.api_group = '' AND r.resource = 'pods'
                AND r.subresource IN ('exec', 'attach', 'portforward', 'ephemeralcontainers') THEN TRUE
            WHEN r.api_group = 'rbac.authorization.k8s.io'
                AND r.verb IN ('create', 'update', 'patch', 'delete', 'deletecollection') THEN TRUE
            WHEN r.api_group = 'certificates.k8s.io' AND r.subresource = 'approval' THEN TRUE
            ELSE FALSE
        END AS sensitive,
        s.permissions AS denied_permissions,
        a.last_allowed AS last_allowed,
        e.namespace AS allowed_in
    FROM refused r
    LEFT JOIN callers c ON c.cluster = r.cluster AND c.principal_arn = r.principal_arn
    LEFT JOIN spread s ON s.cluster = r.cluster AND s.principal_arn = r.principal_arn
    LEFT JOIN allowed a ON a.cluster = r.cluster AND a.principal_arn = r.principal_arn AND a.via = r.via
        AND a.acts_as = r.acts_as AND a.verb = r.verb AND a.api_group = r.api_group AND a.resource = r.resource
        AND a.subresource = r.subresource AND a.namespace = r.namespace AND a.path = r.path
    LEFT JOIN elsewhere e ON e.cluster = r.cluster AND e.principal_arn = r.principal_arn AND e.via = r.via
        AND e.acts_as = r.acts_as AND e.verb = r.verb AND e.api_group = r.api_group AND e.resource = r.resource
        AND e.subresource = r.subresource AND e.path = r.path
)
SELECT
    cluster, principal_arn, principal_id, identity_kind, via, impersonated_username, verb, api_group, resource,
    subresource, namespace, path, kind,
    CASE
        WHEN kind = 'granted_since' THEN 'info'
        WHEN sensitive AND kind = 'probe' THEN 'high'
        WHEN sensitive OR kind = 'lost_grant' THEN 'medium'
        ELSE 'low'
    END AS severity,
    denied_count, denied_days, denied_permissions, user_agents, user_agent, first_denied, last_denied, last_allowed,
    allowed_in
FROM judged
ORDER BY
    cluster NULLS LAST, principal_arn NULLS LAST, verb NULLS LAST, api_group NULLS LAST, resource NULLS LAST,
    subresource NULLS LAST, namespace NULLS LAST, path NULLS LAST, via NULLS LAST, impersonated_username NULLS LAST,
    identity_kind NULLS LAST, principal_id NULLS LAST
