-- Who read Secrets
-- Question: who read Secrets or tried to, in which namespace, and by whose grant?
-- Grain: one row a cluster, caller, namespace, name, verb, decision and grant. Reads: api_access, grants.
-- namespace empty = all namespaces at once; name empty = a list, which shows the contents of all.
-- grant_ref null = refused, or more than one grant covers it.
SELECT
    a.cluster, a.principal_arn, a.impersonated_username, a.namespace, a.name, a.verb, a.decision,
    g.principal AS granted_to, g.grant_ref, g.granted_by,
    sum(a.count) AS requests,
    min(a.first_seen) AS first_read,
    max(a.last_seen) AS last_read
FROM api_access a
LEFT JOIN grants g ON g.grant_id = a.credited_grant_id
WHERE a.resource = 'secrets' AND a.api_group = '' AND a.verb IN ('get', 'list', 'watch') AND NOT a.component
GROUP BY
    a.cluster, a.principal_arn, a.impersonated_username, a.namespace, a.name, a.verb, a.decision, g.principal, g.grant_ref,
    g.granted_by, g.grant_id
ORDER BY
    a.cluster NULLS LAST, a.decision NULLS LAST, a.principal_arn NULLS LAST, a.impersonated_username NULLS LAST,
    a.namespace NULLS LAST, a.name NULLS LAST, a.verb NULLS LAST, g.grant_id NULLS LAST
