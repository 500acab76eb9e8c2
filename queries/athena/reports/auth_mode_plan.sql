CREATE OR REPLACE VIEW auth_mode_plan AS
SELECT
    cluster, cluster_name, mode, api_safe, step_no, step, subject, what, why, command, guardrail, blocking, done
FROM auth_mode_plan
ORDER BY cluster NULLS LAST, step_no NULLS LAST
