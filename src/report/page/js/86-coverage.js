// Which hours the logs cover, by stream: a square a day, a column a week.

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const weekday = (at) => (new Date(at).getUTCDay() + 6) % 7;

function daySquare(name, covered, expected) {
  const missing = Math.max(0, expected - covered);
  const kind = expected <= 0 ? "off" : missing === 0 ? "full" : covered > 0 ? "part" : "hole";
  const says = kind === "off" ? "nothing expected"
    : missing === 0 ? `all ${expected} h covered` : `${missing} of ${expected} h missing`;
  return el(`span.day.${kind}`, { title: `${name}: ${says}` }, missing > 0 ? String(missing) : "");
}

function calendar(days) {
  const node = el("div.calendar", { "aria-hidden": "true" });
  const start = time(`${days[0][0]}T00:00:00Z`);
  const monday = start - weekday(start) * 864e5;
  WEEKDAYS.forEach((word, at) => {
    const name = el("span.weekday", null, at % 2 ? "" : word);
    name.style.gridRow = String(at + 2);
    name.style.gridColumn = "1";
    node.append(name);
  });
  let month = "";
  for (const [name, covered, expected] of days) {
    const at = time(`${name}T00:00:00Z`);
    if (at === null) continue;
    const column = String(Math.floor((at - monday) / (7 * 864e5)) + 2);
    if (name.slice(0, 7) !== month) {
      month = name.slice(0, 7);
      const title = el("span.month", null, new Date(at).toLocaleString("en-US", { month: "short", timeZone: "UTC" }));
      title.style.gridRow = "1";
      title.style.gridColumn = column;
      // A month that begins at the end of a window has no room for its name beside the next.
      if (Number(column) > 2 || name.slice(8) < "22") node.append(title);
    }
    const square = daySquare(name, covered, expected);
    square.style.gridRow = String(weekday(at) + 2);
    square.style.gridColumn = column;
    node.append(square);
  }
  return node;
}

function streamBox(stream) {
  const days = stream.days.filter(([name]) => time(`${name}T00:00:00Z`) !== null);
  const sum = (at) => days.reduce((total, one) => total + Number(one[at]), 0);
  const covered = sum(1);
  const expected = sum(2);
  const missing = days.filter(([, have, want]) => have < want);
  // Rounded down: a hole is never rounded away.
  const share = expected ? `${(Math.floor((1000 * covered) / expected) / 10).toFixed(1)} %` : "–";
  const holes = missing.map(([name, have, want]) => `${name}: ${want - have} of ${want} h missing`);
  return el("div.stream", null,
    el("h3", null, stream.stream),
    el("p", null,
      el(`span.state.${missing.length ? "bad" : "good"}`, null, glyph(missing.length ? "!" : "✓"),
        `${number(covered)} of ${number(expected)} h covered (${share})`)),
    days.length ? el("div.scroll", { tabindex: "0", role: "region", "aria-label": `Calendar of ${clip(stream.stream, 200)}` },
      calendar(days)) : null,
    holes.length
      ? el("details", { open: holes.length <= 4 },
        el("summary", null, `${plural(holes.length, "day")} with holes`),
        el("ul.holes", null, holes.slice(0, 400).map((text) => el("li", null, text))))
      : el("p.small", null, "No hour is missing."));
}

function drawCoverage() {
  const streams = DATA.coverage || [];
  if (!streams.length) {
    replace(byId("coverage-body"), el("p.empty", null, "No stream of logs was expected."));
    return;
  }
  const key = (kind, text, inside) =>
    [el("span.nowrap", null, el(`span.day.${kind}`, { "aria-hidden": "true" }, inside || ""), ` ${text}`), " "];
  replace(byId("coverage-body"),
    el("p", null, "An hour that the logs do not cover is never held against a grant: with too many of them it is unobservable."),
    el("p.legend", null, key("full", "all hours of the day"), key("part", "so many hours are missing", "3"),
      key("hole", "the whole day is missing", "24")),
    el("div.streams", null, streams.map(streamBox)));
}
