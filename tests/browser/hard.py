"""What holds of large and of hostile reports."""

import json
import re
import shlex

from checks import counted, drawn, listed, model, until, yaml

# What must not stand raw in anything that a reader sees: controls, direction, no width, blanks like a space.
RAW = (
    "[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u2000-\\u200f"
    "\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb]|[\\u{e0000}-\\u{e0fff}]|\\p{M}{3}"
)
RAW_ANYWHERE = """(raw) => {
  const bad = new RegExp(raw, 'u');
  const found = [];
  const see = (where, text) => { if (bad.test(text)) found.push(`${where}: ${JSON.stringify(text.slice(0, 80))}`); };
  see('title', document.title);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === 3) {
      const home = node.parentElement.closest('script, noscript, pre, style');
      if (!home || home.tagName === 'PRE') see(node.parentElement.className || node.parentElement.tagName, node.data);
    } else {
      for (const { name, value } of node.attributes) see(`${node.tagName} ${name}`, value);
    }
  }
  return found;
}"""
MADE = "img, svg, iframe, object, embed, marquee, video, a[href]:not(.skip), x-made, form:not(#filters), style:not(head > style), [onerror], [onclick], [onload]"


def nothing_made(page, when):
    assert page.evaluate("window.__pwned") is None, f"{when}: a script from the data ran"
    made = page.evaluate("(made) => [...document.querySelectorAll(made)].map((node) => node.outerHTML.slice(0, 100))", MADE)
    assert not made, f"{when}: {made[:3]}"
    assert page.evaluate("document.querySelectorAll('script').length") == 2, when
    raw = page.evaluate(RAW_ANYWHERE, RAW)
    assert not raw, f"{when}: {raw[:3]}"


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


# What somebody may call himself, a namespace or a role; `tests/page.rs` writes it into logs and an inventory.
LOGGED_NAMES = (
    "<img src=x onerror=window.__pwned=1>", "</script><script>window.__pwned=1</script>", "<svg/onload=window.__pwned=1>",
    "\"'><x-made onclick=alert(1)>", "javascript:window.__pwned=1", "<!--<script>", "safe\u202egnp.exe", "\u200b",
    "esc\u001b[2J", "line\nbreak", "\u2028", "{{DATA}}{{SCRIPT}}{{COUNTS}}", "=cmd|' /C calc'!A0", "__proto__", "constructor",
    "`rm -rf ~`$(id)'\"",
)


def what_logs_say_stays_text(open):
    """In the page of a run whose logs and inventory are hostile."""
    watched = open()
    page = watched.page
    data, rows = model(page)
    grants = list(strings(data["grants"]["rows"]))
    used = list(strings([data["uses"], data["heat"]]))
    for name in LOGGED_NAMES:
        assert any(name in text for text in grants), f"no grant has {name!r}"
        assert any(name in text for text in used), f"no use has {name!r}"
    watched.close()
    inert(open, {f"{name!r}": name for name in LOGGED_NAMES})
    copies_are_escaped(open, lambda word: re.fullmatch(r"[0-9a-f]{16}", word))
    return f"{len(rows)} grants"


def hostile_text_stays_text(open):
    inert(open, {
        "an element": "<img", "an override": "\u202e", "a member": "constructor", "the prototype": "__proto__",
        "a quote": '"constructor', "an escape": "\\u{202e}",
    })


def inert(open, searched):
    watched = open()
    page = watched.page
    _, rows = model(page)
    nothing_made(page, "as opened")
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    page.click(".clear") if page.is_enabled(".clear") else None
    page.uncheck("#f-hideManaged")
    page.uncheck("#f-hideSuppressed") if page.locator("#f-hideSuppressed").count() else None
    assert counted(page) == len(rows)
    page.wait_for_timeout(250)
    page.locator(".grid-body .row").first.click(position={"x": 20, "y": 20})
    for at in range(len(rows)):
        page.wait_for_selector("dialog[open]")
        nothing_made(page, f"drawer {at}")
        page.keyboard.press("j")
    page.keyboard.press("Escape")
    text = page.inner_text("main")
    for payload in ("<img src=x onerror=window.__pwned=1>", "\\u{202e}", "\\u{200b}", "\\u{1b}", "</script><script>", "{{DATA}}"):
        assert payload in text or payload in page.evaluate("document.querySelector('#main').textContent"), f"{payload} is not shown"
    assert page.locator(".esc").count() > 0
    for name, text in searched.items():
        # A quote begins several words, and a line ends what can be typed.
        typed = text if text.startswith('"con') else text.replace('"', " ").split("\n")[0]
        page.evaluate(KEY, typed)
        assert counted(page) > 0, f"nothing is found for {name}"
        page.wait_for_timeout(200)
        nothing_made(page, f"filter {name}")
    page.fill("#f-q", "")
    for index in range(page.locator("#f-cluster option").count()):
        page.select_option("#f-cluster", index=index)
        nothing_made(page, f"cluster {index}")
    page.emulate_media(media="print")
    until(page, "document.querySelectorAll('#print tbody tr').length > 0")
    nothing_made(page, "on paper")
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    page.emulate_media(media="screen")
    watched.close()
    for size in ((1280, 900), (400, 800)):
        watched = open(size=size)
        wide = watched.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"a long name makes the page {wide[0]} px wide at {wide[1]}"
        watched.close()


