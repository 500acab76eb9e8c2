-- Who acted as whom
-- Question: what did somebody do in another's name, and did the other's rights allow it?
-- Grain: one row a cluster, caller, impersonated user, session name and permission. Reads: api_access, sessions, grants.
-- granted_to = whose grant it was, the impersonated user's as a rule; null where refused or not told.
SELECT
    a.cluster, a.principal_arn, s.session_name, s.person, a.impersonated_username, a.verb, a.api_group, a.resource,
    a.subresource, a.namespace, a.path, a.decision, g.principal AS granted_to, g.grant_ref,
    sum(a.count) AS requests,
    min(a.first_seen) AS first_used,
    max(a.last_seen) AS last_used
FROM api_access a
LEFT JOIN sessions s ON s.session_id = a.session_id
LEFT JOIN grants g ON g.grant_id = a.credited_grant_id
WHERE a.via = 'impersonated'
GROUP BY
    a.cluster, a.principal_arn, s.session_name, s.person, a.impersonated_username, a.verb, a.api_group, a.resource,
    a.subresource, a.namespace, a.path, a.decision, g.principal, g.grant_ref, g.grant_id
ORDER BY
    a.cluster NULLS LAST, a.principal_arn NULLS LAST, s.session_name NULLS LAST, s.person NULLS LAST,
    a.impersonated_username NULLS LAST, a.verb NULLS LAST, a.api_group NULLS LAST, a.resource NULLS LAST,
    a.subresource NULLS LAST, a.namespace NULLS LAST, a.path NULLS LAST, a.decision NULLS LAST,
    g.grant_id NULLS LAST
