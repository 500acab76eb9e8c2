// The head of the page, the tiles, the verdicts by cluster, and what to know before acting.

function drawHead() {
  const names = CLUSTERS.map((cluster) => cluster.name);
  const few = names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "");
  document.title = visible(clip(`overgrant: ${few || "no cluster"}`, 120));
  const fact = (title, ...what) => el("div.fact", null, el("dt", null, title), el("dd", null, what));
  const days = SINCE !== null && UNTIL !== null ? ` (${plural(Math.round((UNTIL - SINCE) / 864e5), "day")})` : "";
  replace(byId("about"),
    el("dl.facts", null,
      fact(names.length === 1 ? "Cluster" : "Clusters",
        names.length > 12
          ? el("details", null, el("summary", null, number(names.length)),
            el("ul.names", null, CLUSTERS.map((cluster) => el("li", { title: cluster.arn }, clusterTitle(cluster)))))
          : CLUSTERS.map((cluster, at) => [at ? ", " : "", el("span.d", { title: cluster.arn }, clusterTitle(cluster))])),
      fact("Window", el("span.nowrap", null, moment(DATA.window.since)), " … ",
        el("span.nowrap", null, moment(DATA.window.until)), days),
      fact("Evidence", DATA.complete
        ? el("span.state.good", null, glyph("✓"), "complete")
        : el("span.state.bad", null, glyph("!"), "partial: some of it is missing, see below")),
      fact("Version", `overgrant ${DATA.tool.version}, access policies as of ${DATA.tool.policy_table_version}`)));
  replace(byId("parts"), [
    ["act", "Before you act"], ["overview", "Overview"], ["findings", "Grants"], ["todo", "Recommended changes"],
    ["heat", "Who used what"], ["timeline", "Timeline"], ["coverage", "Coverage"],
  ].filter(([id]) => !byId(id).hidden).map(([id, word]) =>
    el("button", { type: "button", onclick: () => goTo(id) }, word)));
  replace(byId("foot"), el("p", null, "The same is in Parquet beside this file, in ",
    el("code", null, "reports/"), " and ", el("code", null, "tables/"), ". All times are UTC."));
}

// Without a link: the hash holds the filter.
function goTo(id) {
  const title = byId(`${id}-h`);
  title.setAttribute("tabindex", "-1");
  byId(id).scrollIntoView({ block: "start" });
  title.focus({ preventScroll: true });
}

function drawWarnings() {
  const warnings = [...(DATA.warnings || [])];
  if (!DATA.complete) {
    warnings.unshift("This run is partial: verdicts were lowered for want of evidence, or too many records were rejected.");
  }
  byId("act").hidden = warnings.length === 0;
  const items = (from, to) => warnings.slice(from, to).map((text) => el("li", null, text));
  replace(byId("act-body"), el("div.box.alert", null,
    el("ul", null, items(0, 5)),
    warnings.length > 5 && el("details", null,
      el("summary", null, `${warnings.length - 5} more`), el("ul", null, items(5)))));
}

function tile({ id, kind, sign, count, title, says, on, press }) {
  const node = el(`button.tile.${kind}`, { type: "button", id, title: says, onclick: press },
    el("span.tile-n", null, glyph(sign), number(count)),
    el("span.tile-l", null, title),
    el("span.tile-s", null, says));
  watchers.push(() => node.setAttribute("aria-pressed", String(on())));
  return node;
}

// Pressed again, a tile takes its filter back.
function press(wanted, on) {
  return () => {
    const off = { severity: "", verdict: "", findings: false, hideManaged: true };
    change(on() ? off : { ...off, ...wanted });
    if (!on()) return;
    const top = byId("findings").getBoundingClientRect().top;
    if (top > window.innerHeight * 0.8) byId("findings").scrollIntoView({ block: "start" });
  };
}

