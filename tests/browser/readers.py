"""What readers need: no network, a mail program, keys alone, a screen reader, dark rooms and paper.

Each check opens the page itself, as those of `checks.py` do.
"""

import pathlib
import re
from urllib.parse import urlparse
from urllib.request import url2pathname

from checks import CONTRAST, counted, listed, model, until

ASKS = """() => {
  const found = [];
  for (const node of document.querySelectorAll('[src], [href], [srcset], [action], [data], [poster], [ping], [style]')) {
    for (const { name, value } of node.attributes) {
      if (!['src', 'href', 'srcset', 'action', 'data', 'poster', 'ping', 'style'].includes(name)) continue;
      const fine = name === 'href' ? value === 'data:,' || value.startsWith('#') : name === 'style' && !value.includes('url(');
      if (!fine) found.push(`${node.tagName} ${name} ${value}`.slice(0, 100));
    }
  }
  const style = document.querySelector('head > style').textContent;
  if (/url\\(|@import|image-set|src:/.test(style)) found.push('the style asks for something');
  for (const node of document.querySelectorAll('link, iframe, img, object, embed, video, audio, base, meta[http-equiv=refresh]')) {
    if (node.getAttribute('href') !== 'data:,') found.push(node.outerHTML.slice(0, 100));
  }
  return found;
}"""


def nothing_is_asked_for(open):
    """From disk, offline, whatever is pressed: the file itself is all that is ever read."""
    watched = open()
    page = watched.page
    assert page.url.startswith("file:"), page.url
    watched.context.set_offline(True)
    _, rows = model(page)
    for selector in (".tile", "[data-sort]", "#todo .copy", "nav button"):
        for at in range(min(3, page.locator(selector).count())):
            page.locator(selector).nth(at).click()
    page.fill("#f-q", "https://example.invalid/x.png")
    page.fill("#f-q", "")
    page.click(".clear") if page.is_enabled(".clear") else None
    page.click(".grid-body .row >> nth=0")
    page.wait_for_selector("dialog[open]")
    for _ in range(min(5, len(listed(rows)))):
        page.keyboard.press("j")
    page.click("dialog .copy >> nth=0")
    found = page.evaluate(ASKS)
    assert not found, found[:3]
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert set(watched.asked) <= {watched.url, "data:,"}, watched.asked
    assert watched.asked.count(watched.url) == 1, watched.asked
    assert page.evaluate("document.cookie + JSON.stringify(Object.keys(window.localStorage))") == "[]"
    watched.close()


def a_mail_program_shows_it(open):
    """An attachment is often shown in a sandbox: with scripts and an origin of nobody, or without scripts."""
    watched = open()
    source = pathlib.Path(url2pathname(urlparse(watched.url).path)).read_text(encoding="utf-8")
    for sandbox in ("allow-scripts", ""):
        page = watched.context.new_page()
        bad = []
        page.on("pageerror", lambda error: bad.append(str(error)))
        page.on("request", lambda request: bad.append(request.url[:100]) if not request.url.startswith(("about:", "data:,")) else None)
        page.evaluate("""([source, sandbox]) => {
          const frame = document.createElement('iframe');
          frame.setAttribute('sandbox', sandbox);
          frame.style.cssText = 'width: 1100px; height: 800px';
          frame.srcdoc = source;
          document.body.append(frame);
        }""", [source, sandbox])
        frame = page.frame_locator("iframe")
        if not sandbox:
            frame.locator("noscript").wait_for(timeout=10_000)
            assert "Grants by verdict" in frame.locator("noscript").inner_text()
            assert not frame.locator("#main").is_visible()
        else:
            frame.locator("#main").wait_for(timeout=10_000)
            before = frame.locator("#count").inner_text()
            frame.locator("[data-sort=used]").click()
            frame.locator("#f-q").fill("no-such-thing-anywhere")
            assert frame.locator("#count").inner_text().startswith("0 of"), before
            frame.locator(".clear").click()
            frame.locator(".grid-body .row").first.click()
            frame.locator("dialog[open]").wait_for()
            assert "overgrant explain" in frame.locator("dialog").inner_text()
            frame.locator("dialog .copy").first.click()
            frame.locator("#said.on").wait_for()
            assert not frame.locator("#failed").is_visible()
        page.close()
        assert not bad, f"sandbox {sandbox!r}: {bad[:3]}"
    watched.close()


