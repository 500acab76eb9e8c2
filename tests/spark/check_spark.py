#!/usr/bin/env python3
"""Runs the Spark way on a cluster of processes of this machine, and compares what comes out with one machine's.

    spark-submit --py-files samples/spark/overgrant_spark.py tests/spark/check_spark.py OVERGRANT WORK STEP...

OVERGRANT is the binary; WORK a folder with `plan.json`: `logs`, `inventory`, `corrupt` (objects that cannot be
read, by the end of their names). Steps:

    reports     every statement of queries/ in Spark SQL over the tables of one machine: the rows, their order and their
                types are those of its reports
    investigations
                the same of queries/investigations/ and `overgrant sql`
    equal       list, scan in executors, audit: all tables and reports are those of one machine, cell by cell; an
                object that cannot be read is a row and no end of the job
    killed      an executor is killed in the middle of a scan: the same rows as without
    pipes       a worker that says and answers much before it listens, and a caller that asks much: nobody waits for ever
    clusters    list, scan by place, an audit a cluster: tables of all clusters are those of one audit over both
    united      reports over them are those of that audit, but for what docs/spark.md says of a role that one
                inventory does not know (after clusters)
    cautious    a cluster that lacks audit logs, alone and beside one that has them (after clusters)
    unjudged    an audit of a cluster that fails, or is killed (after clusters)
    refused     a worker that cannot go on fails the job, and the job says what the worker said

Differences go to stdout; the exit code is 1 when there are any.
"""

import ast
import collections
import contextlib
import gzip
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import overgrant_spark
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUERIES = ROOT / "queries"
# Of a scan: more than there are executors, so that some have ended while others run.
TASKS = 6
wrong = []
counts = {}
begun = time.monotonic()


def tell(what):
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


def fail(what):
    wrong.append(what)
    tell(f"DIFFERS: {what}")


def count(what, number=1):
    counts[what] = counts.get(what, 0) + number


# ---- tables ---------------------------------------------------------------------------------------------------------


