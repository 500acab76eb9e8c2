// The evidence of one grant, in a drawer beside the table.

const drawer = byId("drawer");
let drawerAt = -1;

const section = (title, ...body) => el("section", null, el("h3", null, title), body);

function facts(pairs) {
  return el("dl.pairs", null, pairs.filter(([, what]) => what !== null && what !== undefined && what !== "")
    .map(([title, what]) => el("div", null, el("dt", null, title), el("dd", null, what))));
}

// A word for a shell: bare where it is plain, else quoted.
const shellWord = (text) => {
  const safe = visible(text);
  return /^[\w.:/-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", "'\\''")}'`;
};
const explainCommand = (row) => `overgrant explain ${shellWord(row.grant_id)} --from OUT`;
const remediateCommand = (rows) =>
  `overgrant remediate --from OUT --to bundle --only ${rows.map((row) => shellWord(row.grant_id)).join(" ")}`;

const commandLine = (command, what) =>
  el("div.command", null, el("code", null, command), copyButton("Copy", what, () => command));

function whySection(row) {
  const also = list(row.also).map((verdict) => label(VERDICT, verdict.trim()));
  return section("Why",
    el("p.lead", null, `${label(VERDICT, row.verdict)}: ${(own(VERDICT, row.verdict) || { says: "" }).says}`),
    row.detail ? el("p", null, row.detail) : null,
    row.reason ? el("p.chips", null, list(row.reason).map((code) =>
      el("span.chip", { title: code }, label(REASON, code.trim())))) : null,
    also.length ? el("p", null, `Also ${also.join(", ")}.`) : null,
    row.suppressed !== null ? el("p.note", null, "Suppressed: ", row.suppressed || "no reason is given") : null,
    row.open_ended ? el("p.note", null, "Its members cannot be listed: others may use it tomorrow.") : null,
    row.managed ? el("p.note", null, "Managed: AWS or Kubernetes put it into every cluster, exact and unchanged.") : null);
}

function excessBar(row) {
  if (row.excess_before === null) return null;
  const scale = Math.max(1, row.excess_before, row.excess_after ?? 0);
  const line = (title, n, kind) => {
    const bar = el(`span.excess-bar.${kind}`, { "aria-hidden": "true" });
    bar.style.width = `${Math.max(0.5, (100 * n) / scale)}%`;
    return el("div.excess", null, el("span.excess-t", null, title), el("span.excess-track", null, bar),
      el("span.excess-n", null, plural(n, "cell")));
  };
  return el("div", null,
    el("p.small", null, "Cells (verb × resource × namespace) that it allows beyond its use:"),
    line("now", row.excess_before, "now"),
    row.excess_after === null ? null : line("then", row.excess_after, "then"));
}

function replayLine(row) {
  if (row.replay_denied === null) return null;
  return row.replay_denied === 0
    ? el("p.state.good", null, glyph("✓"),
      "Replayed against all changes together: nothing that was used would be refused.")
    : el("p.state.bad", null, glyph("!"),
      `Replayed against all changes together: ${plural(row.replay_denied, "permission")} that was used would be refused.`);
}

function todoSection(row) {
  const policy = row.recommended_policy
    ? `${list(row.recommended_policy).map(shortRef).join(", ")} on ${row.recommended_scope === "mixed"
      ? `${row.recommended_namespaces || "namespaces"} and the cluster (see the proposal)`
      : place(row.recommended_scope, row.recommended_namespaces)}`
    : null;
  return section("Recommendation",
    el("p.lead", null, recommendationBadge(row), " ", (own(RECOMMENDATION, row.recommendation) || { says: "" }).says),
    row.recommendation_detail ? el("p", null, row.recommendation_detail) : null,
    facts([
      ["Access policies that are enough", policy],
      ["Exact rules", row.recommended_rbac],
    ]),
    excessBar(row),
    replayLine(row),
    commandLine(explainCommand(row), "the command that explains it"),
    row.recommendation === "keep" ? null
      : commandLine(remediateCommand([row]), "the command that writes the change and the way back"));
}

function proposalSection(row) {
  const parts = (DATA.proposals || {})[row.index];
  if (!parts || !parts.length) return null;
  const policies = parts.filter((part) => part.kind === "access_policy");
  const yaml = rbacYaml(row, parts);
  return section("Proposal",
    policies.length ? el("ul", null, policies.map((part) =>
      el("li", null, shortRef(part.policy_arn), " on ", place(null, part.namespaces)))) : null,
    yaml ? [
      el("p.small", null, "Roles only: `overgrant remediate` also writes what binds them, and the way back."),
      el("div.code", null, copyButton("Copy", "the roles as YAML", () => yaml), el("pre", { tabindex: "0" }, yaml.split("\n")
        .flatMap((line, at) => (at ? [document.createTextNode("\n"), line] : [line])))),
    ] : null);
}

function evidenceSection(row) {
  const share = row.coverage === null ? null : `${(Math.floor(row.coverage * 1000) / 10).toFixed(1)} % of the judged hours`;
  return section("Evidence", facts([
    ["First used", row.first_used ? moment(row.first_used) : "not seen in the window"],
    ["Last used", row.last_used ? moment(row.last_used) : "not seen in the window"],
    ["Used on", plural(row.used_days ?? 0, "day")],
    ["Requests or sessions", number(row.used_count)],
    ["Permissions used", number(row.used_permissions)],
    ["Logs cover", share],
    ["Confidence", label(CONFIDENCE, row.confidence || "")],
  ]));
}

function grantSection(row) {
  const cluster = CLUSTERS[row.cluster] || { name: "?", arn: "" };
  return section("The grant", facts([
    ["Principal", row.principal],
    ["Comes in by", row.identity_kind ? label(IDENTITY, row.identity_kind) : "a group of everybody"],
    ["Kind", label(KIND, row.grant_kind)],
    ["Reference", row.grant_ref],
    ["Role or policy", row.role_ref],
    ["Scope", place(row.scope, row.namespaces)],
    ["Cluster", [cluster.name, el("br"), el("span.small", null, cluster.arn)]],
    ["Members", `${number(row.members)}${row.open_ended ? ", and others that cannot be listed" : ""}`],
    ["Valid from", row.valid_from
      ? `${moment(row.valid_from)}${row.age_days === null ? "" : ` (${plural(row.age_days, "day")} old)`}`
      : "nothing tells"],
    ["Granted by", row.granted_by || "the logs do not tell"],
    ["Grant ID", [el("code", null, row.grant_id), " ", copyButton("Copy", "the grant ID", () => String(row.grant_id))]],
  ]));
}

const shownPermission = (use) => {
  const [, verb, group, resource, subresource, , , path] = use;
  if (path) return [el("b", null, verb), " ", path];
  return [el("b", null, verb), " ", resource + (subresource ? `/${subresource}` : ""),
    group ? el("span.small", null, ` ${group}`) : null];
};

function usesSection(row) {
  const uses = (DATA.uses || {})[row.index];
  if (!uses || !uses.rows.length) return null;
  const line = (use) => {
    const [via, , , , , namespace, name, , count, days, first, last] = use;
    return el("tr", null,
      el("td", null, shownPermission(use), via && via !== "direct" ? el("span.chip", null, via) : null),
      el("td", null, namespace || el("span.none", null, "the cluster")),
      el("td", null, name || el("span.none", null, "any")),
      el("td.num", null, number(count)),
      el("td.num", null, number(days)),
      el("td.nowrap", null, day(first)),
      el("td.nowrap", null, day(last)));
  };
  const head = ["Permission", "Namespace", "Name", "Requests", "Days", "First", "Last"];
  return section("What was used",
    el("div.scroll", { tabindex: "0", role: "region", "aria-label": "What was used" }, el("table.plain", null,
      el("thead", null, el("tr", null, head.map((title) =>
        el(["Requests", "Days"].includes(title) ? "th.num" : "th", { scope: "col" }, title)))),
      el("tbody", null, uses.rows.map(line)))),
    uses.more ? el("p.small", null, `${number(uses.more)} more in tables/grant_usage.`) : null);
}

function drawDrawer() {
  const row = shown[drawerAt];
  const step = (sign, title, by) => el("button.icon", {
    type: "button", title, "aria-label": title, disabled: !shown[drawerAt + by], onclick: () => stepDrawer(by),
  }, sign);
  replace(drawer,
    el("div.drawer-head", null,
      el("div.drawer-bar", null,
        el("div.drawer-signs", null, severityBadge(row), verdictBadge(row),
          el("span.drawer-at", null, `${number(drawerAt + 1)} of ${number(shown.length)}`)),
        step("↑", "Grant before (k)", -1), step("↓", "Next grant (j)", 1),
        el("button.icon", { type: "button", title: "Close (Esc)", "aria-label": "Close", onclick: () => drawer.close() }, "✕")),
      el("h2", { id: "drawer-h", tabindex: "-1" }, row.who),
      el("p.drawer-sub", null, row.whoMore, el("br"), `${row.what} · ${row.whatMore}`)),
    el("div.drawer-body", null,
      whySection(row), todoSection(row), evidenceSection(row), usesSection(row), proposalSection(row),
      grantSection(row)));
  byId("drawer-h").focus({ preventScroll: true });
}

function openDrawer(at) {
  if (!shown[at]) return;
  drawerAt = at;
  if (!drawer.open) drawer.showModal();
  drawDrawer();
  opened(String(shown[at].grant_id));
}

function stepDrawer(by) {
  if (!shown[drawerAt + by]) return;
  moveTo(drawerAt + by);
  openDrawer(drawerAt + by);
  drawer.scrollTop = 0;
}

// A grant that a link names is opened also where the filter would hide it.
function openGrant(id) {
  const row = byGrantId.get(id);
  if (!row) return;
  if (!shown.includes(row)) change({ ...DEFAULTS, hideManaged: false, hideSuppressed: false, open: id });
  const at = shown.indexOf(row);
  moveTo(at);
  openDrawer(at);
}

function wireDrawer() {
  drawer.addEventListener("close", () => {
    // The event comes later: a link may have opened it again.
    if (drawer.open) return;
    document.body.append(saidBox);
    drawer.replaceChildren();
    drawerAt = -1;
    if (fromHash(location.hash).open === state.open) opened("");
    // What had the focus has it again, given back by the browser. Where that is gone, or a link opened the drawer,
    // the table gets it; never from somebody who is already further on.
    if (document.activeElement === document.body) grid.focus({ preventScroll: true });
  });
  // The backdrop is the dialog itself, outside its box.
  drawer.addEventListener("click", (event) => {
    const box = drawer.getBoundingClientRect();
    if (event.target === drawer && event.clientX < box.left) drawer.close();
  });
  drawer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") stepDrawer(1);
    else if (event.key === "k") stepDrawer(-1);
  });
}
