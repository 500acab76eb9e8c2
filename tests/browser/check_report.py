"""Opens rendered reports in Chromium and checks what a reader can see and do.

    check_report.py REPORT.html [--logged LOGGED.html] [--big BIG.html] [--hostile HOSTILE.html] [--screenshots DIR]
    check_report.py --probe

Needs `playwright` for Python and a Chromium of the system: `CHROMIUM`, else the one on the path. LOGGED.html is
the page of a run over logs and an inventory with hostile names. Without --big and --hostile, these pages are
filled from `data.py`. Exit code 1, with the reasons, when something is broken. --probe only tells whether the
checks can run here.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

import checks
import data
import fill
import hard
import readers

ARGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

def chromium():
    """The browser that is named, else the one on the path."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else shutil.which("chromium") or shutil.which("chromium-browser")


def probe():
    if sync_playwright is None or chromium() is None:
        sys.exit("playwright is not installed" if sync_playwright is None else "no Chromium is on the path")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=ARGS)
        print(f"Chromium {browser.version}")
        browser.close()


# Runs before the page: what must not happen is written down, and what is copied is kept.
WATCH = """
  window.seen = {violations: [], errors: [], copied: []};
  addEventListener("securitypolicyviolation", (e) => seen.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
  addEventListener("error", (e) => seen.errors.push(e.message));
  addEventListener("unhandledrejection", (e) => seen.errors.push(String(e.reason)));
  Object.defineProperty(navigator, "clipboard", {value: {writeText: async (text) => { seen.copied.push(text); }}});
"""


class Watched:
    """A page, and all that it must not do."""

    def __init__(self, browser, path, *, size=(1280, 900), scheme="light", hash="", javascript=True, watch=WATCH):
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, java_script_enabled=javascript,
            timezone_id="America/Los_Angeles", locale="de-DE",
        )
        self.bad = []
        self.asked = []
        self.page = self.context.new_page()
        if javascript:
            self.page.add_init_script(watch)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.bad.append(f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.bad.append(f"error: {error}"))
        self.page.on("dialog", self.dialog)
        self.page.on("popup", lambda _: self.bad.append("a window was opened"))
        self.url = pathlib.Path(path).resolve().as_uri()
        self.page.on("request", self.request)
        self.page.goto(self.url + hash)
        if javascript:
            self.page.wait_for_selector("#main:not([hidden])", timeout=20_000)

    def dialog(self, dialog):
        self.bad.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def request(self, request):
        self.asked.append(request.url.split("#")[0])
        if request.url.split("#")[0] not in (self.url, "data:,"):
            self.bad.append(f"request: {request.url[:200]}")

    def close(self):
        """Everything that went wrong since the page was opened is a failure."""
        if self.page.evaluate("'seen' in window"):
            seen = self.page.evaluate("seen")
            self.bad += [f"violation: {one}" for one in seen["violations"]] + [f"error: {one}" for one in seen["errors"]]
        self.context.close()
        assert not self.bad, "; ".join(self.bad[:5])


def rendered(folder, kind):
    out = pathlib.Path(folder) / f"{kind}.html"
    out.write_text(fill.page(data.MADE[kind]()), encoding="utf-8", newline="\n")
    return out


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("report", type=pathlib.Path, nargs="?")
    parse.add_argument("--logged", type=pathlib.Path)
    parse.add_argument("--big", type=pathlib.Path)
    parse.add_argument("--hostile", type=pathlib.Path)
    parse.add_argument("--screenshots", type=pathlib.Path)
    parse.add_argument("--only", default="", help="checks whose name has it")
    parse.add_argument("--probe", action="store_true")
    args = parse.parse_args()
    if args.probe:
        probe()
        return
    if args.report is None:
        parse.error("which report?")
    failed = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=ARGS)
        pages = {"report": args.report, "plain": rendered(folder, "plain")}
        pages["big"] = args.big or rendered(folder, "big")
        pages["hostile"] = args.hostile or rendered(folder, "hostile")
        if args.logged:
            pages["logged"] = args.logged

        def opened(path):
            return lambda **options: Watched(browser, path, **options)

        of = {"report": checks.ALL + readers.ALL, "plain": checks.ALL + readers.ALL, "big": hard.BIG,
              "hostile": hard.HOSTILE, "logged": hard.LOGGED}
        runs = [(check, name) for name in pages for check in of[name] if args.only in check.__name__]
        for check, name in runs:
            start = time.monotonic()
            try:
                said = check(opened(pages[name]))
                took = time.monotonic() - start
                print(f"ok    {name}.html {check.__name__}{f': {said}' if said else ''} ({took:.1f} s)", flush=True)
            except Exception as error:
                failed += 1
                reason = str(error).splitlines()[0] if isinstance(error, AssertionError) and str(error) else traceback.format_exc()
                print(f"FAIL  {name}.html {check.__name__}: {reason}", flush=True)
        if args.screenshots:
            args.screenshots.mkdir(parents=True, exist_ok=True)
            for name in pages:
                if name != "big":
                    hard.screenshots(opened(pages[name]), args.screenshots, name)
        browser.close()
    if checks.yaml is None:
        print("SKIPPED: YAML is not read, PyYAML is not installed")
    print(f"{failed} of {len(runs)} checks failed" if failed else f"{len(runs)} checks passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
