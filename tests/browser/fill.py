"""Fills the page's template as the renderer does: `fill.py DATA.json OUT.html`.

The parts of the script are put together in the order of their names, inside one strict function. The policy
names the digests of the style and of the script as they stand in the page. All places are filled in
one pass: what is put in is never searched for a placeholder again.
"""

import base64
import hashlib
import json
import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "src" / "report" / "page"


def script() -> str:
    parts = sorted((PAGE / "js").glob("*.js"), key=lambda path: path.name)
    body = "".join(path.read_text(encoding="utf-8") for path in parts)
    return '"use strict";(()=>{\n' + body + "})();\n"


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def policy(style_text: str, script_text: str) -> str:
    return (
        f"default-src 'none'; script-src '{digest(script_text)}'; style-src '{digest(style_text)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def escaped(data) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def counts(data) -> str:
    """How many grants have which verdict and severity, for readers without scripts."""
    columns = data["grants"]["columns"]
    rows = [dict(zip(columns, row)) for row in data["grants"]["rows"]]
    mine = [row for row in rows if not row["managed"] and row["suppressed"] is None]

    def told(name: str, codes: list[str]) -> str:
        return ", ".join(f"{code.replace('_', ' ')} {sum(row[name] == code for row in mine)}" for code in codes)

    verdicts = told("verdict", ["ineffective", "unobservable", "too_new", "unused", "redundant", "over_scoped", "used"])
    severities = told("severity", ["critical", "high", "medium", "low", "info"])
    partial = "" if data["complete"] else "<p>The evidence is partial: some of it is missing.</p>"
    return f"{partial}<p>Grants by verdict: {verdicts}.</p><p>Grants by severity: {severities}.</p>"


def page(data) -> str:
    style = (PAGE / "page.css").read_text(encoding="utf-8")
    code = script()
    places = {"CSP": policy(style, code), "STYLE": style, "SCRIPT": code, "COUNTS": counts(data), "DATA": escaped(data)}
    template = (PAGE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: places[found[1]], template)


def main() -> None:
    source, out = map(pathlib.Path, sys.argv[1:3])
    out.write_text(page(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
