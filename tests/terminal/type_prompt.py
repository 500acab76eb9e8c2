"""Types at the prompt of `overgrant sql` on a pseudo-terminal and looks at what is shown.

type_prompt.py OVERGRANT OUT [SECONDS]: the binary, the output of a run, how long an answer may take.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import tempfile
import termios
import time

OVERGRANT, OUT = sys.argv[1:3]
PATIENCE = float(sys.argv[3]) if len(sys.argv) > 3 else 60.0
PROMPT = "overgrant> "
UP, TAB, CTRL_C, CTRL_D = "\x1b[A", "\t", "\x03", "\x04"
STEERING = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\r")


class Terminal:
    """A prompt at a terminal of its own, which is the controlling one: Ctrl-C is a signal there."""

    def __init__(self, cache):
        env = {"TERM": "xterm-256color", "HOME": cache, "XDG_CACHE_HOME": cache, "PATH": os.environ["PATH"]}
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execve(OVERGRANT, [OVERGRANT, "sql", "--from", OUT], env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.shown = ""

    def read(self):
        """What comes within a moment; False when the other side is gone."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            got = os.read(self.fd, 65536)
        except OSError:
            return False
        self.shown += STEERING.sub("", got.decode("utf-8", "replace"))
        if "░" in self.shown or "0/0" in self.shown:
            sys.exit(f"a bar of nothing is drawn:\n{self.shown}")
        return bool(got)

    def wait(self, *wanted):
        """Reads until every text was shown, in this order, since the last call."""
        end, at = time.monotonic() + PATIENCE, 0
        for text in wanted:
            while (found := self.shown.find(text, at)) < 0:
                if time.monotonic() > end or not self.read():
                    sys.exit(f"{text!r} was not shown, but:\n{self.shown}")
            at = found + len(text)
        seen, self.shown = self.shown[:at], self.shown[at:]
        return seen

    def settle(self):
        """Waits until nothing more comes, and forgets what came: a line is drawn anew as it is typed."""
        before = None
        while before != self.shown:
            before = self.shown
            for _ in range(3):
                self.read()
        self.shown = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def answer(self, typed, *wanted):
        """Types a line, and waits for what it shows and the next prompt."""
        self.type(typed + "\r")
        return self.wait(*wanted, PROMPT)

    def end(self):
        """Leaves; the exit code."""
        self.type(CTRL_D)
        end = time.monotonic() + PATIENCE
        while True:
            self.read()
            child, status = os.waitpid(self.child, os.WNOHANG)
            if child:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                sys.exit(f"Ctrl-D does not end it:\n{self.shown}")


def told(what):
    print(f"ok {what}", flush=True)


def main(cache):
    terminal = Terminal(cache)
    terminal.wait("a statement ends with ;", PROMPT)

    terminal.answer(".tables", "grants", "a row is a grant", "grant_review", "verdict_history")
    terminal.answer(".schema grant_review", "recommended_rbac", "text")
    told("tables and columns")

    terminal.type("SELECT count(*) AS n\r")
    terminal.answer("FROM verdicts;", "n", "70", "1 row\n")
    told("a statement over two lines")

    seen = terminal.answer("SELEC 1;", "error: the statement does not run", "because:", "hint:")
    assert "SELEC" in seen, seen
    terminal.answer("SELECT * FROM grnts;", "there is no table grnts; did you mean grants?")
    terminal.answer(".nothing", "error:", ".tables")
    told("mistakes are told, and the prompt stays")

    terminal.type(UP * 3)
    terminal.wait("SELEC 1;")
    terminal.type(UP)
    terminal.wait("SELECT count(*) AS n", "FROM verdicts;")
    terminal.answer("", "70", "1 row\n")
    told("history")

    terminal.type("SELECT count(*) AS m FROM grant_rev" + TAB)
    terminal.wait("grant_review")
    terminal.answer(";", "m", "70")
    terminal.type("SELECT * FROM verd" + TAB + TAB)
    terminal.wait("verdicts", "verdict_history")
    told("completion")

    terminal.settle()
    terminal.type(CTRL_C)
    terminal.wait(PROMPT)
    terminal.type("SELECT 'given up',\r")
    terminal.wait("given up")
    terminal.settle()
    terminal.type(CTRL_C)
    terminal.wait(PROMPT)
    seen = terminal.answer("SELECT 1 + 1 AS kept;", "kept", "2", "1 row\n")
    assert "given up" not in seen, seen
    told("Ctrl-C gives a statement up")

    # It would take minutes.
    joined = ", ".join(f"grants g{n}" for n in range(6))
    names = " || ".join(f"g{n}.principal" for n in range(6))
    terminal.type(f"SELECT max(length({names})) AS endless FROM {joined};\r")
    terminal.wait("endless")
    time.sleep(1.0)
    began = time.monotonic()
    terminal.type(CTRL_C)
    terminal.wait("cancelled", PROMPT)
    assert time.monotonic() - began < 10, "Ctrl-C took too long"
    terminal.answer("SELECT 3 AS after;", "after", "3")
    told("Ctrl-C ends a statement that runs")

    terminal.answer(".format csv")
    terminal.answer("SELECT 'a,b' AS text;", "text\n", '"a,b"\n')
    terminal.answer(".format xml", ".format takes table, csv or json")
    terminal.answer(".help", ".quit")
    told("formats and help")

    code = terminal.end()
    assert code == 0, f"exit code {code}"
    told("Ctrl-D leaves with 0")

    again = Terminal(cache)
    again.wait(PROMPT)
    again.type(UP * 3)
    again.wait("SELECT 'a,b' AS text;")
    again.settle()
    again.type(CTRL_C)
    again.wait(PROMPT)
    assert again.end() == 0
    told("history of the time before")


with tempfile.TemporaryDirectory() as folder:
    main(folder)