def hostile_copies_are_escaped(open):
    return copies_are_escaped(open, lambda word: re.search(r"#\d+$", word))


def copies_are_escaped(open, is_id):
    watched = open()
    page = watched.page
    data, rows = model(page)
    page.click("#todo .copy >> nth=0")
    page.click("#todo .copy >> nth=1")
    seen = 0
    page.locator(".grid-body .row").first.click(position={"x": 20, "y": 20})
    for row in listed(rows):
        for button in page.locator("dialog .copy").all():
            button.evaluate("(node) => node.click()")
            seen += 1
        if page.locator("dialog pre").count():
            hostile_yaml(page.inner_text("dialog pre"), data["proposals"][str(row["index"])])
        page.keyboard.press("j")
    bad = page.evaluate("(raw) => seen.copied.filter((text) => new RegExp(raw, 'u').test(text))", RAW)
    assert not bad, f"copied raw: {bad[:2]!r}"
    copied = page.evaluate("seen.copied")
    assert len(copied) == seen + 2, f"{len(copied)} copies of {seen + 2}"
    commands = [text for text in copied if text.startswith("overgrant ")]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(command)
        flags = {"overgrant", "explain", "remediate", "--from", "OUT", "--to", "bundle", "--only"}
        ids = [word for word in words if word not in flags]
        assert ids and all(is_id(word) for word in ids), f"a name is not one word: {command[:200]}"
    watched.close()
    return f"{len(copied)} copies"


def hostile_yaml(text, parts):
    if yaml is None:
        return
    got = [rule for document in yaml.safe_load_all(text) for rule in document["rules"]]
    rules = [part for part in parts if part["kind"] != "access_policy"]
    assert sorted(json.dumps(rule["verbs"]) for rule in got) == sorted(json.dumps(part["verbs"]) for part in rules)


SPIN = "(() => { let sum = 0; for (let at = 0; at < 2e7; at += 1) sum += at % 7; return sum; })()"


class Busy:
    """How long the page's main thread computes, in turns: a turn is what a loop of twenty million steps takes.

    Neither other programs nor a slow machine change it much: it is time of the processor, and the loop is
    measured beside each act.
    """

    def __init__(self, page):
        self.page = page
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.took(lambda: page.evaluate(SPIN))

    def now(self):
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration") * 1000

    def took(self, act):
        """Milliseconds of an act, drawn as well."""
        before = self.now()
        act()
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
        return self.now() - before

    def turns(self, act, times=1):
        """Turns for one of `times` that `act` does."""
        turn = self.took(lambda: self.page.evaluate(SPIN))
        took = self.took(act) / times
        turn = max(turn, self.took(lambda: self.page.evaluate(SPIN)))
        return took / turn


# Two to three times the worst that was measured, beside a compiler on the same two cores. A key that waits for
# something else than the processor is seen by the clock, with the best of eleven within a second.
A_KEY, AN_ORDER, A_SCROLL, AN_OPENING, A_WAIT = 10, 6, 5, 40, 1000
KEY = """(text) => {
  const input = document.getElementById('f-q');
  input.value = text;
  const start = performance.now();
  input.dispatchEvent(new Event('input', {bubbles: true}));
  return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0)));
}"""


