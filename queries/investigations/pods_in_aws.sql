-- What pods did in AWS
-- Question: which pod called which AWS API, with which role, and was it refused?
-- Grain: one row a role, pod and call. Reads: aws_access, sessions, session_tags.
-- Pod Identity tells the pod by session tags; IRSA tells the ServiceAccount by the subject of its token.
SELECT
    a.account, a.role_arn, s.kind, a.pod_namespace, a.pod_service_account, t.tag_value AS pod_name,
    s.web_identity_subject, a.event_source, a.event_name, a.error,
    count(DISTINCT a.session_id) AS sessions,
    sum(a.count) AS calls,
    min(a.first_seen) AS first_called,
    max(a.last_seen) AS last_called
FROM aws_access a
JOIN sessions s ON s.session_id = a.session_id
LEFT JOIN session_tags t ON t.session_id = a.session_id AND t.tag_key = 'kubernetes-pod-name'
WHERE s.kind = 'pod_identity' OR s.web_identity_subject LIKE 'system:serviceaccount:%'
GROUP BY
    a.account, a.role_arn, s.kind, a.pod_namespace, a.pod_service_account, t.tag_value, s.web_identity_subject,
    a.event_source, a.event_name, a.error
ORDER BY
    a.account NULLS LAST, a.role_arn NULLS LAST, s.kind NULLS LAST, a.pod_namespace NULLS LAST,
    a.pod_service_account NULLS LAST, t.tag_value NULLS LAST, s.web_identity_subject NULLS LAST,
    a.event_source NULLS LAST, a.event_name NULLS LAST, a.error NULLS LAST
