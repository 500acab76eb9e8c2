// What is shown: the filter, the order and the open grant. It is kept in the page's hash, so that a link
// shows the same.

const DEFAULTS = {
  q: "", cluster: "", verdict: "", severity: "", rec: "", kind: "", sort: "", open: "",
  desc: false, findings: false, hideManaged: true, hideSuppressed: true,
};
const state = { ...DEFAULTS };
let shown = [];
const watchers = [];

// In the hash a flag is there only where it differs from what holds without it.
function toHash() {
  const parts = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (state[name] === usual) continue;
    parts.set(name, typeof usual === "boolean" ? String(Number(state[name])) : state[name]);
  }
  return parts.toString();
}

function fromHash(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const read = { ...DEFAULTS };
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const value = parts.get(name);
    if (value !== null) read[name] = typeof usual === "boolean" ? value === "1" : clip(value, 1000);
  }
  const known = {
    cluster: CLUSTERS.map((cluster) => cluster.arn),
    verdict: VERDICTS,
    severity: SEVERITIES,
    rec: RECOMMENDATIONS,
    kind: Object.keys(KIND),
    sort: COLUMNS.map((column) => column.id),
    open: [...byGrantId.keys()],
  };
  for (const [name, values] of Object.entries(known)) {
    if (!values.includes(read[name])) read[name] = "";
  }
  return read;
}

function keepInHash() {
  const hash = toHash();
  try {
    // Not a step of the history each: the way back leads out of the page.
    history.replaceState(null, "", hash ? `#${hash}` : "#");
  } catch {
    // Some viewers of attachments have no address to keep it in.
  }
}

// Changes what is shown, and tells everyone who draws it.
function change(what) {
  Object.assign(state, what);
  shown = filtered(state);
  keepInHash();
  for (const watcher of watchers) watcher();
}

// Only what is open changed: nothing but the hash.
function opened(id) {
  state.open = id;
  keepInHash();
}

// Drawn when there is time: what is below the table need not keep up with every key.
function whenIdle(draw) {
  let waiting = 0;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 180);
  };
}

const isDefault = () =>
  Object.keys(DEFAULTS).every((name) => name === "open" || name === "sort" || name === "desc" ||
    state[name] === DEFAULTS[name]);

function select(name, title, options) {
  const node = el("select", {
    id: `f-${name}`,
    onchange: () => change({ [name]: options[node.selectedIndex][0] }),
  }, options.map(([, word]) => el("option", null, clip(word, 80))));
  watchers.push(() => {
    node.selectedIndex = Math.max(0, options.findIndex(([value]) => value === state[name]));
    node.classList.toggle("set", node.selectedIndex > 0);
  });
  return el("label.field", { for: `f-${name}` }, el("span", null, title), node);
}

function check(name, title) {
  const node = el("input", { type: "checkbox", id: `f-${name}`, onchange: () => change({ [name]: node.checked }) });
  watchers.push(() => {
    node.checked = state[name];
  });
  return el("label.check", { for: `f-${name}` }, node, title);
}

const choices = (codes, table, present) => [
  ["", "all"],
  ...codes.filter((code) => present.has(code)).map((code) => [code, label(table, code)]),
];

function drawFilters() {
  const present = (name) => new Set(GRANTS.map((row) => row[name]));
  const text = el("input", {
    type: "search", id: "f-q", autocomplete: "off", spellcheck: "false",
    placeholder: "principal, policy, namespace, why …",
    "aria-keyshortcuts": "/",
    oninput: () => change({ q: text.value }),
    onkeydown: (event) => {
      if (event.key === "ArrowDown") {
        event.preventDefault();
        grid.focus();
      }
    },
  });
  watchers.push(() => {
    if (text.value !== state.q) text.value = state.q;
  });
  const clear = el("button.clear", { type: "button", onclick: () => change({ ...DEFAULTS, open: state.open }) },
    "Show all again");
  watchers.push(() => {
    clear.disabled = isDefault();
  });
  const form = byId("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  const sorts = [["", "worst first"], ...COLUMNS.map((column) => [column.id, column.label])];
  fill(form, [
    el("label.field.wide-field", { for: "f-q" }, el("span", null, "Filter"), text),
    MANY_CLUSTERS && select("cluster", "Cluster",
      [["", "all"], ...CLUSTERS.map((cluster) => [cluster.arn, clusterTitle(cluster)])]),
    select("verdict", "Verdict", choices(VERDICTS, VERDICT, present("verdict"))),
    select("severity", "Severity", choices(SEVERITIES, SEVERITY, present("severity"))),
    select("rec", "Recommendation", choices(RECOMMENDATIONS, {}, present("recommendation"))),
    select("kind", "Kind", choices(Object.keys(KIND), KIND, present("grant_kind"))),
    el("div.narrow-only", null, select("sort", "Order by", sorts)),
    el("div.checks", null,
      check("findings", "findings only"),
      check("hideManaged", "hide managed"),
      ANY_SUPPRESSED && check("hideSuppressed", "hide suppressed"),
      el("div.narrow-only", null, check("desc", "other way round")),
      clear),
  ]);
}