def a_big_report_is_quick(open):
    watched = open()
    page = watched.page
    page.wait_for_timeout(1500)
    _, rows = model(page)
    assert len(rows) >= 10_000
    busy = Busy(page)
    keys, waits, counts = [], [], []
    for text in ["p", "pa", "pay", "pay r", "pay re", "reader", "zzz", "", "system:masters", "arn 444455556666", ""]:
        # Only until the rows are drawn: what is below the table follows when there is time.
        keys.append(busy.turns(lambda: waits.append(page.evaluate(KEY, text))))
        counts.append(counted(page))
        page.wait_for_timeout(350)
    assert counts[6] == 0 and counts[7] == counts[10] == len(listed(rows)) > counts[2] > 0, counts
    # One may have been unlucky.
    slow = sorted(keys)[-2]
    assert slow < A_KEY, f"a key in the filter took {slow:.1f} turns"
    assert min(waits) < A_WAIT, f"a key waited {min(waits):.0f} ms"
    orders = []
    for name in ("principal", "used", "excess"):
        ways = []
        for _ in ("up", "down", "as it was"):
            ways.append(busy.turns(lambda: page.evaluate("(name) => document.querySelector(`[data-sort=${name}]`).click()", name)))
            page.wait_for_timeout(350)
        orders.append(min(ways[:2]))
    assert max(orders) < AN_ORDER, f"an order took {max(orders):.1f} turns"
    watched.close()
    return f"a key {slow:.1f} turns, an order at most {max(orders):.1f}"


def a_big_report_scrolls(open):
    watched = open()
    page = watched.page
    page.wait_for_timeout(1500)
    _, rows = model(page)
    mine = listed(rows)
    # What is in the page must not grow with the grants.
    nodes = page.evaluate("document.querySelectorAll('*').length")
    assert nodes < 9000, f"{nodes} elements"
    busy, frames = Busy(page), {}

    def scroll():
        frames.update(page.evaluate("""async () => {
          const grid = document.querySelector('.grid');
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          let most = 0, blank = 0;
          const end = grid.scrollHeight - grid.clientHeight;
          for (let step = 0; step <= 120; step += 1) {
            grid.scrollTop = step < 60 ? step * 137 : end * (step - 60) / 60;
            await frame();
            await frame();
            const rows = [...document.querySelectorAll('.grid-body .row')];
            most = Math.max(most, rows.length);
            const box = grid.getBoundingClientRect();
            const middle = box.top + box.height / 2;
            if (!rows.some((row) => row.getBoundingClientRect().top <= middle && row.getBoundingClientRect().bottom >= middle)) blank += 1;
          }
          return {most, blank};
        }"""))

    step = busy.turns(scroll, 121)
    assert frames["most"] <= 60, f"{frames['most']} rows are drawn at once"
    assert frames["blank"] == 0, f"{frames['blank']} times nothing was drawn in sight"
    assert step < A_SCROLL, f"a step of scrolling took {step:.1f} turns"
    assert drawn(page)[-1] == mine[-1]["index"], "the last row is not reached"
    page.evaluate("document.querySelector('.grid').focus()")
    page.keyboard.press("End")
    assert page.get_attribute(".grid", "aria-activedescendant") == f"row-{mine[-1]['index']}"
    after = page.evaluate("document.querySelectorAll('*').length")
    assert after <= nodes + 60 * 40, f"{nodes} elements became {after}"
    watched.close()
    return f"{frames['most']} rows of {len(mine)} at once, {nodes} elements, a step {step:.2f} turns"


def a_big_report_opens_and_prints(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    took = Busy(page).turns(page.reload)
    assert took < AN_OPENING, f"opening took {took:.0f} turns"
    page.wait_for_selector("#main:not([hidden])")
    page.emulate_media(media="print")
    until(page, "document.querySelectorAll('#print tbody tr').length > 0")
    assert page.locator("#print tbody tr").count() == 2000
    text = page.inner_text("#print p >> nth=0")
    assert f"the first 2,000 of {len(listed(rows)):,}" in text, text
    page.emulate_media(media="screen")
    watched.close()
    return f"opened within {took:.0f} turns"


def screenshots(open, folder, name):
    for scheme in ("light", "dark"):
        for width in (1280, 400):
            watched = open(size=(width, 900), scheme=scheme)
            watched.page.wait_for_timeout(300)
            watched.page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
            watched.page.locator(".grid-body .row").first.click(position={"x": 20, "y": 20})
            watched.page.wait_for_timeout(300)
            watched.page.screenshot(path=folder / f"{name}-{scheme}-{width}-drawer.png")
            watched.close()


BIG = [a_big_report_is_quick, a_big_report_scrolls, a_big_report_opens_and_prints]
HOSTILE = [hostile_text_stays_text, hostile_copies_are_escaped]
LOGGED = [what_logs_say_stays_text]
