// The table of grants. Only the rows in sight are in the page; the focus stays on the table and names the
// active row, so that no row that is scrolled away can take it along.

const narrow = matchMedia("screen and (max-width: 820px)");
const OVERSCAN = 6;
const rowHeight = () => (narrow.matches ? 100 : 54);

const grid = el("div.grid", {
  role: "grid", tabindex: "0", "aria-label": "Grants", "aria-describedby": "keys", "aria-colcount": COLUMNS.length,
  "aria-multiselectable": "false",
});
const gridHead = el("div.grid-head", { role: "rowgroup" });
const gridBody = el("div.grid-body", { role: "rowgroup" });
const drawn = new Map();
const headButtons = [];
let active = 0;

// Reached with Tab like every other button, where they are in sight.
function headInReach() {
  for (const button of headButtons) button.setAttribute("tabindex", narrow.matches ? "-1" : "0");
}

function drawGridHead() {
  const cells = COLUMNS.map((column, at) => {
    const sign = el("span.sort", { "aria-hidden": "true" });
    const button = el("button", {
      type: "button", tabindex: "-1", title: column.title || null, "data-sort": column.id,
      onclick: () => sortBy(column.id),
    }, column.label, sign);
    const cell = el(`div.cell.c-${column.id}`, { role: "columnheader", "aria-colindex": at + 1 }, button);
    headButtons.push(button);
    watchers.push(() => {
      const on = state.sort === column.id;
      cell.setAttribute("aria-sort", on ? (state.desc ? "descending" : "ascending") : "none");
      sign.textContent = on ? (state.desc ? "▼" : "▲") : "";
    });
    return cell;
  });
  replace(gridHead, el("div.row.head", { role: "row", "aria-rowindex": "1" }, cells));
}

// Up, down, and back to the worst first.
function sortBy(id) {
  if (state.sort !== id) change({ sort: id, desc: false });
  else if (!state.desc) change({ desc: true });
  else change({ sort: "", desc: false });
}

const two = (first, second, title) => [
  el("div.one", { title: title && clip(title, 400) }, clip(first, 200)),
  el("div.two", { title: second ? clip(second, 400) : null }, clip(second || "", 200)),
];

const CELLS = {
  severity: (row) => severityBadge(row),
  verdict: (row) => [
    verdictBadge(row),
    row.confidence && row.confidence !== "high" ? el("div.two", null, `${row.confidence} confidence`) : null,
    row.suppressed !== null ? el("div.two", null, "suppressed") : null,
  ],
  cluster: (row) => {
    const cluster = CLUSTERS[row.cluster] || { name: "?", arn: "" };
    return two(cluster.name, clusterMore(cluster), cluster.arn);
  },
  principal: (row) => two(row.who, row.whoMore, row.principal),
  grant: (row) => two(row.what, row.whatMore, row.grant_ref),
  age: (row) => (row.age_days === null ? el("span.none", null, "–") : `${number(row.age_days)} d`),
  used: (row) => (row.lastAt === null
    ? el("span.none", null, "never seen")
    : [el("div.one", { title: moment(row.last_used) }, day(row.last_used)),
      el("div.two", null, `on ${plural(row.used_days ?? 0, "day")}`)]),
  excess: (row) => (row.excess_before === null
    ? el("span.none", null, "–")
    : [el("div.one", null, number(row.excess_before)),
      row.excess_after === null ? null : el("div.two", null, `→ ${number(row.excess_after)}`)]),
  do: (row) => [
    recommendationBadge(row),
    row.target ? el("div.two", { title: clip(row.target, 400) }, clip(row.target, 200)) : null,
  ],
};

function drawRow(at) {
  const row = shown[at];
  const node = el("div.row", {
    role: "row", id: `row-${row.index}`, "aria-rowindex": at + 2, "aria-selected": String(at === active),
    onclick: () => {
      // Text that is being marked is not a press.
      if (String(getSelection())) return;
      setActive(at);
      openDrawer(at);
    },
  }, COLUMNS.map((column, place) =>
    el(`div.cell.c-${column.id}`, { role: "gridcell", "aria-colindex": place + 1 }, CELLS[column.id](row))));
  node.style.transform = `translateY(${at * rowHeight()}px)`;
  return node;
}

