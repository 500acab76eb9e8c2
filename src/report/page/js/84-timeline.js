// When the grants shown were given and used, and what was changed, over the window.

const TIMELINE_SHOWN = 40;
const CHANGES_SHOWN = 200;

const share = (at) => Math.max(0, Math.min(100, (100 * (at - SINCE)) / Math.max(1, UNTIL - SINCE)));
const percent = (n) => `${n.toFixed(3)}%`;

function piece(kind, from, to, title) {
  const node = el(`span.${kind}`, { title });
  node.style.left = percent(share(from));
  if (to !== null) node.style.width = percent(Math.max(0.25, share(to) - share(from)));
  return node;
}

// First days of months; of weeks in a short window.
function ticks() {
  const found = [];
  const short = UNTIL - SINCE < 45 * 864e5;
  const at = new Date(SINCE);
  at.setUTCHours(0, 0, 0, 0);
  while (at.getTime() < UNTIL && found.length < 400) {
    const first = short ? at.getUTCDay() === 1 : at.getUTCDate() === 1;
    if (first && at.getTime() >= SINCE) found.push(at.getTime());
    at.setUTCDate(at.getUTCDate() + 1);
  }
  const every = Math.ceil(found.length / 12);
  return found.filter((_, place) => place % every === 0);
}

function axis() {
  const node = el("div.tl-track.tl-axis", { "aria-hidden": "true" });
  for (const at of ticks()) {
    const tick = piece("tick", at, null, null);
    tick.append(new Date(at).toISOString().slice(5, 10));
    node.append(tick);
  }
  return el("div.tl-row", null, el("div.tl-name.small", null,
    `${new Date(SINCE).toISOString().slice(0, 10)} … ${new Date(UNTIL).toISOString().slice(0, 10)}`), node);
}

function said(row) {
  const from = time(row.valid_from);
  const given = from === null ? "nothing tells since when it is there"
    : `there since ${day(row.valid_from)}${from < SINCE ? ", before the window" : ""}`;
  const use = row.first_used ? `used from ${day(row.first_used)} to ${day(row.last_used)} on ${plural(row.used_days ?? 0, "day")}`
    : "not seen used";
  return `${given}; ${use}`;
}

function timelineRow(row) {
  const track = el("div.tl-track", { role: "img", "aria-label": said(row), title: said(row) });
  const from = time(row.valid_from);
  const known = from !== null;
  track.append(piece(known ? "there" : "there.unknown", Math.max(SINCE, from ?? SINCE), UNTIL, null));
  if (known && from >= SINCE) track.append(piece("given", from, null, null));
  const first = time(row.first_used);
  const last = time(row.last_used);
  if (first !== null && last !== null) {
    track.append(piece(`use.${classOf(VERDICT, "v", row.verdict)}`, first, last, null));
  }
  return el("div.tl-row", null,
    el("div.tl-name", null, glyphOf(row), el("button.link", {
      type: "button", title: clip(`${row.principal} · ${row.what}`, 400), onclick: () => openGrant(String(row.grant_id)),
    }, clip(row.who, 80)), el("span.small", null, ` ${clip(row.what, 80)}`)),
    track);
}
const glyphOf = (row) => el(`span.verdict.${classOf(VERDICT, "v", row.verdict)}`,
  { title: label(VERDICT, row.verdict) }, glyph(mark(VERDICT, row.verdict)), hiddenText(`${label(VERDICT, row.verdict)}: `));

const changesShown = () => (DATA.changes || []).filter(([, cluster]) =>
  !state.cluster || (CLUSTERS[cluster] || {}).arn === state.cluster);

function changesLane(changes) {
  const track = el("div.tl-track.lane", { role: "img", "aria-label": plural(changes.length, "change") });
  const marks = new Map();
  for (const [at, , what, subject] of changes) {
    const when = time(at);
    if (when === null || when < SINCE || when > UNTIL) continue;
    const key = Math.round(share(when) * 4);
    if (!marks.has(key)) marks.set(key, [when, []]);
    marks.get(key)[1].push(`${day(at)} ${label(CHANGE, what)}: ${clip(subject, 80)}`);
  }
  for (const [when, texts] of marks.values()) {
    const node = piece("changed", when, null, clip(texts.slice(0, 6).join(" · "), 600));
    node.append(texts.length > 1 ? String(texts.length) : "◆");
    track.append(node);
  }
  return el("div.tl-row", null, el("div.tl-name", null, el("b", null, "Changes")), track);
}

function changesTable(changes) {
  const rows = changes.slice(0, CHANGES_SHOWN);
  const line = ([at, cluster, what, subject, reference, actor]) => el("tr", null,
    el("td.nowrap", null, moment(at)),
    MANY_CLUSTERS ? el("td", null, clusterWord(cluster)) : null,
    el("td", null, label(CHANGE, what)),
    el("td", null, clip(subject ?? "", 300)),
    el("td", null, clip(shortRef(reference), 200)),
    el("td", null, clip(actor ?? "", 300)));
  const head = ["When", MANY_CLUSTERS && "Cluster", "Change", "Of", "What", "By"].filter(Boolean);
  const more = changes.length - rows.length + (DATA.changes_more || 0);
  return el("details", { open: changes.length <= 10 },
    el("summary", null, `${plural(changes.length, "change")} of grants in the logs`),
    el("div.scroll", { tabindex: "0", role: "region", "aria-label": "Changes" }, el("table.plain", null,
      el("thead", null, el("tr", null, head.map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", null, rows.map(line)))),
    more ? el("p.small", null, `${number(more)} more in tables/grant_changes.`) : null);
}

function drawTimeline() {
  const body = byId("timeline-body");
  if (SINCE === null || UNTIL === null) {
    replace(body, el("p.empty", null, "The window is not known."));
    return;
  }
  const rows = shown.slice(0, TIMELINE_SHOWN);
  const changes = changesShown();
  const cut = shown.length > rows.length
    ? `The first ${rows.length} of the ${number(shown.length)} grants shown; filter or order the table to see others.` : null;
  replace(body,
    el("p.legend", null,
      el("span.key.there"), " there ", el("span.key.use.v-used"), " first to last use, in the colour of the verdict ",
      el("span.key.given"), " granted ", el("span.key.changed", null, "◆"), " changed"),
    el("div.timeline", null, axis(), changes.length ? changesLane(changes) : null, rows.map(timelineRow)),
    rows.length ? null : el("p.empty", null, "No grant matches the filter."),
    cut ? el("p.small", null, cut) : null,
    changes.length ? changesTable(changes) : el("p.small", null, "The logs show no change of a grant in the window."));
}