def keys_alone_lead_to_a_copy(open):
    """From the top of the page to the table, a grant, its command on the clipboard, and back."""
    watched = open()
    page = watched.page
    _, rows = model(page)
    row = next((row for row in listed(rows) if row["recommendation"] != "keep"), None)
    assert row is not None, "nothing is recommended"
    where = lambda: page.evaluate("document.activeElement.outerHTML.slice(0, 120)")

    def tab_to(selector, most=80):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached with Tab: {where()}")

    tab_to(".skip", 1)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "findings-h", where()
    tab_to("#f-q", 3)
    page.keyboard.type(row["grant_id"])
    assert counted(page) == 1
    tab_to(".grid", 30)
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.activeElement.id") == "drawer-h", where()
    tab_to('.copy[aria-label*="writes the change"]', 10)
    page.keyboard.press("Enter")
    until(page, "seen.copied.length === 1")
    assert page.evaluate("seen.copied[0]") == f"overgrant remediate --from OUT --to bundle --only {row['grant_id']}"
    said = page.evaluate("(() => { const s = document.getElementById('said'); return [s.textContent, s.getAttribute('role'), !!s.closest('dialog')]; })()")
    assert said[0].startswith("Copied") and said[1:] == ["status", True], said
    # The focus does not leave the dialog, however often Tab is pressed.
    for _ in range(30):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || document.activeElement.closest('dialog') !== null"), where()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert page.evaluate("document.activeElement.classList.contains('grid')"), where()
    # A busy browser tells of the closing late: who is further on by then stays there.
    tab_to(".grid [data-sort]", 1)
    page.evaluate("document.getElementById('drawer').dispatchEvent(new Event('close'))")
    assert page.evaluate("document.activeElement.matches('[data-sort]')"), where()
    # Everything recommended at once.
    tab_to("#todo .copy", 10)
    page.keyboard.press("Space")
    until(page, "seen.copied.length === 2")
    assert f"(grant {row['grant_id']})" in page.evaluate("seen.copied[1]")
    # A grant that is opened from the list leads back to the list.
    tab_to("#todo li button.link", 10)
    opener = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    until(page, "drawer.childElementCount === 0")
    assert page.evaluate("document.activeElement.textContent") == opener, where()
    watched.close()


FOCUS = """() => {
  const node = document.activeElement;
  if (node === document.body) return null;
  for (let at = node; at; at = at.parentElement) {
    if (getComputedStyle(at).clipPath !== 'none') return `${node.outerHTML.slice(0, 80)} is hidden`;
  }
  const box = node.getBoundingClientRect();
  if (box.width < 4 || box.height < 4) return `${node.outerHTML.slice(0, 80)} has no size`;
  if (box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) return `${node.outerHTML.slice(0, 80)} is out of sight`;
  const style = getComputedStyle(node);
  if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) return `${node.outerHTML.slice(0, 80)} has no outline`;
  return null;
}"""


def the_focus_is_seen(open):
    places = 0
    for size in ((1280, 900), (400, 800)):
        watched = open(size=size)
        page = watched.page
        seen = set()
        for _ in range(400):
            page.keyboard.press("Tab")
            at = page.evaluate("(() => { const n = document.activeElement; n.dataset.at ??= Math.random(); return n === document.body ? null : n.dataset.at; })()")
            if at is None or at in seen:
                break
            seen.add(at)
            wrong = page.evaluate(FOCUS)
            assert wrong is None, f"{size[0]} px: {wrong}"
        assert len(seen) > 20
        places += len(seen)
        watched.close()
    return f"{places} places"


