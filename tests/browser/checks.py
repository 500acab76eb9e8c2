"""What holds of every report. Each check opens the page itself: `open(size=…, scheme=…, hash=…)`.

What is expected is computed here from the page's own data, not asked of the page's script.
"""

import json
import re

try:
    import yaml
except ImportError:
    yaml = None

QUIET = ("info",)
CODES = {
    "severity": ["critical", "high", "medium", "low", "info"],
    "verdict": ["ineffective", "unobservable", "too_new", "unused", "redundant", "over_scoped", "used"],
    "recommendation": ["remove", "replace", "split", "narrow", "review", "keep"],
}


def model(page):
    """The rows of the page's data, as dictionaries."""
    data = json.loads(page.evaluate("document.getElementById('data').textContent"))
    columns = data["grants"]["columns"]
    rows = [dict(zip(columns, row), index=at) for at, row in enumerate(data["grants"]["rows"])]
    return data, rows


def until(page, expression):
    """Waits for it to hold. Playwright's own way evaluates text in the page, which the policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came: {expression}")


def listed(rows):
    return [row for row in rows if not row["managed"] and row["suppressed"] is None]


def is_finding(row):
    return row["severity"] not in QUIET and (row["verdict"] != "unobservable" or row["severity"] == "critical")


def counted(page):
    """How many grants the page says it shows."""
    return int(re.match(r"[\d,]+", page.inner_text("#count"))[0].replace(",", ""))


def drawn(page):
    """Indices of the rows in sight, from the top."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.grid-body .row')]
          .sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => Number(row.id.slice(4)))"""
    )


def select(page, name, text):
    page.select_option(f"#f-{name}", label=text)


def no_scroll_sideways(page, what):
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{what} is {wide[0]} px wide in a window of {wide[1]}"


def policy_is_strict_and_holds(open):
    watched = open()
    page = watched.page
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    for part in ("default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "base-uri 'none'", "form-action 'none'"):
        assert part in policy, f"the policy lacks {part}: {policy}"
    assert "unsafe" not in policy, policy
    source = page.content()
    assert "innerHTML" not in source and "eval(" not in source and "document.write" not in source
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    # The style is applied, so its digest is right; the script ran, so is its own.
    assert page.evaluate("getComputedStyle(document.querySelector('.grid')).overflowY") == "auto"
    watched.close()
    # What is put into the page later does not run: in a page of its own, as it is complained about.
    watched = open()
    page = watched.page
    page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'window.__pwned = 1';
      document.body.append(script);
      const image = document.createElement('img');
      image.setAttribute('onerror', 'window.__pwned = 1');
      image.src = 'https://example.invalid/x.png';
      document.body.append(image);
    }""")
    page.wait_for_timeout(100)
    assert page.evaluate("window.__pwned") is None, "a script that was put in ran"
    assert page.evaluate("seen.violations.length") >= 2, "the policy stopped nothing"
    watched.context.close()


def tiles_match_the_data(open):
    watched = open()
    page = watched.page
    data, rows = model(page)
    mine = listed(rows)
    findings = [row for row in mine if is_finding(row)]
    number = lambda name: int(re.sub(r"\D", "", page.inner_text(f"#tile-{name} .tile-n")))
    assert number("findings") == len(findings), f"{number('findings')} findings are shown, {len(findings)} are there"
    for severity in CODES["severity"][:4]:
        want = sum(row["severity"] == severity for row in findings)
        assert number(severity) == want, f"{severity}: {number(severity)} shown, {want} there"
    for verdict in CODES["verdict"]:
        want = sum(row["verdict"] == verdict for row in mine)
        assert number(verdict) == want, f"{verdict}: {number(verdict)} shown, {want} there"
    assert number("managed") == sum(row["managed"] for row in rows)
    assert counted(page) == len(mine)
    # Pressed, each shows as many grants as it says; pressed again, all.
    for name in ["findings", *CODES["severity"][:4], *CODES["verdict"]]:
        page.click(f"#tile-{name}")
        assert counted(page) == number(name), f"{name}: {counted(page)} shown, the tile says {number(name)}"
        assert page.get_attribute(f"#tile-{name}", "aria-pressed") == "true", name
        page.click(f"#tile-{name}")
        assert counted(page) == len(mine)
    page.click("#tile-managed")
    assert counted(page) == len([row for row in rows if row["suppressed"] is None])
    for at, cluster in enumerate(data["clusters"]):
        cells = page.locator("#clusters tbody tr").nth(at).locator("td.num").all_inner_texts()
        want = [str(sum(row["verdict"] == verdict and row["cluster"] == at for row in mine)) for verdict in CODES["verdict"]]
        assert cells == want, f"{cluster['name']}: {cells} shown, {want} there"
    watched.close()


