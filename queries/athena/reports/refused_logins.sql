CREATE OR REPLACE VIEW refused_logins AS
SELECT
    cluster, arn, refusal,
    sum(count) AS refused_count,
    min(first_seen) AS first_refused,
    max(last_seen) AS last_refused
FROM logins
WHERE NOT granted
GROUP BY cluster, arn, refusal
ORDER BY cluster NULLS LAST, arn NULLS LAST, refusal NULLS LAST
