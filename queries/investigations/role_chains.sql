-- Role chains that reached a cluster
-- Question: who came by another role's session, and who stood at the other end?
-- Grain: one row a cluster, caller, session and the sessions before it, by role and name. Reads: api_access, sessions, session_tags.
-- asked_by = who asked for the first session shown: an ARN, a service or a web identity. Two steps back are shown.
SELECT
    a.cluster, a.principal_arn, s.session_name, s.how, p.role_arn AS by_role, p.session_name AS by_session,
    q.role_arn AS before_role, q.session_name AS before_session,
    coalesce(q.source_principal, p.source_principal) AS asked_by,
    coalesce(s.person, p.person, q.person) AS chain_person,
    t.tag_value AS team,
    count(DISTINCT s.session_id) AS sessions,
    sum(a.count) AS requests,
    sum(CASE WHEN a.decision = 'forbid' THEN a.count ELSE 0 END) AS refused,
    max(a.last_seen) AS last_used
FROM api_access a
JOIN sessions s ON s.session_id = a.session_id
JOIN sessions p ON p.session_id = s.parent_session_id
LEFT JOIN sessions q ON q.session_id = p.parent_session_id
LEFT JOIN session_tags t ON t.session_id = s.session_id AND t.tag_key = 'team'
GROUP BY
    a.cluster, a.principal_arn, s.session_name, s.how, p.role_arn, p.session_name, q.role_arn, q.session_name,
    coalesce(q.source_principal, p.source_principal), coalesce(s.person, p.person, q.person), t.tag_value
ORDER BY
    a.cluster NULLS LAST, a.principal_arn NULLS LAST, s.session_name NULLS LAST, s.how NULLS LAST,
    p.role_arn NULLS LAST, p.session_name NULLS LAST, q.role_arn NULLS LAST, q.session_name NULLS LAST,
    asked_by NULLS LAST, chain_person NULLS LAST, team NULLS LAST
