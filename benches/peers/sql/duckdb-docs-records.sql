SET threads = 2;
COPY (
  SELECT r.eventSource AS source, r.eventName AS name,
         coalesce(r.userIdentity.sessionContext.sessionIssuer.arn, '') AS issuer,
         r.eventTime[:13] AS hour, count(*) AS n
  FROM (
    SELECT unnest(Records) AS r
    FROM read_json('${CORPUS}/**/*.json.gz',
      columns = {Records: 'STRUCT(eventTime VARCHAR, eventSource VARCHAR, eventName VARCHAR, userIdentity STRUCT(sessionContext STRUCT(sessionIssuer STRUCT(arn VARCHAR))))[]'},
      records = true, maximum_object_size = 33554432)
  )
  WHERE r.eventSource IN ('sts.amazonaws.com', 'eks.amazonaws.com', 'eks-auth.amazonaws.com', 'rolesanywhere.amazonaws.com')
     OR regexp_full_match(split_part(coalesce(r.userIdentity.sessionContext.sessionIssuer.arn, ''), '/', -1), 'service-role-([0-9]|[1-5][0-9])')
  GROUP BY ALL
) TO '${OUT}' (FORMAT csv, DELIMITER '\t', HEADER false);
