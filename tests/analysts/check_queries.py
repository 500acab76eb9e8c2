#!/usr/bin/env python3
"""Asks DuckDB and overgrant the same, over the same run, and compares the answers cell by cell.

    check_queries.py OVERGRANT OUT

OVERGRANT is the binary, OUT a run of the samples. What is compared:

- every statement of queries/ and queries/investigations/: DuckDB over tables/schema.sql, and
  `overgrant sql`: names of columns, rows, order;
- every table as a whole, lists and maps too;
- every reports/NAME.parquet with DuckDB's answer to queries/NAME.sql;
- the DDL for Athena with the files that it is about: columns, types, places;
- queries/README.md: its lines for DuckDB, Python and the shell run, and what it shows of each
  investigation is what comes out.

Needs duckdb. Without sqlglot, pandas, polars, pyarrow or pyspark what needs them is skipped, and said.
Differences go to stdout; the exit code is 1 when there are any.
"""

import datetime
import decimal
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUERIES = ROOT / "queries"
wrong = []
counts = {}


def fail(what):
    wrong.append(what)
    print(f"DIFFERS: {what}")


def count(what):
    counts[what] = counts.get(what, 0) + 1


def skipped(what):
    print(f"SKIPPED: {what}")


def have(module):
    return importlib.util.find_spec(module) is not None


def canonical(value):
    """A cell of DuckDB as `overgrant sql --format json` writes it."""
    if isinstance(value, datetime.datetime):
        text = value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        # Milliseconds where they say it all.
        fraction = f"{value.microsecond:06}"
        fraction = fraction[:3] if fraction.endswith("000") else fraction
        return text + (f".{fraction}" if value.microsecond else "") + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    return value


def same(left, right):
    """Equal, where a truth is no number and a whole float is its integer."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def ask(connection, sql):
    """Columns and rows of DuckDB."""
    answer = connection.execute(sql)
    columns = [column[0] for column in answer.description]
    return columns, [[canonical(cell) for cell in row] for row in answer.fetchall()]


def compare(what, expected, got):
    (columns, rows), (other_columns, other_rows) = expected, got
    if columns != other_columns:
        return fail(f"{what}: columns {columns} and {other_columns}")
    if len(rows) != len(other_rows):
        return fail(f"{what}: {len(rows)} and {len(other_rows)} rows")
    for number, (row, other) in enumerate(zip(rows, other_rows)):
        for column, left, right in zip(columns, row, other):
            if not same(left, right):
                return fail(f"{what}: row {number}, {column}: {left!r} and {right!r}")
    return count(what.split(":")[0])


def ours(binary, out, *statement):
    """Columns and rows of `overgrant sql`."""
    command = [binary, "sql", *statement, "--from", out, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{statement}: exit {done.returncode}: {done.stderr}")
    rows = json.loads(done.stdout, object_pairs_hook=list_of_pairs)
    columns = [name for name, _ in rows[0]] if rows else None
    return columns, [[plain(cell) for _, cell in row] for row in rows]


def list_of_pairs(pairs):
    return Pairs(pairs)


class Pairs(list):
    """An object whose order of names is kept."""


def plain(value):
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


def statements():
    paths = sorted(QUERIES.glob("*.sql")) + sorted((QUERIES / "investigations").glob("*.sql"))
    return [path for path in paths if path.name != "schema.sql"]


def views(out):
    """A connection over a run as README.md says to open it; OUT is the working folder."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute((out / "tables/schema.sql").read_text())
    return connection


def check_statements(binary, out, connection):
    for path in statements():
        name = str(path.relative_to(QUERIES))
        expected = ask(connection, path.read_text())
        columns, rows = ours(binary, out, "--file", path)
        # An answer without rows tells no names.
        columns = expected[0] if columns is None else columns
        compare(f"statements: {name}", expected, (columns, rows))
        if path.parent == QUERIES:
            report = out / "reports" / f"{path.stem}.parquet"
            written = ask(connection, f"SELECT * FROM read_parquet('{report}')")
            compare(f"reports: {name}", expected, written)
        if not rows:
            print(f"{name}: no rows")


def check_tables(binary, out, connection):
    """Whole tables: these have the lists and maps that no report has."""
    for folder in sorted(path for path in (out / "tables").iterdir() if path.is_dir()):
        name = folder.name
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        flat = [row[0] for row in described if not row[1].startswith(("MAP", "VARCHAR["))]
        order = ", ".join(f'"{column}" NULLS LAST' for column in flat)
        sql = f"SELECT * FROM {name} ORDER BY {order}"
        columns, rows = ours(binary, out, sql)
        expected = ask(connection, sql)
        compare(f"tables: {name}", expected, (expected[0] if columns is None else columns, rows))


def check_first_use(connection):
    """The samples hold nothing new; in a window that ends on its third day everything is."""
    run = "FROM read_parquet('tables/run/*.parquet')"
    connection.execute(f"CREATE OR REPLACE VIEW run AS SELECT * REPLACE (since + INTERVAL '3' DAY AS until) {run}")
    columns, rows = ask(connection, (QUERIES / "investigations/first_use.sql").read_text())
    if not rows or not all(row[columns.index("caller_is_new")] for row in rows):
        fail(f"first_use.sql: {len(rows)} rows in a window where everything is new")
    connection.execute(f"CREATE OR REPLACE VIEW run AS SELECT * {run}")


