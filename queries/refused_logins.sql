-- IAM principals that a cluster did not let in
-- Question: who came with a valid IAM token and was not mapped, or came too late?
-- Grain: one row a cluster, principal and refusal. Reads: logins.
SELECT
    cluster, arn, refusal,
    sum(count) AS refused_count,
    min(first_seen) AS first_refused,
    max(last_seen) AS last_refused
FROM logins
WHERE NOT granted
GROUP BY cluster, arn, refusal
ORDER BY cluster NULLS LAST, arn NULLS LAST, refusal NULLS LAST
