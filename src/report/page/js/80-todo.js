// What is recommended for the grants shown, as a list and as text to copy.

const TODO_SHOWN = 100;

const toChange = () => shown.filter((row) => row.recommendation !== "keep" && !row.managed);

// One recommendation in three lines of text.
function asText(row) {
  const lines = [
    `[${row.severity}] ${row.recommendation}  ${row.clusterName}: ${row.principal}`,
    `    ${label(KIND, row.grant_kind)} ${shortRef(row.grant_ref)} on ${place(row.scope, row.namespaces)} (grant ${row.grant_id})`,
    `    ${label(VERDICT, row.verdict)}: ${row.detail || ""}`,
  ];
  if (row.target) lines.push(`    -> ${row.target}`);
  if (row.recommendation_detail && row.recommendation_detail !== row.target) {
    lines.push(`    note: ${row.recommendation_detail}`);
  }
  return lines.map(visible).join("\n");
}

function drawTodo() {
  const rows = toChange();
  if (!rows.length) {
    replace(byId("todo-body"), el("p.empty", null, "Nothing is to be changed among the grants shown."));
    return;
  }
  const ready = rows.filter((row) => row.recommendation !== "review");
  const item = (row) => el("li", null,
    el("div.todo-head", null, severityBadge(row), recommendationBadge(row),
      el("button.link", { type: "button", title: clip(row.principal, 400), onclick: () => openGrant(String(row.grant_id)) },
        clip(row.who, 200)),
      MANY_CLUSTERS ? el("span.small", null, ` in ${row.clusterName}`) : null),
    el("div.todo-what", null, clip(`${row.what} · ${row.whatMore}`, 300),
      row.target ? [el("br"), el("span.arrow", { "aria-hidden": "true" }, "→ "), clip(row.target, 300)] : null));
  const review = rows.length - ready.length;
  const about = `${plural(rows.length, "change")} for the grants shown above` +
    `${review ? `; ${number(review)} of them only after a person looked` : ""}.`;
  replace(byId("todo-body"),
    el("p", null, about),
    el("p.buttons", null,
      copyButton("Copy all as text", plural(rows.length, "recommended change"), () => rows.map(asText).join("\n\n")),
      ready.length ? copyButton("Copy the command", `the command for ${plural(ready.length, "grant")}`,
        () => remediateCommand(ready)) : null),
    el("ol.todo", null, rows.slice(0, TODO_SHOWN).map(item)),
    rows.length > TODO_SHOWN
      ? el("p.small", null, `The first ${TODO_SHOWN} are shown; what is copied has all ${number(rows.length)}.`) : null);
}
