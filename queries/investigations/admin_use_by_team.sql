-- Cluster-admin in the last week, by team
-- Question: who used a grant that can do everything, for which team, and what for?
-- Grain: one row a cluster, caller, grant, team, namespace, verb and resource. Reads: run, api_access, grants, session_tags.
-- A request that several grants allow counts where the log names the one that did.
-- team = the session tag of that key; null where the session has none or is not known.
SELECT
    g.cluster_name, a.principal_arn, g.grant_ref, t.tag_value AS team, a.namespace, a.verb, a.api_group, a.resource,
    a.subresource,
    sum(a.count) AS used_count,
    max(a.last_seen) AS last_used
FROM api_access a
CROSS JOIN run r
JOIN grants g ON g.grant_id = a.credited_grant_id
LEFT JOIN session_tags t ON t.session_id = a.session_id AND t.tag_key = 'team'
WHERE g.power = 'critical' AND NOT a.component AND a.decision = 'allow' AND a.hour >= r.until - INTERVAL '7' DAY
GROUP BY
    a.cluster, g.cluster_name, a.principal_arn, g.grant_id, g.grant_ref, t.tag_value, a.namespace, a.verb, a.api_group,
    a.resource, a.subresource
ORDER BY
    a.cluster NULLS LAST, a.principal_arn NULLS LAST, g.grant_ref NULLS LAST, t.tag_value NULLS LAST,
    a.namespace NULLS LAST, a.resource NULLS LAST, a.verb NULLS LAST, a.api_group NULLS LAST,
    a.subresource NULLS LAST, g.grant_id NULLS LAST