def a_screen_reader_finds_its_way(open):
    watched = open()
    page = watched.page
    _, rows = model(page)
    assert page.get_attribute("html", "lang") == "en"
    levels = page.evaluate("[...document.querySelectorAll('main h2, main h3, h1')].filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1, levels
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:])), f"a level is left out: {levels}"
    tree = page.locator("body").aria_snapshot()
    for part in ("- banner:", "- main:", "- contentinfo:", '- navigation "Parts of the report"', '- search "Filter the grants"',
                 '- grid "Grants"', '- region "Overview"', '- region "Grants"', '- region "Recommended changes"', '- status'):
        assert part in tree, f"{part} is not in the tree"
    # Every control is named in it, and a glyph is in no name.
    nameless = re.findall(r"- (?:button|link|checkbox|combobox|searchbox|textbox|grid|dialog|img|columnheader)(?: \[[^\]]*\])*:?\n", tree)
    assert not nameless, nameless
    glyphs = re.findall(r'(?:button|row|gridcell|columnheader) "[^"]*[◆▲■▼⊘◔○≡◐●✕⇄÷✓∑⌂][^"]*"', tree)
    assert not glyphs, glyphs[:3]
    assert page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0, "the order of focus is not that of the page"
    assert page.get_attribute("#count", "role") == "status" and page.get_attribute("#said", "role") == "status"
    # A tile tells its number and whether it is pressed.
    tile = page.locator("#tile-findings").aria_snapshot()
    assert re.search(r'button "[\d,]+ ?findings?', tile), tile
    page.click("#tile-findings")
    assert "[pressed]" in page.locator("#tile-findings").aria_snapshot()
    page.click("#tile-findings")
    # Cells of a row are told with their column; what is sorted says so.
    first = page.locator(".grid-body .row").first
    assert first.locator("[role=gridcell]").count() == page.locator("[role=columnheader]").count()
    page.click("[data-sort=age]")
    assert page.locator("[role=columnheader][aria-sort=ascending]").count() == 1
    page.click(".grid-body .row >> nth=0")
    page.wait_for_selector("dialog[open]")
    named = page.evaluate("document.getElementById(document.querySelector('dialog').getAttribute('aria-labelledby')).textContent")
    assert page.locator(f"dialog[open]").aria_snapshot().startswith("- dialog"), "the drawer is no dialog"
    assert named.strip() and page.evaluate("document.activeElement.id") == "drawer-h"
    nameless = page.evaluate("""() => [...document.querySelectorAll('dialog button, dialog [tabindex="0"]')]
      .filter((node) => !(node.getAttribute('aria-label') || /\\w/.test(node.textContent))).map((node) => node.outerHTML.slice(0, 100))""")
    assert not nameless, nameless
    watched.close()


BACK = """() => {
  const light = (node) => { const [r, g, b] = getComputedStyle(node).backgroundColor.match(/[\\d.]+/g).map(Number); return (r + g + b) / 765; };
  return [light(document.body), light(document.querySelector('.grid')), light(document.querySelector('dialog'))];
}"""


def dark_and_light_follow_the_system(open):
    for scheme, other in (("light", "dark"), ("dark", "light")):
        watched = open(scheme=scheme)
        page = watched.page
        for now in (scheme, other):
            page.emulate_media(color_scheme=now)
            lights = page.evaluate(BACK)
            fits = all(light > 0.9 for light in lights) if now == "light" else all(light < 0.2 for light in lights)
            assert fits, f"{now}: {lights}"
            assert page.evaluate("getComputedStyle(document.querySelector('#f-q')).colorScheme") == "light dark"
        watched.close()


def forced_colours_keep_what_colours_say(open):
    watched = open()
    page = watched.page
    page.emulate_media(forced_colors="active")
    kinds = page.evaluate("""() => ['.h1', '.h5', '.day.full', '.day.part', '.bar > span'].map((name) => {
      const node = document.querySelector(name);
      return node && getComputedStyle(node).backgroundColor;
    })""")
    known = [kind for kind in kinds if kind]
    assert len(set(known)) == len(known) >= 3, kinds
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("getComputedStyle(document.querySelector('.row[aria-selected=true]')).outlineStyle") == "solid"
    watched.close()


# A4 on its side without its margins, in pixels.
PAPER = (1031, 702)


