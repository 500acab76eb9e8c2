SET threads = 2;
SET preserve_insertion_order = false;
COPY (
  SELECT r.eventSource AS source, r.eventName AS name,
         coalesce(r.userIdentity.sessionContext.sessionIssuer.arn, '') AS issuer,
         r.eventTime[:13] AS hour, count(*) AS n
  FROM (SELECT unnest(x.Records) AS r FROM (SELECT json_transform(json, '{"Records":[{"eventTime":"VARCHAR","eventSource":"VARCHAR","eventName":"VARCHAR","userIdentity":{"sessionContext":{"sessionIssuer":{"arn":"VARCHAR"}}}}]}') AS x FROM read_json_objects('${CORPUS}/**/*.json.gz', format = 'newline_delimited', maximum_object_size = 20400000)))
  WHERE r.eventSource IN ('sts.amazonaws.com', 'eks.amazonaws.com', 'eks-auth.amazonaws.com', 'rolesanywhere.amazonaws.com')
     OR regexp_full_match(split_part(coalesce(r.userIdentity.sessionContext.sessionIssuer.arn, ''), '/', -1), 'service-role-([0-9]|[1-5][0-9])')
  GROUP BY ALL
) TO '${OUT}' (FORMAT csv, DELIMITER '\t', HEADER false);