HIVE = {
    "bigint": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "string": "VARCHAR",
    "array<string>": "VARCHAR[]",
    "map<string,string>": "MAP(VARCHAR, VARCHAR)",
}


def check_athena(out, connection):
    for path in sorted((QUERIES / "athena").glob("*/*.sql")):
        text = path.read_text()
        if have("sqlglot"):
            import sqlglot

            for dialect in ["athena"] + (["trino"] if path.parent.name == "reports" else ["hive", "spark"]):
                tree = sqlglot.parse_one(text, read=dialect)
                if not isinstance(tree, sqlglot.exp.Create):
                    fail(f"athena: {path.name} is no CREATE to {dialect}")
        if path.parent.name == "reports":
            count("views for athena")
            continue
        place = re.search(r"LOCATION '\$\{LOCATION\}/([a-z_/]+)/'", text).group(1)
        partitions = re.findall(r"`(p_[a-z]+)` string", text)
        files = "/*" * len(partitions) if partitions else "/*" if place.startswith("history") else ""
        glob = f"{place}{files}/*.parquet"
        if not list(out.glob(glob)):
            print(f"athena: {path.name}: the run holds no {place}")
            continue
        described = connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet('{glob}', hive_partitioning = {bool(partitions)}, "
            "hive_types_autocast = false)"
        ).fetchall()
        body = text.split("(\n", 1)[1].split("\n)", 1)[0]
        declared = [(name, HIVE[kind]) for name, kind in re.findall(r"`([a-z_]+)` (\S+?),?$", body, re.M)]
        declared += [(name, "VARCHAR") for name in partitions]
        found = [(row[0], row[1]) for row in described]
        if declared != found:
            fail(f"athena: {path.name}: {declared} and {found}")
        count("tables for athena")


def check_dialects():
    """Statements mean to Trino and Spark what they mean to DuckDB, as far as a parser can tell."""
    if not have("sqlglot"):
        return skipped("sqlglot is not here: no statement was read as Trino and Spark read it")
    import sqlglot
    from sqlglot import exp

    for path in statements():
        trees = {}
        for dialect in ["duckdb", "trino", "athena", "spark"]:
            tree = sqlglot.parse_one(path.read_text(), read=dialect)
            trees[dialect] = sorted(
                {(table.name, table.alias) for table in tree.find_all(exp.Table)}
            ), tree.named_selects
        if len({str(tree) for tree in trees.values()}) != 1:
            fail(f"dialects: {path.name}: {trees}")
        count("dialects")
    return None


FENCE = re.compile(r"^```(\w+)(?: needs=(\w+))?\n(.*?)^```$", re.M | re.S)


def check_readme(binary, out, connection):
    page = (QUERIES / "README.md").read_text()
    with tempfile.TemporaryDirectory() as bin_folder:
        pathlib.Path(bin_folder, "overgrant").symlink_to(binary)
        environment = os.environ | {
            "PATH": f"{bin_folder}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "QUERIES": str(QUERIES),
            "TZ": "UTC",
        }
        for language, needs, text in FENCE.findall(page):
            first = text.splitlines()[0]
            there = have if language == "python" else lambda tool: shutil.which(tool, path=environment["PATH"])
            if needs and not there(needs):
                skipped(f"{needs} is not here: {first}")
                continue
            if language == "sql":
                connection.execute(text).fetchall()
            elif language in ("python", "sh"):
                command = [sys.executable, "-c", text] if language == "python" else ["bash", "-euc", text]
                done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
                if done.returncode != 0 or not done.stdout.strip():
                    fail(f"README: {first}: exit {done.returncode}: {done.stdout}{done.stderr}")
            else:
                continue
            count("lines of the README")


def check_shown(connection):
    """Every table below the title of an investigation holds rows of its answer; `…` stands for the rest."""
    page = (QUERIES / "README.md").read_text()
    for section in re.split(r"^### ", page, flags=re.M)[1:]:
        linked = re.search(r"\(investigations/(\w+)\.sql\)", section)
        lines = [line for line in section.splitlines() if line.startswith("|")]
        if not linked or not lines:
            continue
        path = QUERIES / "investigations" / f"{linked.group(1)}.sql"
        columns, rows = ask(connection, path.read_text())
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        names, shown = cells[0], cells[2:]
        at = [columns.index(name) for name in names]
        told = re.search(r"(\d+) rows?", section)
        if not told or int(told.group(1)) != len(rows):
            fail(f"README: {path.name} has {len(rows)} rows, the page says {told and told.group(0)}")
        for line in shown:
            if not any(all(map(shows, line, (row[index] for index in at))) for row in rows):
                fail(f"README: {path.name} has no row {line}")
        count("answers shown")


def shows(cell, value):
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text.endswith(cell[1:]) if cell.startswith("…") else text == cell


def main():
    binary, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    os.chdir(out)
    connection = views(out)
    check_statements(binary, out, connection)
    check_tables(binary, out, connection)
    check_first_use(connection)
    check_athena(out, connection)
    check_dialects()
    check_shown(connection)
    check_readme(binary, out, connection)
    print(", ".join(f"{what} {number}" for what, number in sorted(counts.items())))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
