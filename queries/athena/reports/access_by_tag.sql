CREATE OR REPLACE VIEW access_by_tag AS
SELECT
    a.cluster, a.principal_arn, t.tag_key, t.tag_value, a.namespace, a.verb, a.api_group, a.resource,
    a.subresource, a.path,
    count(*) AS access_rows,
    sum(a.count) AS used_count,
    min(a.first_seen) AS first_used,
    max(a.last_seen) AS last_used
FROM api_access a
JOIN session_tags t ON t.session_id = a.session_id
WHERE a.decision = 'allow' AND a.via <> 'delegated'
GROUP BY
    a.cluster, a.principal_arn, t.tag_key, t.tag_value, a.namespace, a.verb, a.api_group, a.resource,
    a.subresource, a.path
ORDER BY
    a.cluster NULLS LAST, a.principal_arn NULLS LAST, t.tag_key NULLS LAST, t.tag_value NULLS LAST,
    a.namespace NULLS LAST, a.verb NULLS LAST, a.api_group NULLS LAST, a.resource NULLS LAST,
    a.subresource NULLS LAST, a.path NULLS LAST
