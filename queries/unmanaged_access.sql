-- Use by someone with no grant in the inventory
-- Question: who gets in by a way that the inventory does not show, and what explains it?
-- Grain: one row a cluster, caller, way, verb and resource. Reads: api_access, sessions, grant_changes.
-- explanation, the first that holds: x509 and oidc = how the caller came in; deleted_entry = its access entry or a policy
-- of it was taken away after the first use; cluster_creator = the hidden mapping of who made the cluster; sso = a role of
-- IAM Identity Center; service_linked = a role of an AWS service; no_rule = it has a mapping, and no grant of it covers
-- the use; service_account, node, anonymous = what its name says; unknown_role and unknown_user = an IAM principal that
-- no mapping names.
WITH uses AS (
    SELECT
        a.cluster, a.principal_arn, a.principal_id, a.username, a.identity_kind, a.via, a.impersonated_username, a.verb,
        a.api_group, a.resource, a.subresource, a.namespace, a.path,
        sum(a.count) AS used_count,
        count(DISTINCT date_trunc('day', a.hour)) AS used_days,
        count(DISTINCT a.session_id) AS sessions,
        count(DISTINCT s.person) AS persons,
        min(s.person) AS person,
        min(a.user_agent_family) AS user_agent,
        min(a.first_seen) AS first_used,
        max(a.last_seen) AS last_used
    FROM api_access a
    LEFT JOIN sessions s ON s.session_id = a.session_id
    WHERE a.decision = 'allow' AND a.credited_grant_id IS NULL AND a.covering_grants = 0 AND NOT a.component
    GROUP BY
        a.cluster, a.principal_arn, a.principal_id, a.username, a.identity_kind, a.via, a.impersonated_username, a.verb,
        a.api_group, a.resource, a.subresource, a.namespace, a.path
),
taken AS (
    SELECT g.cluster, g.subject, max(g.at) AS taken_at
    FROM grant_changes g
    WHERE g.change IN ('entry_deleted', 'policy_detached')
    GROUP BY g.cluster, g.subject
)
SELECT
    u.cluster, u.principal_arn, u.principal_id, u.username, u.identity_kind, u.via, u.impersonated_username, u.verb,
    u.api_group, u.resource, u.subresource, u.namespace, u.path,
    CASE
        WHEN u.identity_kind IN ('x509', 'oidc') THEN u.identity_kind
        WHEN t.taken_at >= u.first_used THEN 'deleted_entry'
        WHEN u.identity_kind = 'cluster_creator' OR u.username = 'kubernetes-admin' THEN 'cluster_creator'
        WHEN u.principal_arn LIKE 'arn:%:role/%AWSReservedSSO_%' THEN 'sso'
        WHEN u.principal_arn LIKE 'arn:%:role/aws-service-role/%' THEN 'service_linked'
        WHEN u.principal_arn LIKE 'arn:%:role/AWSServiceRoleFor%' THEN 'service_linked'
        WHEN u.username LIKE 'system:serviceaccount:%' THEN 'service_account'
        WHEN u.username LIKE 'system:node:%' THEN 'node'
        WHEN u.username IN ('', 'system:anonymous') THEN 'anonymous'
        WHEN u.identity_kind IS NOT NULL THEN 'no_rule'
        WHEN u.principal_arn LIKE 'arn:%:role/%' THEN 'unknown_role'
        WHEN u.principal_arn LIKE 'arn:%' THEN 'unknown_user'
        ELSE 'unknown'
    END AS explanation,
    u.used_count, u.used_days, u.sessions, u.persons, u.person, u.user_agent, u.first_used, u.last_used,
    t.taken_at
FROM uses u
LEFT JOIN taken t ON t.cluster = u.cluster AND t.subject = u.principal_arn
ORDER BY
    u.cluster NULLS LAST, u.principal_arn NULLS LAST, u.username NULLS LAST, u.verb NULLS LAST, u.api_group NULLS LAST,
    u.resource NULLS LAST, u.subresource NULLS LAST, u.namespace NULLS LAST, u.path NULLS LAST, u.via NULLS LAST,
    u.impersonated_username NULLS LAST, u.identity_kind NULLS LAST, u.principal_id NULLS LAST
