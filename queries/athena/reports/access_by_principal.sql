CREATE OR REPLACE VIEW access_by_principal AS
SELECT
    g.principal,
    g.identity_kind,
    count(DISTINCT g.cluster) AS clusters,
    count(DISTINCT CASE WHEN v.last_used IS NOT NULL THEN g.cluster END) AS clusters_used,
    count(DISTINCT CASE WHEN g.power = 'critical' THEN g.cluster END) AS admin_clusters,
    count(DISTINCT CASE WHEN g.power = 'critical' AND v.last_used IS NOT NULL THEN g.cluster END)
        AS admin_clusters_used,
    count(*) AS grants,
    sum(CASE WHEN v.verdict = 'used' THEN 1 ELSE 0 END) AS grants_used,
    sum(CASE WHEN v.verdict = 'over_scoped' THEN 1 ELSE 0 END) AS grants_over_scoped,
    sum(CASE WHEN v.verdict IN ('unused', 'redundant', 'ineffective') THEN 1 ELSE 0 END) AS grants_to_spare,
    max(v.severity_rank) AS severity_rank,
    min(v.first_used) AS first_used,
    max(v.last_used) AS last_used
FROM grants g
JOIN verdicts v ON v.grant_id = g.grant_id
WHERE g.effective AND NOT g.managed_by_aws
GROUP BY g.principal, g.identity_kind
ORDER BY max(v.severity_rank) DESC NULLS LAST, g.principal NULLS LAST, g.identity_kind NULLS LAST
