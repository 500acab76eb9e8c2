// What is proposed as RBAC objects, in YAML that cannot be read as anything else.

const BARE = /^[A-Za-z][A-Za-z0-9./-]*$/;
const KEYWORD = /^(y|n|yes|no|true|false|on|off|null)$/i;

// A scalar: bare where it is a plain word, else in double quotes with everything odd escaped.
function yamlText(text) {
  const all = String(text);
  if (BARE.test(all) && !KEYWORD.test(all)) return all;
  const point = (c) => {
    const code = c.codePointAt(0);
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  };
  return JSON.stringify(all).replace(allSteers, point);
}

const yamlList = (texts) => `[${texts.map(yamlText).join(", ")}]`;

function yamlRule(part) {
  const lines = [
    ["apiGroups", part.api_groups],
    ["resources", part.resources],
    ["resourceNames", part.resource_names],
    ["nonResourceURLs", part.non_resource_urls],
    ["verbs", part.verbs],
  ].filter(([, texts]) => texts && texts.length).map(([key, texts]) => `${key}: ${yamlList(texts)}`);
  return lines.map((line, at) => `${at ? "  " : "- "}${line}`).join("\n");
}

// A Role for each namespace, a ClusterRole where something is for the cluster; empty without rules.
function rbacYaml(row, parts) {
  const places = new Map();
  for (const part of parts) {
    if (part.kind !== "role" && part.kind !== "cluster_role") continue;
    const where = part.kind === "role" ? part.namespaces || "" : null;
    if (!places.has(where)) places.set(where, []);
    places.get(where).push(part);
  }
  const documents = [...places].map(([where, rules]) => [
    "apiVersion: rbac.authorization.k8s.io/v1",
    `kind: ${where === null ? "ClusterRole" : "Role"}`,
    "metadata:",
    `  name: ${yamlText(`overgrant-${row.grant_id}`)}`,
    where === null ? null : `  namespace: ${yamlText(where)}`,
    "  labels:",
    "    app.kubernetes.io/managed-by: overgrant",
    "rules:",
    ...rules.map(yamlRule),
  ].filter((line) => line !== null).join("\n"));
  return documents.length ? `${documents.join("\n---\n")}\n` : "";
}