function drawTiles() {
  const counted = GRANTS.filter((row) => !row.managed && row.suppressed === null);
  const managed = GRANTS.filter((row) => row.managed).length;
  const findings = counted.filter((row) => row.finding);
  const severityTile = (severity, count, title, sign, says) => {
    const on = () => state.findings && state.severity === severity && !state.verdict;
    return tile({
      id: `tile-${severity || "findings"}`, kind: severity ? `s-${severity}` : "plain", sign, count, title, says,
      on, press: press({ findings: true, severity }, on),
    });
  };
  replace(byId("tiles-severity"),
    severityTile("", findings.length, findings.length === 1 ? "finding" : "findings", "∑", "to act on, or to look at"),
    SEVERITIES.slice(0, 4).map((severity) => severityTile(severity,
      findings.filter((row) => row.severity === severity).length,
      severity, SEVERITY[severity].mark, SEVERITY[severity].says)));
  const verdictTile = (verdict) => {
    const on = () => state.verdict === verdict && !state.severity && !state.findings;
    return tile({
      id: `tile-${verdict}`, kind: `v-${verdict}`, sign: VERDICT[verdict].mark,
      count: counted.filter((row) => row.verdict === verdict).length,
      title: VERDICT[verdict].label, says: VERDICT[verdict].says, on, press: press({ verdict }, on),
    });
  };
  const managedOn = () => !state.hideManaged;
  replace(byId("tiles-verdict"), VERDICTS.map(verdictTile), tile({
    id: "tile-managed", kind: "plain", sign: "⌂", count: managed, title: "managed",
    says: "defaults, exact and unchanged", on: managedOn,
    press: () => change({ hideManaged: managedOn() }),
  }));
}

function drawClusters() {
  const counted = GRANTS.filter((row) => !row.managed && row.suppressed === null);
  const counts = CLUSTERS.map(() => Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])));
  for (const row of counted) {
    if (counts[row.cluster] && own(counts[row.cluster], row.verdict) !== undefined) counts[row.cluster][row.verdict] += 1;
  }
  const total = (at) => VERDICTS.reduce((sum, verdict) => sum + counts[at][verdict], 0);
  const most = Math.max(1, ...CLUSTERS.map((_, at) => total(at)));
  const bar = (at) => {
    const node = el("div.bar", { "aria-hidden": "true" });
    node.style.width = `${Math.max(4, (100 * total(at)) / most)}%`;
    for (const verdict of VERDICTS) {
      const n = counts[at][verdict];
      if (!n) continue;
      const part = el(`span.v-${verdict}`, { title: `${n} ${VERDICT[verdict].label}` },
        el("span", null, `${VERDICT[verdict].mark} ${n}`));
      part.style.flexGrow = String(n);
      node.append(part);
    }
    return node;
  };
  const pick = (cluster) => () => {
    change({ cluster: state.cluster === cluster.arn ? "" : cluster.arn });
  };
  const line = (cluster, at) => el("tr", null,
    el("th", { scope: "row" }, MANY_CLUSTERS
      ? el("button.link", { type: "button", title: `Show only ${cluster.arn}`, onclick: pick(cluster) }, cluster.name)
      : el("span.d", { title: cluster.arn }, cluster.name),
    el("div.two", null, clusterMore(cluster))),
    el("td.bar-cell", null, bar(at)),
    VERDICTS.map((verdict) => el(`td.num${counts[at][verdict] ? "" : ".none"}`, null, number(counts[at][verdict]))));
  replace(byId("clusters"), el("div.scroll", { tabindex: "0", role: "region", "aria-label": "Verdicts by cluster" },
    el("table.plain.stack", null,
      el("thead", null, el("tr", null,
        el("th", { scope: "col" }, "Cluster"), el("td.bar-cell", { "aria-hidden": "true" }),
        VERDICTS.map((verdict) => el(`th.num.v-${verdict}`, { scope: "col", title: VERDICT[verdict].says },
          glyph(VERDICT[verdict].mark), VERDICT[verdict].label)))),
      el("tbody", null, CLUSTERS.map(line)))));
}
