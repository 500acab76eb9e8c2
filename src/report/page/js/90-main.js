// Draws the page, and wires the keys, the hash and the printer.

const PRINTED = 2000;

// What was folded up; nobody unfolds paper.
const unfolded = [];

function undrawPrint() {
  byId("print").replaceChildren();
  for (const node of unfolded.splice(0)) node.open = false;
}

// On paper all grants that the filter shows, not only those in sight.
function drawPrint() {
  for (const node of document.querySelectorAll("main details:not([open])")) {
    node.open = true;
    unfolded.push(node);
  }
  const rows = shown.slice(0, PRINTED);
  const line = (row) => el("tr", null,
    el("td", null, severityBadge(row), el("br"), verdictBadge(row)),
    MANY_CLUSTERS ? el("td", null, row.clusterName) : null,
    el("td", null, el("b", null, row.who), el("br"), row.whoMore),
    el("td", null, el("b", null, row.what), el("br"), row.whatMore),
    el("td", null, row.detail || ""),
    el("td", null, recommendationBadge(row), row.target ? [el("br"), row.target] : null),
    el("td.nowrap", null, row.lastAt === null ? "never seen" : day(row.last_used)),
    el("td.id", null, row.grant_id));
  const head = ["Verdict", MANY_CLUSTERS && "Cluster", "Principal", "Grant", "Why", "Recommendation", "Last used", "Grant ID"];
  const cut = shown.length > rows.length
    ? `Cut: the first ${number(rows.length)} of ${number(shown.length)} grants are printed.`
    : `${plural(shown.length, "grant")}.`;
  const set = Object.entries(state).filter(([name, value]) => name !== "open" && value !== DEFAULTS[name]);
  replace(byId("print"),
    el("h2", null, "Grants"),
    el("p", null, cut, set.length ? ` Filter: ${set.map(([name, value]) => `${name} ${value}`).join(", ")}.` : ""),
    el("table.plain", null,
      el("thead", null, el("tr", null, head.filter(Boolean).map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", null, rows.map(line))));
}

function onPageKey(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !drawer.open) {
    event.preventDefault();
    byId("f-q").focus();
    byId("f-q").select();
  }
}

function readHash() {
  const read = fromHash(location.hash);
  if (drawer.open && !read.open) drawer.close();
  change(read);
  if (read.open) openGrant(read.open);
}

// Before the first key is pressed in the filter the texts that it looks in are made, a few at a time.
function warm(from) {
  const until = Math.min(GRANTS.length, from + 500);
  for (let at = from; at < until; at += 1) hay(GRANTS[at]);
  if (until < GRANTS.length) setTimeout(() => warm(until), 0);
}

function main() {
  byId("main").hidden = false;
  drawWarnings();
  drawHead();
  drawFilters();
  drawTiles();
  drawClusters();
  drawGrid();
  drawHeat();
  drawCoverage();
  wireDrawer();
  let first = true;
  const below = () => {
    drawTodo();
    drawTimeline();
  };
  const later = whenIdle(below);
  watchers.push(() => (first ? below() : later()));
  readHash();
  first = false;
  addEventListener("hashchange", readHash);
  document.addEventListener("keydown", onPageKey);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    goTo("findings");
  });
  addEventListener("beforeprint", drawPrint);
  addEventListener("afterprint", undrawPrint);
  const paper = matchMedia("print");
  paper.addEventListener("change", () => (paper.matches ? drawPrint() : undrawPrint()));
  setTimeout(() => warm(0), 50);
}

main();
