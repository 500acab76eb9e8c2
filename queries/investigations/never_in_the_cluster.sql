-- Roles that CloudTrail saw and no cluster did
-- Question: which roles were assumed in the window and never came to a cluster?
-- Grain: one row a role and kind of session. Reads: sessions, authentications, api_access, grants.
-- logged_in = sessions that redeemed a token of EKS and then did nothing; grants = what it holds in clusters for that.
WITH logged AS (
    SELECT session_id, sum(count) AS redeemed
    FROM authentications
    GROUP BY session_id
),
callers AS (
    SELECT principal_arn, count(*) AS access_rows
    FROM api_access
    GROUP BY principal_arn
),
held AS (
    SELECT principal, count(*) AS grants
    FROM grants
    GROUP BY principal
)
SELECT
    s.role_arn, s.kind,
    count(*) AS sessions,
    count(DISTINCT s.source_principal) AS asked_by,
    sum(CASE WHEN l.redeemed IS NULL THEN 0 ELSE 1 END) AS logged_in,
    max(coalesce(h.grants, 0)) AS grants,
    min(s.issued_at) AS first_issued,
    max(s.issued_at) AS last_issued
FROM sessions s
LEFT JOIN callers c ON c.principal_arn = s.role_arn
LEFT JOIN logged l ON l.session_id = s.session_id
LEFT JOIN held h ON h.principal = s.role_arn
WHERE c.access_rows IS NULL AND s.role_arn <> ''
GROUP BY s.role_arn, s.kind
ORDER BY s.role_arn NULLS LAST, s.kind NULLS LAST
