-- The way from aws-auth to access entries
-- Question: what is left to do, in which order, and is mode API safe?
-- Grain: one row a cluster and step. Reads: auth_mode_plan.
-- api_safe: yes = nobody who came in in the window needs aws-auth; unknown = the logs or the inventory cannot say it.
-- Each change of the mode is one way; the command of switch_to_api is there only when it is safe.
SELECT
    cluster, cluster_name, mode, api_safe, step_no, step, subject, what, why, command, guardrail, blocking, done
FROM auth_mode_plan
ORDER BY cluster NULLS LAST, step_no NULLS LAST
