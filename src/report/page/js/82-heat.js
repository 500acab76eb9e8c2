// Who used which namespace, and how much.

const HEAT_NAMESPACES = 60;

// Five steps of a logarithmic scale up to the most.
const heatStep = (n, most) =>
  Math.max(1, Math.min(5, Math.ceil((5 * Math.log(n + 1)) / Math.log(most + 1))));

function drawHeat() {
  const heat = DATA.heat || { principals: [], namespaces: [], cells: [] };
  const body = byId("heat-body");
  if (!heat.cells.length) {
    replace(body, el("p.empty", null, "The logs show no request."));
    return;
  }
  const cells = new Map(heat.cells.map(([who, where, n]) => [`${who}/${where}`, n]));
  const totals = heat.namespaces.map(() => 0);
  for (const [, where, n] of heat.cells) totals[where] += n;
  // The cluster first, then the names that most requests went to.
  const order = heat.namespaces.map((_, at) => at)
    .sort((a, b) => (heat.namespaces[b] === "") - (heat.namespaces[a] === "") || totals[b] - totals[a] || a - b);
  const columns = order.slice(0, HEAT_NAMESPACES);
  const most = Math.max(1, ...heat.cells.map(([, , n]) => n));
  const name = (at) => heat.namespaces[at] || "the cluster";
  const cell = (who, where) => {
    const n = cells.get(`${who}/${where}`);
    if (!n) return el("td.h0", null);
    return el(`td.h${heatStep(n, most)}`, {
      title: `${clip(heat.principals[who], 200)} made ${plural(n, "request")} in ${name(where)}`,
    }, compact(n));
  };
  const line = (principal, who) => {
    const [short, more] = shortPrincipal(principal, null);
    return el("tr", null,
      el("th", { scope: "row" }, el("button.link", {
        type: "button", title: `Show the grants of ${clip(principal, 300)} (${more})`,
        onclick: () => {
          change({ ...DEFAULTS, q: `"${principal.replaceAll('"', "")}"`, hideManaged: false });
          goTo("findings");
        },
      }, clip(short, 80))),
      columns.map((where) => cell(who, where)));
  };
  const legend = el("p.legend", { "aria-hidden": "true" }, "fewer ", [1, 2, 3, 4, 5].map((step) => el(`span.h${step}`)),
    ` more requests, at most ${number(most)}`);
  const left = [];
  if (heat.more_principals) left.push(`${plural(heat.more_principals, "more principal")} with fewer requests`);
  if (order.length > columns.length) left.push(`${order.length - columns.length} more namespaces`);
  replace(body,
    el("p", null, "Requests that were allowed, by principal and namespace.",
      el("span.screen-only", null, " Press a name for its grants.")),
    legend,
    el("div.scroll.heat-scroll", { tabindex: "0", role: "region", "aria-label": "Requests by principal and namespace" },
      el("table.heat", null,
        el("thead", null, el("tr", null, el("th", { scope: "col" }, "Principal"),
          columns.map((where) => el("th", { scope: "col" },
            el(`div${heat.namespaces[where] ? "" : ".whole"}`, { title: name(where) }, clip(name(where), 40)))))),
        el("tbody", null, heat.principals.map(line)))),
    left.length ? el("p.small", null, `Not shown: ${left.join(", ")}; see tables/api_access.`) : null);
}