def paper_is_readable(open):
    """Black on white also where the screen is dark; nothing wider than the sheet, nothing cut by a box."""
    for scheme in ("light", "dark"):
        watched = open(scheme=scheme, size=PAPER)
        page = watched.page
        closed = page.locator("main details:not([open])").count()
        page.emulate_media(media="print", color_scheme=scheme)
        until(page, "document.querySelectorAll('#print tbody tr').length > 0")
        assert page.evaluate(BACK)[0] == 1, f"{scheme}: the paper is not white"
        bad = page.evaluate(CONTRAST)
        assert not bad, f"{scheme}: {bad[:5]}"
        wide = page.evaluate("""() => [...document.querySelectorAll('main *, #print *')]
          .filter((node) => node.checkVisibility() && !node.closest('.vh, .bar, .tl-track') && node.getBoundingClientRect().right > innerWidth + 1)
          .map((node) => `${node.tagName} ${node.className} ${Math.round(node.getBoundingClientRect().right)}`)""")
        assert not wide, f"{scheme}: wider than the paper: {wide[:3]}"
        cut = page.evaluate("""() => [...document.querySelectorAll('main *')]
          .filter((node) => node.checkVisibility() && ['auto', 'scroll'].includes(getComputedStyle(node).overflowY) &&
            node.scrollHeight > node.clientHeight + 1).map((node) => node.className)""")
        assert not cut, f"{scheme}: a box that scrolls is cut: {cut[:3]}"
        pressable = page.evaluate("[...document.querySelectorAll('input, select, .copy, .tile[aria-pressed] + nav, nav, dialog')].filter((n) => n.checkVisibility()).length")
        assert pressable == 0, f"{pressable} things to press are on paper"
        broken = page.evaluate("""() => [...document.querySelectorAll('#print th, #print td.nowrap, #print .id')].filter((cell) => {
          const range = document.createRange();
          range.selectNodeContents(cell);
          const line = parseFloat(getComputedStyle(cell).fontSize) * 2;
          return range.getBoundingClientRect().height > line;
        }).map((cell) => cell.textContent.slice(0, 30)).slice(0, 3)""")
        assert not broken, f"{scheme}: broken within a word: {broken}"
        folded = page.locator("main details:not([open])").count()
        assert folded == 0, f"{folded} things are folded up on paper"
        head = page.evaluate("getComputedStyle(document.querySelector('#print thead')).display")
        assert head == "table-header-group", "the head is not repeated on every sheet"
        # A browser asks for styles of a sheet that stands; that is no small window.
        page.set_viewport_size({"width": 718, "height": 1000})
        columns = page.evaluate("['.tl-row', '#tiles-verdict'].map((name) => getComputedStyle(document.querySelector(name)).gridTemplateColumns.split(' ').length)")
        assert columns == [2, 8], f"paper is taken for a small window: {columns}"
        page.emulate_media(media="screen")
        until(page, "document.querySelector('#print').childElementCount === 0")
        assert page.locator("main details:not([open])").count() == closed, "what was folded up stays open"
        watched.close()
    watched = open()
    pdf = watched.page.pdf(prefer_css_page_size=True, print_background=True)
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf))
    box = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", pdf)
    assert sheets >= 2 and box and float(box[1]) > float(box[2]), f"{sheets} sheets, {box and box[0]}"
    watched.close()
    return f"{sheets} sheets"


def the_drawer_closes_on_its_first_line(open):
    for size in ((1280, 900), (400, 800), (380, 700)):
        watched = open(size=size)
        page = watched.page
        page.locator(".grid-body .row").first.click(position={"x": 20, "y": 20})
        page.wait_for_selector("dialog[open]")
        for _ in range(8):
            tops = page.evaluate("""(() => { const bar = document.querySelector('.drawer-bar').getBoundingClientRect();
              const close = document.querySelector('.drawer-bar [aria-label=Close]').getBoundingClientRect();
              return [bar.top, bar.height, close.top, close.right, innerWidth]; })()""")
            assert tops[2] - tops[0] < 12 and tops[3] <= tops[4], f"at {size[0]} px the button to close is at {tops}"
            page.keyboard.press("j")
        watched.close()


def partial_evidence_is_said(open):
    watched = open()
    page = watched.page
    data, _ = model(page)
    text = page.inner_text("#about")
    assert ("partial" in text) != data["complete"] and ("complete" in text) == data["complete"], text
    assert page.is_visible("#act") == (not data["complete"] or bool(data["warnings"]))
    watched.close()


ALL = [
    nothing_is_asked_for, a_mail_program_shows_it, keys_alone_lead_to_a_copy, the_focus_is_seen, a_screen_reader_finds_its_way,
    dark_and_light_follow_the_system, forced_colours_keep_what_colours_say, paper_is_readable,
    the_drawer_closes_on_its_first_line, partial_evidence_is_said,
]
