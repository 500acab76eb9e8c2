"""What holds of large and of hostile reports."""

import json
import re
import statistics

from checks import counted, drawn, listed, model, until

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


def hostile_text_stays_text(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    nothing_made(page, "as opened")
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    page.click(".clear") if page.is_enabled(".clear") else None
    page.uncheck("#f-hideManaged")
    page.uncheck("#f-hideSuppressed")
    assert counted(page) == len(rows)
    page.wait_for_timeout(250)
    page.locator(".grid-body .row").first.click(position={"x": 20, "y": 20})
    for at in range(len(rows)):
        page.wait_for_selector("dialog[open]")
        nothing_made(page, f"drawer {at}")
        page.keyboard.press("j")
    page.keyboard.press("Escape")
    text = page.inner_text("main")
    for payload in ("<img src=x onerror=window.__pwned=1>", "\\u{202e}", "\\u{200b}", "\\u{7}", "</script><script>", "{{DATA}}"):
        assert payload in text or payload in page.evaluate("document.querySelector('#main').textContent"), f"{payload} is not shown"
    assert page.locator(".esc").count() > 0
    for text in ("<img", "\u202e", "constructor", "__proto__", '"constructor', "\\u{202e}"):
        page.fill("#f-q", text)
        assert counted(page) > 0, f"nothing is found for {text!r}"
        page.wait_for_timeout(200)
        nothing_made(page, f"filter {text!r}")
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
        import shlex
        words = shlex.split(command)
        flags = {"overgrant", "explain", "remediate", "--from", "OUT", "--to", "bundle", "--only"}
        ids = [word for word in words if word not in flags]
        assert all(re.search(r"#\d+$", word) for word in ids), f"a name is not one word: {command[:200]}"
    watched.close()
    return f"{len(copied)} copies"


def hostile_yaml(text, parts):
    try:
        import yaml
    except ImportError:
        return
    got = [rule for document in yaml.safe_load_all(text) for rule in document["rules"]]
    rules = [part for part in parts if part["kind"] != "access_policy"]
    assert sorted(json.dumps(rule["verbs"]) for rule in got) == sorted(json.dumps(part["verbs"]) for part in rules)


def a_big_report_is_quick(open):
    watched = open()
    page = watched.page
    page.wait_for_timeout(1500)
    _, rows = model(page)
    assert len(rows) >= 10_000
    measure = """async (text) => {
      const input = document.getElementById('f-q');
      const start = performance.now();
      input.value = text;
      input.dispatchEvent(new Event('input', {bubbles: true}));
      document.getElementById('count').getBoundingClientRect();
      const sync = performance.now() - start;
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
      return [sync, performance.now() - start];
    }"""
    took = []
    for text in ["p", "pa", "pay", "pay r", "pay re", "reader", "zzz", "", "system:masters", "arn 444455556666", ""]:
        took.append(page.evaluate(measure, text))
        page.wait_for_timeout(350)
    slow, frame = max(sync for sync, _ in took), statistics.median(frame for _, frame in took)
    assert slow < 100, f"a key in the filter took {slow:.0f} ms"
    assert frame < 100, f"until the next frame {frame:.0f} ms"
    sorts = []
    for name in ("principal", "used", "excess"):
        sorts.append(page.evaluate("""(name) => {
          const start = performance.now();
          document.querySelector(`[data-sort=${name}]`).click();
          document.getElementById('count').getBoundingClientRect();
          return performance.now() - start;
        }""", name))
        page.wait_for_timeout(350)
    assert max(sorts) < 150, f"an order took {max(sorts):.0f} ms"
    watched.close()
    return f"filter at most {slow:.0f} ms, frame {frame:.0f} ms, order at most {max(sorts):.0f} ms"


def a_big_report_scrolls(open):
    watched = open()
    page = watched.page
    page.wait_for_timeout(1500)
    _, rows = model(page)
    mine = listed(rows)
    # What is in the page must not grow with the grants.
    nodes = page.evaluate("document.querySelectorAll('*').length")
    assert nodes < 9000, f"{nodes} elements"
    frames = page.evaluate("""async () => {
      const grid = document.querySelector('.grid');
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const took = [];
      let most = 0, blank = 0;
      const end = grid.scrollHeight - grid.clientHeight;
      for (let step = 0; step <= 120; step += 1) {
        const start = performance.now();
        grid.scrollTop = step < 60 ? step * 137 : end * (step - 60) / 60;
        await frame();
        await frame();
        took.push(performance.now() - start);
        const rows = [...document.querySelectorAll('.grid-body .row')];
        most = Math.max(most, rows.length);
        const box = grid.getBoundingClientRect();
        const middle = box.top + box.height / 2;
        if (!rows.some((row) => row.getBoundingClientRect().top <= middle && row.getBoundingClientRect().bottom >= middle)) blank += 1;
      }
      return {took, most, blank};
    }""")
    took = sorted(frames["took"])
    assert frames["most"] <= 60, f"{frames['most']} rows are drawn at once"
    assert frames["blank"] == 0, f"{frames['blank']} times nothing was drawn in sight"
    assert took[int(len(took) * 0.95)] < 100, f"scrolling: {took[int(len(took) * 0.95)]:.0f} ms"
    assert drawn(page)[-1] == mine[-1]["index"], "the last row is not reached"
    page.evaluate("document.querySelector('.grid').focus()")
    page.keyboard.press("End")
    assert page.get_attribute(".grid", "aria-activedescendant") == f"row-{mine[-1]['index']}"
    watched.close()
    return f"{frames['most']} rows of {len(mine)} at once, {nodes} elements, 95 % within {took[int(len(took) * 0.95)]:.0f} ms"


def a_big_report_opens_and_prints(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert took < 3000, f"opened after {took:.0f} ms"
    page.emulate_media(media="print")
    until(page, "document.querySelectorAll('#print tbody tr').length > 0")
    assert page.locator("#print tbody tr").count() == 2000
    text = page.inner_text("#print p >> nth=0")
    assert f"the first 2,000 of {len(listed(rows)):,}" in text, text
    page.emulate_media(media="screen")
    watched.close()
    return f"opened after {took:.0f} ms"


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