function span() {
  const height = rowHeight();
  const head = narrow.matches ? 0 : gridHead.offsetHeight;
  const first = Math.max(0, Math.floor(grid.scrollTop / height) - OVERSCAN);
  const last = Math.min(shown.length, Math.ceil((grid.scrollTop + grid.clientHeight - head) / height) + OVERSCAN);
  return [first, last];
}

// Draws the rows in sight that are not drawn yet, and takes out the others.
function drawRows() {
  const [first, last] = span();
  for (const [at, node] of drawn) {
    if (at < first || at >= last) {
      node.remove();
      drawn.delete(at);
    }
  }
  const fresh = [];
  for (let at = first; at < last; at += 1) {
    if (!drawn.has(at)) {
      const node = drawRow(at);
      drawn.set(at, node);
      fresh.push(node);
    }
  }
  gridBody.append(...fresh);
  nameActive();
}

function nameActive() {
  const node = drawn.get(active);
  if (node) grid.setAttribute("aria-activedescendant", node.id);
  else grid.removeAttribute("aria-activedescendant");
}

function redraw() {
  for (const node of drawn.values()) node.remove();
  drawn.clear();
  gridBody.style.height = `${Math.max(1, shown.length) * rowHeight()}px`;
  drawRows();
}

function setActive(at) {
  const before = drawn.get(active);
  if (before) before.setAttribute("aria-selected", "false");
  active = Math.max(0, Math.min(shown.length - 1, at));
  const node = drawn.get(active);
  if (node) node.setAttribute("aria-selected", "true");
  nameActive();
}

function moveTo(at) {
  setActive(at);
  const height = rowHeight();
  const head = narrow.matches ? 0 : gridHead.offsetHeight;
  const sight = grid.clientHeight - head;
  const top = active * height;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + height > grid.scrollTop + sight) grid.scrollTop = top + height - sight;
  drawRows();
}

const page = () => Math.max(1, Math.floor(grid.clientHeight / rowHeight()) - 1);
const KEYS = {
  ArrowDown: () => active + 1,
  j: () => active + 1,
  ArrowUp: () => active - 1,
  k: () => active - 1,
  PageDown: () => active + page(),
  PageUp: () => active - page(),
  Home: () => 0,
  End: () => shown.length - 1,
};

function onGridKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target !== grid || !shown.length) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    moveTo(active);
    openDrawer(active);
  } else if (Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    moveTo(KEYS[event.key]());
  }
}

function drawCount() {
  const base = GRANTS.length;
  const managed = state.hideManaged ? GRANTS.filter((row) => row.managed).length : 0;
  const hidden = managed ? `; ${number(managed)} managed are hidden` : "";
  replace(byId("count"), `${number(shown.length)} of ${plural(base, "grant")}${hidden}`);
}

function drawGrid() {
  drawGridHead();
  const none = el("p.empty", { hidden: true }, "No grant matches the filter.");
  grid.append(gridHead, gridBody);
  byId("grid").append(grid, none);
  if (MANY_CLUSTERS) grid.classList.add("many");
  replace(byId("keys"), "Keys: ", el("kbd", null, "↑"), " ", el("kbd", null, "↓"), " or ", el("kbd", null, "j"), " ",
    el("kbd", null, "k"), " move, ", el("kbd", null, "Enter"), " opens, ", el("kbd", null, "Esc"), " closes, ",
    el("kbd", null, "/"), " filters.");
  let waiting = false;
  grid.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawRows();
    });
  }, { passive: true });
  grid.addEventListener("keydown", onGridKey);
  narrow.addEventListener("change", redraw);
  narrow.addEventListener("change", headInReach);
  headInReach();
  new ResizeObserver(drawRows).observe(grid);
  watchers.push(() => {
    grid.setAttribute("aria-rowcount", String(shown.length + 1));
    none.hidden = shown.length > 0;
    grid.hidden = shown.length === 0;
    active = 0;
    grid.scrollTop = 0;
    drawCount();
    redraw();
  });
}
