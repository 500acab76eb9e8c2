SELECT r.eventSource AS source, r.eventName AS name, r.userIdentity.sessionContext.sessionIssuer.arn AS issuer,
       substring(r.eventTime, 1, 13) AS hour, count() AS n
FROM file('${CORPUS}/**/*.json.gz', 'JSONEachRow', 'Records Array(Tuple(eventTime String, eventSource String, eventName String, userIdentity Tuple(sessionContext Tuple(sessionIssuer Tuple(arn String)))))') ARRAY JOIN Records AS r
WHERE source IN ('sts.amazonaws.com', 'eks.amazonaws.com', 'eks-auth.amazonaws.com', 'rolesanywhere.amazonaws.com')
   OR match(issuer, '(^|/)service-role-([0-9]|[1-5][0-9])$')
GROUP BY source, name, issuer, hour
SETTINGS max_threads = 2, input_format_json_ignore_unknown_keys_in_named_tuple = 1, input_format_json_defaults_for_missing_elements_in_named_tuple = 1
