// The vocabulary of the reports, in words for people. Codes that are not known here are shown as they are.

const SEVERITIES = ["critical", "high", "medium", "low", "info"];
const SEVERITY = {
  critical: { mark: "◆", says: "the whole cluster" },
  high: { mark: "▲", says: "secrets, code or identities of the cluster; everything in a namespace" },
  medium: { mark: "■", says: "changes, or secrets of one namespace" },
  low: { mark: "▼", says: "reads of ordinary objects" },
  info: { mark: "·", says: "nothing to do" },
};

const VERDICTS = ["ineffective", "unobservable", "too_new", "unused", "redundant", "over_scoped", "used"];
const VERDICT = {
  ineffective: { label: "ineffective", mark: "⊘", says: "cannot be exercised" },
  unobservable: { label: "unobservable", mark: "?", says: "rules or evidence are missing" },
  too_new: { label: "too new", mark: "◔", says: "not used, too young to say" },
  unused: { label: "unused", mark: "○", says: "not used" },
  redundant: { label: "redundant", mark: "≡", says: "other grants cover all its use" },
  over_scoped: { label: "over-scoped", mark: "◐", says: "wider than its use" },
  used: { label: "used", mark: "●", says: "used as it is" },
};

const RECOMMENDATIONS = ["remove", "replace", "split", "narrow", "review", "keep"];
const RECOMMENDATION = {
  keep: { mark: "✓", says: "Leave it." },
  remove: { mark: "✕", says: "Delete it." },
  narrow: {
    mark: "↓",
    says: "The same policy with a smaller scope, or a smaller role in the binding's place.",
  },
  replace: { mark: "⇄", says: "Smaller predefined policies, exact RBAC, or both, in its place." },
  split: {
    mark: "÷",
    says: "Smaller grants in its place; and its users share nothing: each team, person or pod could have one of its own.",
  },
  review: { mark: "!", says: "A person must look." },
};

const KIND = {
  access_policy: "access policy",
  entry_group: "group of an access entry",
  aws_auth_group: "group of an aws-auth row",
  rbac_subject: "subject of a binding",
  superuser: "hidden cluster creator",
  pod_identity: "Pod Identity",
  irsa: "IRSA",
  none: "mapping without permission",
};

const IDENTITY = {
  access_entry: "access entry",
  aws_auth_role: "aws-auth role",
  aws_auth_user: "aws-auth user",
  aws_auth_account: "aws-auth account",
  oidc: "external OIDC",
  x509: "x509 certificate",
  service_account: "ServiceAccount",
  cluster_creator: "cluster creator",
};

const REASON = {
  no_use: "not one request",
  no_session: "no session was issued",
  no_token_redeemed: "no token was redeemed",
  in_use: "in use",
  too_new: "younger than the minimum age",
  coverage: "the logs have holes",
  no_logs: "no logs",
  inventory_hole: "the inventory has a hole",
  authenticated_no_audit_log: "its principal came, and there is no audit log",
  smaller_policy: "a smaller predefined policy fits",
  unused_sensitive: "a sensitive permission nobody used",
  few_cells: "exact RBAC needs at most half of its cells",
  covered_by_others: "other grants cover it",
};

const CONFIDENCE = {
  high: "high: nothing that it rests on is in doubt",
  medium: "medium: something that it rests on is likely, not certain",
  low: "low: look at the evidence before you act",
};

const CHANGE = {
  entry_made: "access entry made",
  entry_changed: "access entry changed",
  entry_deleted: "access entry deleted",
  policy_attached: "access policy attached",
  policy_detached: "access policy detached",
  pod_identity_made: "Pod Identity association made",
  pod_identity_changed: "Pod Identity association changed",
  pod_identity_deleted: "Pod Identity association deleted",
  provider_attached: "identity provider attached",
  provider_detached: "identity provider detached",
  identity_provider_changed: "identity provider changed",
  auth_mode_changed: "authentication mode changed",
  cluster_made: "cluster made",
  object_made: "object made",
  object_changed: "object changed",
  object_deleted: "object deleted",
};

const own = (table, key) => (Object.hasOwn(table, key) ? table[key] : undefined);
// Only what looks like a code is put in words.
const spaced = (code) => (/^[a-z0-9_]+$/.test(code) ? code.replaceAll("_", " ") : String(code));
const label = (table, code) => {
  const word = own(table, code);
  return (word && (word.label || (typeof word === "string" && word))) || spaced(code ?? "");
};
const mark = (table, code) => (own(table, code) || { mark: "?" }).mark;
// A class name is made only of a code that is known.
const classOf = (table, prefix, code) => (own(table, code) ? `${prefix}-${code}` : `${prefix}-other`);

const severityBadge = (row) =>
  el(`span.badge.${classOf(SEVERITY, "s", row.severity)}`, null,
    glyph(mark(SEVERITY, row.severity)), row.severity);
const verdictBadge = (row) =>
  el(`span.verdict.${classOf(VERDICT, "v", row.verdict)}`, null,
    glyph(mark(VERDICT, row.verdict)), label(VERDICT, row.verdict));
const recommendationBadge = (row) =>
  el(`span.rec.${classOf(RECOMMENDATION, "r", row.recommendation)}`, null,
    glyph(mark(RECOMMENDATION, row.recommendation)), label({}, row.recommendation));

// `AmazonEKSEditPolicy` of an access policy's ARN, `role/x` of a role's; everything else as it is.
const shortRef = (ref) => String(ref ?? "").split(":cluster-access-policy/").pop()
  .replace(/^arn:aws[a-z-]*:iam::\d+:(role|user)\/(?:.*\/)?/s, "$1/");

// A principal in two parts: what one calls it, and what tells it from others of that name.
function shortPrincipal(principal, identity) {
  const arn = /^arn:aws[a-z-]*:(?:iam|sts)::(\d*):([a-z-]+)\/(.+)$/s.exec(principal);
  if (!arn) return [principal, label(IDENTITY, identity || "") || "Kubernetes name"];
  const [, account, type, path] = arn;
  const cut = path.lastIndexOf("/");
  const folder = cut > 0 ? `${path.slice(0, cut)}/` : "";
  return [path.slice(cut + 1) || path, `${type} in ${account || "AWS"}${folder ? ` · ${folder}` : ""}`];
}

const list = (text) => (text ? String(text).split(",") : []);
const place = (scope, namespaces) =>
  scope === "cluster" || !namespaces ? "the cluster" : list(namespaces).join(", ");

// What would stand in its place, in a few words.
function target(row) {
  if (row.recommended_policy) {
    const policies = list(row.recommended_policy).map(shortRef).join(" + ");
    const where = row.recommended_scope === "mixed"
      ? `${place("namespace", row.recommended_namespaces)} and the cluster`
      : place(row.recommended_scope, row.recommended_namespaces);
    return `${policies} on ${where}`;
  }
  if (row.recommended_rbac && !["keep", "remove"].includes(row.recommendation)) {
    return `exact RBAC: ${row.recommended_rbac}`;
  }
  return row.recommendation_detail || "";
}