def filters_match_the_data(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    mine = listed(rows)
    for name, column in (("verdict", "verdict"), ("severity", "severity"), ("rec", "recommendation"), ("kind", "grant_kind")):
        for at, text in enumerate(page.locator(f"#f-{name} option").all_inner_texts()):
            if at == 0:
                continue
            select(page, name, text)
            shown = {rows[index][column] for index in drawn(page)}
            assert len(shown) <= 1, f"{name} {text}: rows with {shown}"
            if shown:
                assert counted(page) == sum(row[column] in shown for row in mine), f"{name} {text}"
        select(page, name, "all")
    principal = mine[len(mine) // 2]["principal"]
    for text in (principal, principal.upper(), f'"{principal}"', mine[0]["grant_id"]):
        page.fill("#f-q", text)
        shown = [rows[index] for index in drawn(page)]
        assert shown and all(text.strip('"').lower() in json.dumps(row).lower() for row in shown), text
    page.fill("#f-q", "no-such-thing-anywhere")
    assert counted(page) == 0 and page.is_visible(".empty >> nth=0") and not drawn(page)
    page.click(".clear")
    assert counted(page) == len(mine) and page.input_value("#f-q") == ""
    page.uncheck("#f-hideManaged")
    assert counted(page) == sum(row["suppressed"] is None for row in rows)
    page.check("#f-findings")
    assert counted(page) == sum(is_finding(row) for row in mine)
    watched.close()


def order_key(name, row, clusters):
    """The key that the column orders by, and None where nothing is known."""
    if name in ("severity", "verdict"):
        return CODES[name].index(row[name])
    if name == "do":
        return CODES["recommendation"].index(row["recommendation"])
    plain = {"age": "age_days", "used": "last_used", "excess": "excess_before"}
    if name in plain:
        return row[plain[name]]
    return clusters[row["cluster"]]["name"] if name == "cluster" else None


def columns_sort(open):
    watched = open(size=(1280, 1400))
    page = watched.page
    data, rows = model(page)
    mine = listed(rows)
    names = page.evaluate("[...document.querySelectorAll('[data-sort]')].map((b) => b.dataset.sort)")
    assert len(names) >= 8, names
    for name in names:
        head = page.locator(f"[role=columnheader]:has([data-sort={name}])")
        seen = []
        for way in ("ascending", "descending"):
            page.click(f"[data-sort={name}]")
            assert head.get_attribute("aria-sort") == way, f"{name}: {head.get_attribute('aria-sort')}"
            seen.append(drawn(page))
            if name in ("principal", "grant"):
                column = f".c-{name} .one"
                texts = [page.inner_text(f"#row-{at} {column}").lower() for at in seen[-1]]
                assert texts == sorted(texts, reverse=way == "descending"), f"{name} {way}: {texts[:5]}"
                continue
            key = lambda row: order_key(name, row, data["clusters"])
            known = [row for row in mine if key(row) is not None]
            if way == "ascending":
                known.sort(key=lambda row: (key(row), row["index"]))
            else:
                known.sort(key=lambda row: row["index"])
                known.sort(key=key, reverse=True)
            want = [row["index"] for row in known + [row for row in mine if key(row) is None]]
            assert seen[-1] == want[: len(seen[-1])], f"{name} {way}: {seen[-1][:8]} for {want[:8]}"
        page.click(f"[data-sort={name}]")
        assert head.get_attribute("aria-sort") == "none"
        assert drawn(page) == [row["index"] for row in mine][: len(drawn(page))], "the worst do not come first again"
    watched.close()


def a_drawer_tells_everything(open):
    watched = open()
    page = watched.page
    data, rows = model(page)
    mine = listed(rows)
    told = 0
    for row in mine[:40]:
        page.evaluate("(id) => { location.hash = `open=${id}`; }", row["grant_id"])
        page.wait_for_selector("dialog[open]")
        until(page, f"document.querySelector('dialog').textContent.includes('{row['grant_id']}')")
        text = page.inner_text("dialog")
        loose = re.sub(r"\s+", " ", text)
        for name in ("principal", "grant_ref", "detail", "recommendation_detail", "recommended_rbac", "granted_by", "role_ref"):
            if row[name]:
                assert re.sub(r"\s+", " ", row[name]) in loose, f"{name} of {row['grant_id']} is not told: {row[name]}"
        for command in (f"overgrant explain {row['grant_id']} --from OUT", f"--only {row['grant_id']}"):
            assert command in text or (row["recommendation"] == "keep" and "--only" in command), command
        for name in ("first_used", "last_used", "valid_from"):
            if row[name]:
                assert row[name][:16].replace("T", " ") in text, f"{name} of {row['grant_id']}"
        uses = data["uses"].get(str(row["index"]))
        if uses:
            assert page.locator("dialog tbody tr").count() == len(uses["rows"])
            told += 1
        if row["replay_denied"] == 0:
            assert "nothing that was used would be refused" in text
        rules = [part for part in data["proposals"].get(str(row["index"]), []) if part["kind"] != "access_policy"]
        if rules:
            yaml_is_what_is_proposed(page.inner_text("dialog pre"), row, rules)
        # A link may be followed with the drawer open, too.
        if row["index"] % 2:
            page.keyboard.press("Escape")
            page.wait_for_selector("dialog:not([open])", state="attached")
    assert told, "no use is told anywhere"
    watched.close()


def yaml_is_what_is_proposed(text, row, rules):
    if yaml is None:
        assert f"name: overgrant-{row['grant_id']}" in text
        return
    got = []
    for document in yaml.safe_load_all(text):
        assert document["apiVersion"] == "rbac.authorization.k8s.io/v1"
        assert document["metadata"]["name"] == f"overgrant-{row['grant_id']}"
        for rule in document["rules"]:
            got.append((document["kind"], document["metadata"].get("namespace"), rule))
    want = []
    for part in rules:
        names = {"apiGroups": "api_groups", "resources": "resources", "resourceNames": "resource_names",
                 "nonResourceURLs": "non_resource_urls", "verbs": "verbs"}
        rule = {key: part[name] for key, name in names.items() if part[name]}
        want.append(("Role" if part["kind"] == "role" else "ClusterRole", part["namespaces"] if part["kind"] == "role" else None, rule))
    order = lambda one: json.dumps(one, sort_keys=True)
    assert sorted(got, key=order) == sorted(want, key=order), f"YAML of {row['grant_id']}"


def keys_do_everything(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    mine = listed(rows)
    focus = lambda: page.evaluate("document.activeElement.id || document.activeElement.className || document.activeElement.tagName")
    active = lambda: page.get_attribute(".grid", "aria-activedescendant")
    page.keyboard.press("/")
    assert focus() == "f-q" and page.input_value("#f-q") == "", focus()
    page.keyboard.type("/")
    assert page.input_value("#f-q") == "/", "a slash cannot be typed into the filter"
    page.fill("#f-q", "")
    page.keyboard.press("ArrowDown")
    assert focus().startswith("grid"), focus()
    assert active() == f"row-{mine[0]['index']}"
    for key, at in (("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("ArrowUp", 0), ("End", len(mine) - 1), ("Home", 0), ("j", 1)):
        page.keyboard.press(key)
        assert active() == f"row-{mine[at]['index']}", f"{key}: {active()}"
        assert page.get_attribute(f"#{active()}", "aria-selected") == "true"
        assert page.locator(".row[aria-selected=true]").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert mine[1]["grant_id"] in page.inner_text("dialog")
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("j")
    assert mine[2]["grant_id"] in page.inner_text("dialog")
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert focus().startswith("grid") and active() == f"row-{mine[1]['index']}", focus()
    # Everything that can be pressed is reached with Tab alone.
    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate("""() => {
      const all = [...document.querySelectorAll('button, input, select, a[href], summary, [tabindex="0"]')];
      const there = all.filter((node) => !node.disabled && node.checkVisibility());
      there.forEach((node, at) => { node.dataset.tab = at; });
      return there.length;
    }""")
    reached = set()
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.tab"))
    missing = set(map(str, range(wanted))) - reached
    assert not missing, page.evaluate("(at) => document.querySelector(`[data-tab=\"${at}\"]`).outerHTML", sorted(missing)[0])
    watched.close()
    return f"{wanted} places reached with Tab"


def a_link_shows_the_same(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    page.click("[data-sort=used]")
    page.click("[data-sort=used]")
    select(page, "verdict", "used")
    page.uncheck("#f-hideManaged")
    page.fill("#f-q", "e \"s\"")
    before, count, hash = drawn(page), counted(page), page.evaluate("location.hash")
    assert before and hash.count("=") >= 5, hash
    watched.close()
    watched = open(hash=hash)
    page = watched.page
    assert (drawn(page), counted(page)) == (before, count), hash
    assert page.input_value("#f-q") == "e \"s\"" and not page.is_checked("#f-hideManaged")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    hash = page.evaluate("location.hash")
    grant = rows[before[0]]["grant_id"]
    assert f"open={grant}" in hash, hash
    page.keyboard.press("Escape")
    until(page, "!location.hash.includes('open=')")
    watched.close()
    watched = open(hash=hash)
    watched.page.wait_for_selector("dialog[open]")
    assert grant in watched.page.inner_text("dialog")
    watched.close()
    # A hash that makes no sense shows everything.
    watched = open(hash="#verdict=nonsense&sort=__proto__&open=constructor&cluster=x&%E0%A4%A=1")
    assert counted(watched.page) == len(listed(rows)) and not watched.page.is_visible("dialog")
    watched.close()


def copies_are_what_is_shown(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    mine = listed(rows)
    copied = lambda: page.evaluate("seen.copied.at(-1)")
    page.click("#todo .copy >> nth=0")
    text = copied()
    to_change = [row for row in mine if row["recommendation"] != "keep"]
    for row in to_change:
        assert f"(grant {row['grant_id']})" in text and row["principal"] in text, row["grant_id"]
    assert text.count("(grant ") == len(to_change)
    page.click("#todo .copy >> nth=1")
    ready = [row["grant_id"] for row in to_change if row["recommendation"] != "review"]
    assert copied() == f"overgrant remediate --from OUT --to bundle --only {' '.join(ready)}"
    page.click(".grid-body .row >> nth=0")
    page.wait_for_selector("dialog[open]")
    for button in page.locator("dialog .copy").all():
        before = page.evaluate("seen.copied.length")
        button.click()
        assert page.evaluate("seen.copied.length") == before + 1
        assert "Copied" in page.inner_text("#said")
        assert copied().strip() in page.inner_text("dialog"), copied()
    watched.close()
    # Where the browser refuses, the old way.
    watched = open(watch="""
      window.seen = {violations: [], errors: [], copied: []};
      Object.defineProperty(navigator, "clipboard", {value: {writeText: async () => { throw new Error("no"); }}});
      addEventListener("copy", () => seen.copied.push(document.activeElement.value));
    """)
    page = watched.page
    page.click(".grid-body .row >> nth=0")
    page.click("dialog .command .copy >> nth=0")
    until(page, "seen.copied.length === 1")
    assert page.evaluate("seen.copied[0]") == f"overgrant explain {mine[0]['grant_id']} --from OUT"
    assert page.locator("textarea").count() == 0
    watched.close()


def the_maps_match_the_data(open):
    watched = open()
    page = watched.page
    data, rows = model(page)
    cells = page.locator(".heat tbody td:not(.h0)").count()
    assert cells == len(data["heat"]["cells"]), f"{cells} cells of {len(data['heat']['cells'])}"
    streams = page.locator(".stream")
    assert streams.count() == len(data["coverage"])
    for at, stream in enumerate(data["coverage"]):
        missing = [day for day in stream["days"] if day[1] < day[2]]
        box = streams.nth(at)
        assert box.locator(".day").count() == len(stream["days"])
        assert box.locator(".day.part, .day.hole").count() == len(missing), stream["stream"]
        holes = box.locator("li").all_text_contents()
        assert holes == [f"{day}: {want - have} of {want} h missing" for day, have, want in missing], stream["stream"]
        if missing:
            assert "100.0 %" not in box.inner_text(), "a hole is rounded away"
    assert page.locator("#timeline .tl-row .link").count() == min(40, len(listed(rows)))
    used = [row for row in listed(rows)[:40] if row["first_used"]]
    assert page.locator(".timeline .use").count() == len(used)
    assert page.locator("#timeline tbody tr").count() == min(200, len(data["changes"]))
    page.click("#timeline .link >> nth=1")
    page.wait_for_selector("dialog[open]")
    assert listed(rows)[1]["grant_id"] in page.inner_text("dialog")
    watched.close()


def paper_holds_all_rows(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    page.check("#f-findings")
    count = counted(page)
    page.emulate_media(media="print")
    until(page, "document.querySelectorAll('#print tbody tr').length > 0")
    assert page.locator("#print tbody tr").count() == min(count, 2000)
    assert not page.is_visible(".grid") and not page.is_visible("nav") and page.is_visible("#print")
    text = page.inner_text("#print")
    for row in [row for row in listed(rows) if is_finding(row)][:2000]:
        assert row["grant_id"] in text and row["detail"] in text, row["grant_id"]
    page.emulate_media(media="screen")
    assert len(page.pdf()) > 10_000
    assert page.is_visible(".grid")
    watched.close()


CONTRAST = """() => {
  const parse = (color) => { const n = color.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] > 0.99) return color;
    }
    return [255, 255, 255, 1];
  };
  const bad = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.disabled || node.closest('.said, script, noscript, .glyph')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${node.className || node.tagName} "${node.textContent.slice(0, 20)}" ${ratio.toFixed(2)}`);
  }
  return [...new Set(bad)];
}"""


def everyone_can_read_it(open):
    for scheme in ("light", "dark"):
        watched = open(scheme=scheme)
        page = watched.page
        bad = page.evaluate(CONTRAST)
        assert not bad, f"{scheme}: {bad[:6]}"
        page.click(".grid-body .row >> nth=0")
        page.wait_for_selector("dialog[open]")
        bad = page.evaluate(CONTRAST)
        assert not bad, f"{scheme}, drawer: {bad[:6]}"
        watched.close()
    watched = open()
    page = watched.page
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, input, select, [role=grid], [role=img], dialog, [role=region]')]
      .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length
        || document.getElementById(node.getAttribute('aria-labelledby'))) && node.id !== 'drawer')
      .map((node) => node.outerHTML.slice(0, 120))""")
    assert not nameless, nameless[:3]
    assert page.get_attribute(".grid", "aria-rowcount") == str(counted(page) + 1)
    shape = page.evaluate("""() => [...document.querySelectorAll('.grid [role=row]')].every((row) =>
      row.parentElement.getAttribute('role') === 'rowgroup' && row.ariaRowIndex &&
      [...row.children].every((cell) => ['gridcell', 'columnheader'].includes(cell.getAttribute('role'))))""")
    assert shape, "the grid is not made of rows and cells"
    doubles = page.evaluate("(() => { const ids = [...document.querySelectorAll('[id]')].map((n) => n.id); return ids.length - new Set(ids).size; })()")
    assert doubles == 0, "an id is there twice"
    watched.close()


def narrow_windows_hold_it(open):
    for size in ((1280, 900), (768, 900), (400, 800), (320, 700)):
        watched = open(size=size)
        page = watched.page
        no_scroll_sideways(page, "the page")
        tall = page.evaluate("[...document.querySelectorAll('.grid-body .row')].slice(0, 2).map((row) => row.getBoundingClientRect().top)")
        height = page.evaluate("document.querySelector('.grid-body .row').offsetHeight")
        assert len(tall) < 2 or abs(tall[1] - tall[0] - height) < 1, f"rows of {height} px are {tall[1] - tall[0]} px apart"
        page.locator(".grid-body .row").first.click(position={"x": 20, "y": 20})
        page.wait_for_selector("dialog[open]")
        inner = page.evaluate("(() => { const d = document.querySelector('dialog'); return [d.scrollWidth, d.clientWidth, d.getBoundingClientRect().left]; })()")
        assert inner[0] <= inner[1] and inner[2] >= 0, f"the drawer is {inner} at {size[0]} px"
        watched.close()


def without_script_it_says_where(open):
    watched = open(javascript=False)
    page = watched.page
    assert page.is_visible("noscript"), "nothing is said"
    text = page.inner_text("noscript")
    assert "reports/grant_review.parquet" in text and "JavaScript" in text
    data, rows = model(page)
    assert ("partial" in text) != data["complete"], text
    for column, codes in (("verdict", CODES["verdict"]), ("severity", CODES["severity"])):
        for code in codes:
            want = sum(row[column] == code for row in listed(rows))
            assert f"{code.replace('_', ' ')} {want}" in text, f"{code} {want} is not told: {text}"
    assert not page.is_visible("#main")
    assert not watched.bad, watched.bad[:3]
    watched.context.close()


ALL = [
    policy_is_strict_and_holds, tiles_match_the_data, filters_match_the_data, columns_sort, a_drawer_tells_everything,
    keys_do_everything, a_link_shows_the_same, copies_are_what_is_shown, the_maps_match_the_data, paper_holds_all_rows,
    everyone_can_read_it, narrow_windows_hold_it, without_script_it_says_where,
]
