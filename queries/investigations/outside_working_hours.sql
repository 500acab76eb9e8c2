-- Use outside working hours
-- Question: who works at night or at the weekend, and does he change anything?
-- Grain: one row a cluster, caller, session name and time. Reads: api_access, sessions.
-- Working hours are 7 to 19 o'clock UTC, Monday to Friday: change the two numbers for your place.
-- The weekend is what comes 5 days after the start of the week: numbers of weekdays differ from engine to engine.
WITH timed AS (
    SELECT
        a.cluster, a.principal_arn, a.session_id, a.hour, a.verb, a.count, a.last_seen,
        CASE
            WHEN a.hour >= date_trunc('week', a.hour) + INTERVAL '5' DAY THEN 'weekend'
            WHEN extract(HOUR FROM a.hour) < 7 OR extract(HOUR FROM a.hour) >= 19 THEN 'night'
            ELSE 'work'
        END AS at_time
    FROM api_access a
    WHERE NOT a.component AND a.decision = 'allow'
)
SELECT
    t.cluster, t.principal_arn, s.session_name, s.person, t.at_time,
    count(DISTINCT date_trunc('day', t.hour)) AS days,
    sum(t.count) AS requests,
    sum(CASE WHEN t.verb IN ('get', 'list', 'watch') THEN 0 ELSE t.count END) AS changes,
    max(t.last_seen) AS last_used
FROM timed t
LEFT JOIN sessions s ON s.session_id = t.session_id
WHERE t.at_time <> 'work'
GROUP BY t.cluster, t.principal_arn, s.session_name, s.person, t.at_time
ORDER BY
    t.cluster NULLS LAST, t.principal_arn NULLS LAST, s.session_name NULLS LAST, s.person NULLS LAST,
    t.at_time NULLS LAST