def plain(kind):
    """A type without how its values are laid out."""
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_large_string(kind) or getattr(pa.types, "is_string_view", lambda _: False)(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    return kind


def table(place):
    """A Parquet file, or all of a folder in the order of their names."""
    place = pathlib.Path(place)
    files = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
    read = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    fields = [pa.field(field.name, plain(field.type)) for field in read.schema]
    return read.cast(pa.schema(fields))


def compare(what, expected, got):
    """Names, types, rows and their order."""
    if expected.schema != got.schema:
        pairs = [(str(left), str(right)) for left, right in zip(expected.schema, got.schema) if left != right]
        return fail(f"{what}: types {pairs or (expected.schema.names, got.schema.names)}")
    if expected.num_rows != got.num_rows:
        return fail(f"{what}: {expected.num_rows} and {got.num_rows} rows")
    for name in expected.schema.names:
        left, right = expected.column(name), got.column(name)
        if not left.equals(right):
            at = next(row for row in range(len(left)) if left[row].as_py() != right[row].as_py())
            return fail(f"{what}: row {at}, {name}: {left[at].as_py()!r} and {right[at].as_py()!r}")
    return count(what.split(":")[0])


def multiset(place):
    """Rows of all files below a folder, in an order of their own."""
    rows = []
    for file in sorted(pathlib.Path(place).rglob("*.parquet")):
        read = pq.ParquetFile(file).read()
        rows += [(file.parent.name, *map(repr, row.values())) for row in read.to_pylist()]
    return sorted(rows)


# ---- steps ----------------------------------------------------------------------------------------------------------


class Bench:
    """What the steps share."""

    def __init__(self, spark, binary, work):
        self.spark, self.binary, self.work = spark, binary, pathlib.Path(work)
        self.plan = json.loads((self.work / "plan.json").read_text())
        self.single = self.work / "single"
        self.facts = self.work / "facts"

    def options(self, **others):
        given = dict.fromkeys(("cluster_map", "config", "max_object", "memory", "region", "since", "until"))
        given |= {"facts": str(self.facts), "partition_mib": 256, "hide_secret_names": "no", "by_place": "no", **others}
        return type("Options", (), given)

    def run(self, *arguments):
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode not in (0, 3):
            raise RuntimeError(f"{arguments}: exit {done.returncode}: {done.stderr}")
        return done.stderr

    def script(self, name, text):
        """A program that stands for the binary; `$REAL` is the binary."""
        path = self.work / name
        path.write_text(f"#!/bin/sh\nREAL='{self.binary}'\n{text}\n")
        path.chmod(0o755)
        return overgrant_spark.ship_binary(self.spark, str(path))

    def audit_alone(self):
        if not self.single.exists():
            self.run("audit", *self.plan["logs"], "--inventory", self.plan["inventory"], "--out", self.single, "-q")
            tell("one machine")

    def list(self):
        if not (self.facts / "plan.json").exists():
            arguments = ["--inventory", self.plan["inventory"], "--list", "--out", self.facts]
            self.run("scan", *self.plan["logs"], *arguments)
            tell("listed")

    def scan(self, name, facts, partitions=TASKS):
        overgrant_spark.scan_step(self.spark, self.options(facts=str(facts), partitions=partitions), name)


def reports(bench):
    bench.audit_alone()
    written = bench.work / "spark-reports"
    places = {"out": str(bench.single), "queries": str(QUERIES), "reports": str(written)}
    overgrant_spark.reports_step(bench.spark, bench.options(**places))
    empty = []
    for path in sorted(path for path in QUERIES.glob("*.sql") if path.name != "schema.sql"):
        expected = table(bench.single / "reports" / f"{path.stem}.parquet")
        compare(f"statements: {path.stem}", expected, table(written / f"{path.stem}.parquet"))
        empty += [] if expected.num_rows else [path]
    tell("reports")
    on_bare(bench, empty)


def investigations(bench):
    bench.audit_alone()
    paths = sorted((QUERIES / "investigations").glob("*.sql"))
    empty = [path for path in paths if not statement_rows(bench, bench.single, path)]
    tell("investigations")
    on_bare(bench, empty)


def on_bare(bench, paths):
    """A run of few days with nobody in the inventory: what is new, and what nothing explains."""
    bare = bench.work / "bare"
    if not bare.exists():
        inventory = bench.work / "bare-inventory"
        shutil.copytree(bench.plan["inventory"], inventory)
        for file in inventory.rglob("access-entries.json"):
            file.write_text("[]")
        window = ["--since", "2026-11-19", "--until", "2026-11-24"]
        bench.run("audit", *bench.plan["logs"], "--inventory", inventory, *window, "--out", bare, "-q")
    for path in paths:
        if not statement_rows(bench, bare, path):
            print(f"{path.stem}: no rows")
    tell("those without rows, on a bare inventory")


def statement_rows(bench, out, path):
    """Rows that a statement gives over a run, once they are those of `overgrant sql`."""
    text = path.read_text()
    for name in overgrant_spark.tables_read_by([text]):
        bench.spark.read.parquet(f"{out}/tables/{name}").createOrReplaceTempView(name)
    asked = bench.work / f"{out.name}-{path.stem}.parquet"
    with open(asked, "wb") as file:
        command = [bench.binary, "sql", "--file", path, "--from", out, "--format", "parquet"]
        subprocess.run(list(map(str, command)), stdout=file, check=True)
    got = bench.work / f"spark-{out.name}-{path.stem}.parquet"
    expected = table(asked)
    try:
        overgrant_spark.write_report(bench.spark, text, str(got))
        compare(f"statements{'' if out == bench.single else ' on bare'}: {path.stem}", expected, table(got))
    except Exception as error:
        fail(f"statements: {path.stem}: {str(error).splitlines()[0]}")
    return expected.num_rows


def equal(bench):
    bench.audit_alone()
    bench.list()
    name = bench.script("overgrant", 'exec "$REAL" "$@"')
    bench.scan(name, bench.facts)
    records = bench.facts / "records"
    if not (records / "_SUCCESS").exists():
        fail("no records/_SUCCESS")
    tell("scanned")
    objects = {row["uri"]: row for row in table(bench.facts / listing_of(bench.facts)).to_pylist()}
    rows = table(records / "kind=object").to_pylist()
    if sorted(row["object"] for row in rows) != sorted(row["object"] for row in objects.values()):
        fail(f"{len(objects)} objects are listed, {len(rows)} were read")
    count("objects", len(rows))
    for end in bench.plan["corrupt"]:
        told = [(row["outcome"], bool(row["reason"])) for row in rows if row["object"].endswith(end)]
        if told != [("rejected", True)]:
            fail(f"{end}: {told}")
        count("corrupt objects", len(told))
    for file in sorted((records / "kind=fact").glob("*.parquet")):
        read = pq.ParquetFile(file)
        keys = read.read(["key"]).column("key").to_pylist()
        if keys != sorted(keys):
            fail(f"{file.name} is not in the order of its keys")
        column = read.metadata.schema.column(read.schema_arrow.names.index("day"))
        if column.physical_type != "INT64" or read.metadata.row_group(0).column(0).compression != "ZSTD":
            fail(f"{file.name}: day is {column.physical_type}")
        count("facts", len(keys))
    out = bench.work / "out"
    bench.run("audit", "--facts", bench.facts, "--inventory", bench.plan["inventory"], "--out", out, "-q")
    tell("joined")
    for kind in ("tables", "reports"):
        names = sorted(path.name for path in (bench.single / kind).iterdir() if path.name != "schema.sql")
        others = sorted(path.name for path in (out / kind).iterdir() if path.name != "schema.sql")
        if names != others:
            fail(f"{kind}: {names} and {others}")
        for name in names:
            compare(f"{kind}: {name}", table(bench.single / kind / name), table(out / kind / name))


def listing_of(facts):
    return json.loads((pathlib.Path(facts) / "plan.json").read_text())["listing"]["path"]


def copied(bench, name):
    """The listed facts without records, to be scanned anew."""
    bench.list()
    facts = bench.work / name
    facts.mkdir()
    for file in ("plan.json", listing_of(bench.facts)):
        (facts / file).write_bytes((bench.facts / file).read_bytes())
    return facts


def executors(bench):
    """Processes of executors: children of the driver's JVM."""
    driver = bench.spark.sparkContext._gateway.proc.pid if bench.spark.sparkContext._gateway.proc else os.getppid()
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if b"CoarseGrainedExecutorBackend" in words and parent == driver:
            found.append(int(folder.name))
    return sorted(found)


def killed(bench):
    facts = copied(bench, "killed")
    # Slowly asked, so that there is a middle.
    slow = 'while IFS= read -r line; do printf "%s\\n" "$line"; sleep 0.05; done | "$REAL" "$@"'
    name = bench.script("overgrant-slow", f'if [ "$1" != worker ]; then exec "$REAL" "$@"; fi\n{slow}')
    before = executors(bench)
    errors = []

    def work():
        try:
            bench.scan(name, facts)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    status = bench.spark.sparkContext.statusTracker()
    victim = None
    while thread.is_alive() and victim is None:
        time.sleep(0.05)
        stages = [status.getStageInfo(stage) for stage in status.getActiveStageIds()]
        # Some tasks have ended, others run: what the dead one had done and what it was doing is lost.
        if any(s and s.numTasks == TASKS and s.numCompletedTasks >= 1 and s.numActiveTasks >= 1 for s in stages):
            victim = before[0]
            os.kill(victim, signal.SIGKILL)
            tell("an executor is killed")
    thread.join()
    if errors:
        raise errors[0]
    if victim is None or victim in executors(bench):
        return fail(f"no executor was killed: {before}")
    tell("scanned in spite of it")
    if not (bench.facts / "records/_SUCCESS").exists():
        bench.scan(name, bench.facts)
    expected, got = multiset(bench.facts / "records"), multiset(facts / "records")
    if expected != got:
        fail(f"killed: {len(expected)} and {len(got)} rows, {len(set(expected) ^ set(got))} differ")
    count("rows in spite of it", len(got))


SECOND = "stage"
# The second inventory does not know it, but it goes on to use the cluster.
STRANGER, PATH = "arn:aws:iam::111122223333:role/datadog", "arn:aws:iam::111122223333:role/monitoring/datadog"
RULES = """
[[suppress]]
principal = "*:role/old-contractor"
cluster = "prod"
owner = "a@example.com"
reason = "covers something in one cluster"
expires = 2027-06-30
[[suppress]]
principal = "nobody"
owner = "a@example.com"
reason = "covers nothing anywhere"
expires = 2027-06-30
"""


def renamed(read):
    if read[:2] == b"\x1f\x8b":
        return gzip.compress(renamed(gzip.decompress(read)), 1)
    # Requests of its own: one event is of one cluster.
    read = read.replace(rb'auditID\":\"', rb'auditID\":\"5').replace(b'"auditID":"', b'"auditID":"5')
    return read.replace(b"/aws/eks/prod/", f"/aws/eks/{SECOND}/".encode())


def two_clusters(folder):
    """Logs and inventory of two clusters in one account: the samples' and its copy, which knows a role less."""
    samples = ROOT / "samples"
    for log in sorted(file for file in (samples / "logs").rglob("*") if file.is_file() and "/2026/11/" in str(file)):
        to = folder / log.relative_to(samples)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(log.read_bytes())
        if "eks-audit" in to.parts:
            to.with_name(f"{to.name}-2").write_bytes(renamed(log.read_bytes()))
    # Below one another and older snapshots beside: the newest of each cluster is taken.
    shutil.copytree(samples / "inventory", folder / "inventory")
    second = folder / "inventory/others/of-the-team"
    shutil.copytree(samples / "inventory/prod", second)
    for file in second.glob("*.json"):
        file.write_text(file.read_text().replace('"prod"', f'"{SECOND}"').replace("cluster/prod", f"cluster/{SECOND}"))

    def change(name, how):
        read = json.loads((second / name).read_text())
        (second / name).write_text(json.dumps(how(read)))

    change("inventory.json", lambda header: {**header, "captured_at": "2026-11-23T12:00:00Z"})
    change("access-entries.json", lambda all: [one for one in all if one["accessEntry"]["principalArn"] != PATH])
    change("iam-roles.json", lambda all: [one for one in all if one["Arn"] != PATH])
    old = folder / "inventory/others/last-week"
    shutil.copytree(second, old)
    (old / "inventory.json").write_text((second / "inventory.json").read_text().replace("11-23T", "11-16T"))
    (old / "access-entries.json").write_text("[]")
    (folder / "overgrant.toml").write_text(RULES)


def without_path(row):
    """A row as an audit says it whose inventory does not know the role."""
    of_second = str(row.get("cluster")).endswith(f"/{SECOND}")
    return {name: STRANGER if of_second and cell == PATH else cell for name, cell in row.items()}


def clusters(bench):
    folder = bench.work / "two"
    folder.mkdir()
    two_clusters(folder)
    inventory, rules, since = str(folder / "inventory"), str(folder / "overgrant.toml"), "2026-11-03"
    window = ["--inventory", inventory, "--since", since]
    whole = folder / "whole"
    bench.run("audit", folder / "logs", *window, "--config", rules, "--out", whole, "-q")
    tell("two clusters, one machine")
    facts, parts = folder / "facts", folder / "parts"
    bench.run("scan", folder / "logs", *window, "--list", "--out", facts)
    name = bench.script("overgrant-two", 'exec "$REAL" "$@"')
    options = bench.options(
        facts=str(facts),
        inventory=inventory,
        since=since,
        config=rules,
        parts=str(parts),
        partitions=2,
        by_place="yes",
    )
    overgrant_spark.scan_step(bench.spark, options, name)
    tell("scanned by place")
    bare = sorted(str(path) for path in (facts / "records/kind=fact").glob("*.parquet"))
    if bare:
        fail(f"clusters: not in the folder of a place: {bare}")
    folders = overgrant_spark.clusters_step(bench.spark, options, name)
    expected = [str(parts / f"111122223333_us-west-2_{name}" / "tables") for name in ("prod", SECOND)]
    if folders != expected:
        fail(f"clusters: {folders}")
    tell("an audit a cluster")
    # By the pattern, as the step is run alone.
    folders = overgrant_spark.matching(bench.spark, [str(parts / "*" / "tables")])
    if [folder.removeprefix("file:") for folder in folders] != expected:
        fail(f"clusters: {folders}")
    schemas = overgrant_spark.schemas_of(bench.binary)
    for name in ("aws_access", "coverage", "grant_changes", "notes", "run", "session_keys", "session_tags", "sessions"):
        got = folder / "tables" / name
        rows = overgrant_spark.of_all(bench.spark, folders, schemas[name], 2)
        rows.coalesce(1).write.parquet(str(got))
        one, both = table(whole / "tables" / name), table(got)
        if one.schema.names != both.schema.names or sorted(map(repr, one.to_pylist())) != sorted(
            map(repr, both.to_pylist())
        ):
            differ = set(map(repr, one.to_pylist())) ^ set(map(repr, both.to_pylist()))
            fail(f"clusters: {name}: {one.num_rows} and {both.num_rows} rows: {sorted(differ)[:4]}")
        count("tables of clusters")
    # No audit kept what another cluster's log says.
    for file in sorted(parts.glob("*/tables/api_access/*.parquet")):
        arns = set(pq.ParquetFile(file).read(["cluster"]).column("cluster").to_pylist())
        if {arn.rsplit("/", 1)[1] for arn in arns} != {file.parts[-4].rsplit("_", 1)[1]}:
            fail(f"clusters: {file}: {arns}")
        count("audits of clusters")
    tell("tables of both")


def united(bench):
    """Reports of both, after `clusters`."""
    folder = bench.work / "two"
    folders = overgrant_spark.matching(bench.spark, [str(folder / "parts/*/tables")])
    options = bench.options(reports=str(folder / "reports"), queries=str(QUERIES))
    # Tiny tables: to plan for them anew after each stage takes longer than they do.
    bench.spark.conf.set("spark.sql.adaptive.enabled", "false")
    overgrant_spark.reports_step(bench.spark, options, folders, bench.binary)
    tell("reports of both")
    changed = collections.Counter()
    for path in sorted(path for path in QUERIES.glob("*.sql") if path.name != "schema.sql"):
        one = table(folder / "whole/reports" / f"{path.stem}.parquet")
        both = table(folder / "reports" / f"{path.stem}.parquet")
        rows, other = one.to_pylist(), [without_path(row) for row in one.to_pylist()]
        if rows == other:
            compare(f"reports of clusters: {path.stem}", one, both)
            continue
        # The one difference, and where it is.
        changed[path.stem] = sum(left != right for left, right in zip(rows, other))
        if one.schema != both.schema or sorted(map(repr, other)) != sorted(map(repr, both.to_pylist())):
            fail(f"clusters: {path.stem}: {set(map(repr, other)) ^ set(map(repr, both.to_pylist()))}")
        count("reports of clusters")
    print(f"rows that name a role by less: {dict(changed)}")
    if set(changed) != {"denied_access", "unmanaged_access"}:
        fail(f"clusters: {dict(changed)}")
    bench.spark.conf.set("spark.sql.adaptive.enabled", "true")


def silenced(read):
    """An export of CloudWatch without the events of a user whose tokens CloudTrail never saw redeemed."""
    if read[:2] == b"\x1f\x8b":
        return gzip.compress(silenced(gzip.decompress(read)), 1)
    text, at, kept = read.decode(), 0, []
    while at < len(text):
        envelope, at = json.JSONDecoder().raw_decode(text, at)
        at += len(text) - at - len(text[at:].lstrip())
        events = [event for event in envelope["logEvents"] if "user/terraform" not in event["message"]]
        kept.append(json.dumps({**envelope, "logEvents": events}))
    return "".join(kept).encode()


def cautious(bench):
    """Where the audit log of a cluster is missing, it is judged by CloudTrail, if that shows every redemption. The
    logs of all clusters of a run prove or disprove it: judged alone, a cluster may be trusted less, and more."""
    cases = {
        # One cluster proves it for the one that has no log.
        "proved": ({"prod": silenced}, ("no_logs", "no_session")),
        # One disproves it for the one that has a log of few days, which alone would prove it.
        "disproved": ({"prod": bytes, SECOND: silenced}, ("no_session", "coverage")),
    }
    for case, (given, expected) in cases.items():
        folder = bench.work / case
        shutil.copytree(bench.work / "two/inventory", folder / "inventory")
        for log in sorted(file for file in (bench.work / "two/logs").rglob("*") if file.is_file()):
            to = folder / log.relative_to(bench.work / "two")
            how = bytes
            if "eks-audit" in to.parts:
                name = SECOND if log.name.endswith("-2") else "prod"
                how = given.get(name)
                if name == SECOND and "/2026/11/2" not in str(log):
                    how = None
            if how:
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(how(log.read_bytes()))
        reasons = {}
        for what in ("", "others"):
            window = ["--inventory", folder / "inventory" / what, "--since", "2026-11-03", "--until", "2026-11-24"]
            bench.run("audit", folder / "logs", *window, "--out", folder / f"out-{what}", "-q")
            rows = table(folder / f"out-{what}/tables/verdicts/part-0.parquet").to_pylist()
            reasons[what] = {row["grant_id"]: row["reason"] for row in rows if row["cluster"].endswith(f"/{SECOND}")}
        both, alone = reasons.values()
        pairs = [(alone[grant], reason) for grant, reason in both.items()]
        changes = collections.Counter(pair for pair in pairs if pair[0] != pair[1])
        if both.keys() != alone.keys() or set(changes) != {expected}:
            fail(f"cautious: {case}: {dict(changes)}")
        count("cautious")
        tell(f"{case}: {dict(changes)}")


def unjudged(bench):
    """An audit that refuses is told with its words, and is no end of the others; one that is killed is."""
    folder = bench.work / "two"
    said = 'case "$*" in *of-the-team*) echo "error: not today" >&2; exit 4;; esac; exit 0'
    for words, text in {"not today": said, "signal 9": "kill -9 $$"}.items():
        name = bench.script(f"overgrant-{words[-1]}", f'if [ "$1" != audit ]; then exec "$REAL" "$@"; fi\n{text}')
        inventory = str(folder / "inventory")
        options = bench.options(facts=str(folder / "facts"), inventory=inventory, parts=str(folder / "none"))
        try:
            overgrant_spark.clusters_step(bench.spark, options, name)
        except SystemExit as ended:
            told = str(ended.code)
            if words not in told or "\n" in told or ("1 of 2" in told) != (words == "not today"):
                fail(f"unjudged: {told!r}")
            count("unjudged")
            tell(told)
        else:
            fail(f"unjudged: {name} ended well")


LOUD = """
import sys, pyarrow as pa
schema = pa.schema([("kind", pa.string()), ("body", pa.binary())])
batch = pa.record_batch([["fact"] * 1000, [b"x" * 1000] * 1000], schema=schema)
sys.stderr.write(("word " * 50 + "\\n") * 4000)
with pa.ipc.new_stream(sys.stdout.buffer, schema) as stream:
    for _ in range(20):
        stream.write_batch(batch)
    for line in sys.stdin:
        stream.write_batch(pa.record_batch([["object"], [line.encode()]], schema=schema))
"""


def pipes(bench):
    rows = pa.record_batch([["s3://logs/" + "é" * 500] * 1000], names=["uri"])
    fed = []

    def batches():
        for _ in range(5):
            fed.append(len(rows))
            yield rows

    answers = facts = first = 0
    loud = [sys.executable, "-c", LOUD]
    with contextlib.redirect_stderr(io.StringIO()):
        for batch in overgrant_spark.ask(loud, batches(), overgrant_spark.objects_in):
            first = first or len(fed)
            facts += batch.column("kind").to_pylist().count("fact")
            answers += overgrant_spark.objects_in(batch)
    # 64 KiB of a pipe hold no more than the first hundred lines.
    if (answers, facts) != (5000, 20000) or first > 1:
        fail(f"pipes: {answers} answers, {facts} facts, the first after {first} batches were asked")
    count("answers", answers)
    tell("pipes")


def refused(bench):
    facts = copied(bench, "refused")
    last = '"listing":{"path":"%s"}' % listing_of(facts)
    (facts / "plan.json").write_text("{" + last + "}")
    cases = {
        # The binary itself, asked for a plan that is none.
        "plan.json": bench.script("overgrant-real", 'exec "$REAL" "$@"'),
        "signal 9": bench.script(
            "overgrant-shot", 'if [ "$1" = worker ]; then kill -9 $$; fi; exec "$REAL" "$@"'
        ),
    }
    for words, name in cases.items():
        try:
            bench.scan(name, facts, partitions=1)
        except SystemExit as ended:
            if words not in str(ended.code) or "\n" in str(ended.code):
                fail(f"refused: {ended.code!r} has no {words!r}")
            else:
                count("refused")
                tell(str(ended.code))
        else:
            fail(f"refused: {name} ended well")
        if (facts / "records/_SUCCESS").exists():
            fail(f"refused: {name} left records")


ALL = (equal, killed, clusters, united, cautious, unjudged, pipes, refused, reports, investigations)
STEPS = {step.__name__: step for step in ALL}


def main():
    binary, work, *steps = sys.argv[1:]
    signal.alarm(900)  # nobody waits for ever
    # What executors of today's services run.
    ast.parse(pathlib.Path(ROOT, "samples/spark/overgrant_spark.py").read_text(), feature_version=(3, 9))
    spark = SparkSession.builder.appName("check_spark").getOrCreate()
    overgrant_spark.configure(spark)
    bench = Bench(spark, str(pathlib.Path(binary).resolve()), work)
    tell(f"Spark {spark.version}")
    for step in steps:
        STEPS[step](bench)
    print(", ".join(f"{what} {number}" for what, number in sorted(counts.items())), flush=True)
    spark.stop()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
