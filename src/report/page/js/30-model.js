// The data of the page: grants as objects with what the table, the filter and the order need.

const DATA = JSON.parse(byId("data").textContent);
const CLUSTERS = DATA.clusters || [];
const SINCE = time(DATA.window.since);
const UNTIL = time(DATA.window.until);
const rank = (names, name) => {
  const at = names.indexOf(name);
  return at < 0 ? names.length : at;
};

function grantsOf(table) {
  const columns = table.columns;
  return table.rows.map((values, index) => {
    const row = Object.create(null);
    columns.forEach((column, at) => {
      row[column] = values[at] === undefined ? null : values[at];
    });
    row.index = index;
    row.clusterName = (CLUSTERS[row.cluster] || { name: "?" }).name;
    [row.who, row.whoMore] = shortPrincipal(String(row.principal ?? ""), row.identity_kind);
    row.what = shortRef(row.grant_ref) || label(KIND, row.grant_kind);
    const role = row.role_ref && row.role_ref !== row.grant_ref ? ` → ${shortRef(row.role_ref)}` : "";
    const kind = row.grant_ref ? `${label(KIND, row.grant_kind)}${role} · ` : "";
    row.whatMore = `${kind}${place(row.scope, row.namespaces)}`;
    row.target = target(row);
    row.lastAt = time(row.last_used);
    // What the summary of a run counts as a finding.
    row.finding = !row.managed && row.suppressed === null && row.severity !== "info" &&
      (row.verdict !== "unobservable" || row.severity === "critical");
    return row;
  });
}
const sameName = new Map();
for (const { name } of CLUSTERS) sameName.set(name, (sameName.get(name) || 0) + 1);
// Names repeat across accounts and regions: empty where the name is enough.
function clusterMore({ arn, name }) {
  if (sameName.get(name) < 2) return "";
  const parts = /^arn:aws[a-z-]*:eks:([a-z0-9-]+):(\d+):/.exec(arn);
  return parts ? `${parts[2]} ${parts[1]}` : arn;
}
const clusterTitle = (cluster) =>
  clusterMore(cluster) ? `${cluster.name} (${clusterMore(cluster)})` : cluster.name;

const GRANTS = grantsOf(DATA.grants);
const byGrantId = new Map(GRANTS.map((row) => [String(row.grant_id), row]));
const MANY_CLUSTERS = CLUSTERS.length > 1;
const ANY_SUPPRESSED = GRANTS.some((row) => row.suppressed !== null);
const clusterWord = (index) => (CLUSTERS[index] || { name: "?" }).name;

// Columns of the table, and what each orders by; nothing known comes last both ways.
const COLUMNS = [
  { id: "severity", label: "Severity", key: (row) => rank(SEVERITIES, row.severity) },
  { id: "verdict", label: "Verdict", key: (row) => rank(VERDICTS, row.verdict) },
  { id: "cluster", label: "Cluster", key: (row) => row.clusterName, only: () => MANY_CLUSTERS },
  { id: "principal", label: "Principal", key: (row) => row.who.toLowerCase() },
  { id: "grant", label: "Grant", key: (row) => row.what.toLowerCase() },
  { id: "age", label: "Age", title: "Days since it could first be used", key: (row) => row.age_days },
  { id: "used", label: "Last used", key: (row) => row.lastAt },
  {
    id: "excess",
    label: "Excess",
    title: "Cells that it allows beyond its use, now and after what is recommended",
    key: (row) => row.excess_before,
  },
  { id: "do", label: "Recommendation", key: (row) => rank(RECOMMENDATIONS, row.recommendation) },
].filter((column) => !column.only || column.only());

// Everything that the free text is looked for in; made once a row.
const SEARCHED = [
  "grant_id", "principal", "grant_ref", "role_ref", "namespaces", "verdict", "also", "reason", "detail",
  "severity", "recommendation", "recommendation_detail", "recommended_policy", "recommended_rbac",
  "grant_kind", "identity_kind", "granted_by", "suppressed",
];
function hay(row) {
  if (row.hay === undefined) {
    const texts = SEARCHED.map((name) => row[name]).filter((text) => text !== null && text !== undefined);
    texts.push(row.clusterName, label(KIND, row.grant_kind), label(VERDICT, row.verdict));
    row.hay = visible(texts.join("\n").replaceAll("\n", " ")).toLowerCase();
  }
  return row.hay;
}

// Words, or "several words"; all must be there. A quote that is not closed yet reaches to the end.
function terms(text) {
  const found = [];
  for (const [, quoted, bare] of text.matchAll(/"([^"]*)"?|(\S+)/g)) {
    const term = visible(quoted ?? bare).toLowerCase();
    if (term) found.push(term);
  }
  return found;
}

function filtered(state) {
  const words = terms(state.q);
  const column = COLUMNS.find((one) => one.id === state.sort);
  const rows = GRANTS.filter((row) =>
    (!state.cluster || CLUSTERS[row.cluster]?.arn === state.cluster) &&
    (!state.verdict || row.verdict === state.verdict) &&
    (!state.severity || row.severity === state.severity) &&
    (!state.rec || row.recommendation === state.rec) &&
    (!state.kind || row.grant_kind === state.kind) &&
    (!state.findings || row.finding) &&
    (!state.hideManaged || !row.managed) &&
    (!state.hideSuppressed || row.suppressed === null) &&
    words.every((word) => hay(row).includes(word)));
  return column ? ordered(rows, column.key, state.desc) : rows;
}

function ordered(rows, key, descending) {
  const keyed = rows.map((row) => [key(row), row]);
  keyed.sort(([a, one], [b, other]) => {
    const none = (a === null || a === undefined) - (b === null || b === undefined);
    if (none) return none;
    // Rows come worst first, and stay so where the key is the same.
    if (a === b || a === null || a === undefined) return one.index - other.index;
    return (a < b ? -1 : 1) * (descending ? -1 : 1);
  });
  return keyed.map(([, row]) => row);
}
