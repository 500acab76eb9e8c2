#!/usr/bin/env python3
"""Reads the logs of an audit on Spark: the same binary on every executor, Parquet in between.

One file for PySpark 3.5 and 4.x. Python 3.9 or later; nothing is needed that Spark does not bring but pyarrow.
See docs/spark.md for what each step reads and writes.

    spark-submit overgrant_spark.py --steps list,scan,audit --overgrant s3://BUCKET/bin/overgrant \\
        --logs s3://LOGS/AWSLogs,s3://LOGS/eks-audit --inventory s3://BUCKET/inventory \\
        --facts s3://BUCKET/facts/2026-11-24 --out s3://BUCKET/overgrant

Steps
    list      `overgrant scan --list` on the driver: what is looked for and which objects may hold it
    scan      `overgrant worker` in every task: objects in, rows of the table `scanned` out, FACTS/records
    audit     `overgrant audit --facts` on the driver, one process: joins, judges, reports. Left out, it may be run
              on any machine that has the memory and the disk (docs/spark.md)
    clusters  in place of audit: `overgrant audit --facts` for one cluster a task, to PARTS/ACCOUNT_REGION_NAME, so
              that no process holds the use of more than one cluster. The inventory must be where executors read it
    reports   QUERIES/*.sql in Spark SQL over OUT/tables, to OUT-spark/reports/NAME.parquet; after clusters, or with
              --tables 'PARTS/*/tables', over the tables of all clusters, to PARTS-spark/reports/NAME.parquet

    spark-submit overgrant_spark.py --steps list,scan,clusters,reports --by-place yes --parts s3://BUCKET/clusters \\
        --queries s3://BUCKET/queries ...

How the binary gets there. It must be built for the processors of the executors and for a libc no newer than theirs
(`ldd --version` in the image of the service). `--overgrant` says where it is:

    s3://BUCKET/bin/overgrant    Spark fetches it for the driver and for every executor. This is the same on every
                                 service whose Spark can read s3://
    /opt/overgrant               a file of the driver; Spark hands it to the executors
    overgrant                    (default) shipped by the service, as below: looked for in the working folder, in a
                                 folder of that name there, among Spark's files and on the PATH, in this order

EMR on EC2
    1. aws s3 cp overgrant s3://BUCKET/bin/overgrant; the same for this file
    2. aws emr add-steps --cluster-id j-ID --steps 'Type=Spark,Name=overgrant,Args=[--deploy-mode,cluster,
         --files,s3://BUCKET/bin/overgrant,s3://BUCKET/bin/overgrant_spark.py,--steps,...]'
    Buckets are read with the role of the instances.

EMR on EKS
    1. as above
    2. aws emr-containers start-job-run --virtual-cluster-id ID --execution-role-arn ROLE --release-label emr-7.x-latest
         --job-driver '{"sparkSubmitJobDriver": {"entryPoint": "s3://BUCKET/bin/overgrant_spark.py",
           "entryPointArguments": ["--overgrant", "s3://BUCKET/bin/overgrant", ...],
           "sparkSubmitParameters": "--conf spark.executor.instances=20 --conf spark.executor.cores=4"}}'
    Buckets are read with the execution role, through the token that its pods are given.

EMR Serverless
    1. tar -czf overgrant.tar.gz overgrant; aws s3 cp overgrant.tar.gz s3://BUCKET/bin/
    2. aws emr-serverless start-job-run --application-id ID --execution-role-arn ROLE
         --job-driver '{"sparkSubmit": {"entryPoint": "s3://BUCKET/bin/overgrant_spark.py",
           "entryPointArguments": ["--steps", "list,scan,audit", ...],
           "sparkSubmitParameters": "--conf spark.archives=s3://BUCKET/bin/overgrant.tar.gz#overgrant"}}'
    The archive is unpacked into the folder after the `#`, and keeps the bit that makes a file executable.

Glue 5 (Spark 3.5)
    1. as for EMR on EC2
    2. aws glue create-job --name overgrant --role ROLE --glue-version 5.0
         --command Name=glueetl,ScriptLocation=s3://BUCKET/bin/overgrant_spark.py
         --default-arguments '{"--extra-files": "s3://BUCKET/bin/overgrant", "--overgrant": "./overgrant", ...}'
    Glue copies --extra-files into the working folder of the script; `./overgrant` makes Spark hand it on from there.
    Glue's own arguments reach the script too. They are passed over, and told on stderr.

Not verified by a run: all four services. Tests run this file with PySpark 4.x and 3.5 from the registry, on a
local-cluster with executors of their own. The names of parameters are from the documentation of the services; that
Glue's executors may run a program, and that the SDK of the binary finds the role of a Glue job, nobody has tried.
"""

import argparse
import collections
import contextlib
import ctypes
import datetime
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkFiles
from pyspark.sql import GroupedData, SparkSession
from pyspark.sql import functions as F

STEPS = ("list", "scan", "audit", "clusters", "reports")
# What an object costs besides its bytes: a request and its wait, as bytes that are inflated meanwhile.
OBJECT_COST = 256 * 1024
# The end of what a worker says on stderr is kept for the message of the task, a little of it at a time.
STDERR_LINES = 40
STDERR_LINE = 2000
MAX_PARTITIONS = 100_000


class WorkerFailed(RuntimeError):
    """The worker could not go on; the message is what it said."""


# ---- the binary -----------------------------------------------------------------------------------------------------


def find_binary(name):
    """The binary on this machine, executable. `name` is a bare name: see the head of this file."""
    places = [name, os.path.join(name, name)]
    with contextlib.suppress(Exception):  # there is no such folder where nothing was added
        places.insert(0, SparkFiles.get(name))
    found = next((place for place in places if os.path.isfile(place)), None) or shutil.which(name)
    if found is None:
        raise WorkerFailed(f"no {name} among Spark's files, in {os.getcwd()} or on the PATH: see --overgrant")
    found = os.path.abspath(found)
    if os.access(found, os.X_OK):
        return found
    # A bucket keeps no mode.
    with contextlib.suppress(OSError):
        os.chmod(found, os.stat(found).st_mode | stat.S_IXUSR)
        return found
    # It is somebody else's: a copy in the working folder, one a process, which all tasks of the process use.
    copy = os.path.abspath(f".{name}-{os.getpid()}")
    if not os.path.exists(copy):
        shutil.copyfile(found, copy + ".part")
        os.chmod(copy + ".part", 0o700)
        os.replace(copy + ".part", copy)
    return copy


def ship_binary(spark, place):
    """Hands the binary to all executors where the service has not done so; gives its bare name."""
    if "://" not in place and os.sep not in place:
        return place
    if "://" not in place and not os.path.isfile(place):
        raise SystemExit(f"overgrant_spark: --overgrant {place}: no such file on the driver")
    spark.sparkContext.addFile(place if "://" in place else os.path.abspath(place))
    return place.rstrip("/").rsplit("/", 1)[-1]


def run_here(binary, *arguments):
    """Runs the binary on the driver; what it says goes where the driver's words go."""
    command = [binary, *arguments]
    print("overgrant_spark: " + " ".join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, check=False)
    # 1 and 3 are findings and a partial run, which are results.
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"overgrant_spark: overgrant {arguments[0]} ended with exit code {done.returncode}")
    print(f"overgrant_spark: exit code {done.returncode}", file=sys.stderr, flush=True)


# ---- the worker -----------------------------------------------------------------------------------------------------


def feed(batches, pipe, state):
    """Writes an object a line. A thread of its own: the worker answers while it is still asked."""
    try:
        with pipe:
            for batch in batches:
                for row in batch.to_pylist():
                    pipe.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
                    state["asked"] += 1
    except BrokenPipeError:
        pass  # the worker ended early: its exit code tells why
    except BaseException as error:  # noqa: B902 (raised again by whoever reads the answers)
        state["error"] = error


def drain(pipe, tail):
    """Keeps the end of stderr, so that its pipe never fills."""
    with pipe:
        while True:
            line = pipe.readline(STDERR_LINE)
            if not line:
                return
            text = line.decode("utf-8", "replace").strip()
            tail.append(text)
            print(f"overgrant worker: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def started(command, **streams):
    """A process of the binary that does not outlive its task, also when that is stopped in the middle."""
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, **streams)
    except OSError as error:
        raise WorkerFailed(f"{command[0]} does not start: {error}") from None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def ask(command, batches, answered=None):
    """Batches of Arrow that `command` writes while `batches` are fed to it, a line of JSON a row.

    `answered` counts the answers in a batch, where each row that is asked has exactly one."""
    with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        state = {"asked": 0, "error": None}
        tail = collections.deque(maxlen=STDERR_LINES)
        threads = [
            threading.Thread(target=feed, args=(batches, process.stdin, state), daemon=True),
            threading.Thread(target=drain, args=(process.stderr, tail), daemon=True),
        ]
        for thread in threads:
            thread.start()
        answers = 0
        try:
            with pa.ipc.open_stream(process.stdout) as stream:
                for batch in stream:
                    answers += answered(batch) if answered else 0
                    yield batch
            # What comes after the end of the stream would block the worker.
            process.stdout.read()
            broken = None
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            broken = error
            process.stdout.close()
        code = process.wait()
        for thread in threads:
            thread.join()
        said = "; ".join(tail) or "(it said nothing)"
        if code != 0:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise WorkerFailed(f"overgrant {command[1]} ended with {how}: {said}")
        if state["error"] is not None:
            raise state["error"]
        if broken is not None:
            raise WorkerFailed(f"overgrant {command[1]} wrote no stream of Arrow: {broken}: {said}")
        if answered and answers != state["asked"]:
            raise WorkerFailed(f"overgrant {command[1]} answered for {answers} of {state['asked']} rows")


def objects_in(batch):
    return pc.sum(pc.equal(batch.column("kind"), "object")).as_py() or 0


def scanner(name, facts, region):
    """The function of `mapInArrow`: one worker a task."""
    arguments = ["worker", "--facts", facts, *repeated("--region", region)]

    def scan(batches):
        yield from ask([find_binary(name), *arguments], batches, objects_in)

    return scan


# ---- one cluster ----------------------------------------------------------------------------------------------------

JUDGED = "cluster string, exit int, seconds double, said string"
PR_SET_PDEATHSIG = 1


def end_together():
    """A function for a new process: it ends when this one does, so that no task runs beside its own second try."""
    with contextlib.suppress(OSError):
        set_option = ctypes.CDLL(None).prctl
        return lambda: set_option(PR_SET_PDEATHSIG, 9)
    return None


def judge(name, arguments, row):
    """Runs the audit of one cluster; `row` says which, where its inventory is and where its output goes."""
    command = [find_binary(name), "audit", *arguments, "--inventory", row["inventory"], "--out", row["out"], "-q"]
    began = time.monotonic()
    tail = collections.deque(maxlen=STDERR_LINES)
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with started(command, preexec_fn=end_together(), **nowhere) as process:
        drain(process.stderr, tail)
        code = process.wait()
    said = "; ".join(tail)
    # Who was killed is tried again, perhaps elsewhere. What the audit says itself, it would say again.
    if code < 0:
        words = f"overgrant audit of {row['cluster']} ended with signal {-code}"
        raise WorkerFailed(f"{words}: {said or '(it said nothing)'}")
    return {"cluster": row["cluster"], "exit": code, "seconds": time.monotonic() - began, "said": said}


def judges(name, arguments):
    """The functions of `applyInArrow`, a cluster a group, and of `mapInArrow`, a cluster a task."""
    kinds = {"cluster": pa.string(), "exit": pa.int32(), "seconds": pa.float64(), "said": pa.string()}
    schema = pa.schema(kinds.items())

    def of_group(group):
        return pa.Table.from_pylist([judge(name, arguments, row) for row in group.to_pylist()], schema)

    def of_task(batches):
        for batch in batches:
            for row in batch.to_pylist():
                yield from pa.Table.from_pylist([judge(name, arguments, row)], schema).to_batches()

    return of_group, of_task


# ---- steps ----------------------------------------------------------------------------------------------------------


def configure(spark):
    """Instants are UTC on the way to Python and in files, whatever the cluster's defaults."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    spark.sparkContext.setLogLevel("WARN")


def read_plan(spark, facts):
    """FACTS/plan.json, by whatever Spark reads FACTS with."""
    files = spark.sparkContext.wholeTextFiles(join(facts, "plan.json")).collect()
    return json.loads(files[0][1])


def join(folder, name):
    return name if "://" in name or name.startswith("/") else folder.rstrip("/") + "/" + name


def partition_count(listing, options, spark):
    """As many tasks as there are shares of --partition-mib, no fewer than cores, no more than objects."""
    objects, cost = listing.agg(F.count("*"), F.sum(F.col("size") + F.lit(OBJECT_COST))).first()
    if options.partitions:
        return max(1, options.partitions), objects
    shares = -(-(cost or 0) // (options.partition_mib << 20))
    wanted = max(shares, spark.sparkContext.defaultParallelism)
    return int(max(1, min(wanted, objects or 1, MAX_PARTITIONS))), objects


def balanced(spark, listing, partitions):
    """The listing in `partitions` parts of about the same size: sorted by size, then dealt out to and fro."""
    # The sort makes ranges, each in its order; every range is dealt out by itself, so that no task sees all.
    at = F.monotonically_increasing_id()
    in_range, of_range = at % F.lit(1 << 33), F.shiftright(at, 33)
    turn = (in_range + of_range * 7919) % (2 * partitions)
    part = F.when(F.col("turn") < partitions, F.col("turn")).otherwise(2 * partitions - 1 - F.col("turn"))
    dealt = listing.orderBy(F.col("size").desc(), "uri").withColumn("turn", turn).withColumn("part", part)
    return placed(spark, dealt.select(*listing.columns, "part"), partitions).drop("value")


def placed(spark, rows, partitions):
    """Rows in the partitions that their column `part` says; the column `value` is in its place then."""
    # Spark places a row by the hash of a value, which would put two parts into one task. So each part gets a value
    # that is placed where no other is. Should a Spark hash otherwise than `hash`, only the balance suffers.
    span = partitions * 32 + 1024
    place = F.pmod(F.hash("id"), F.lit(partitions))
    values = spark.range(span).select("id", place.alias("part")).groupBy("part").agg(F.min("id").alias("value"))
    value = F.coalesce("value", F.col("part")).alias("value")
    columns = [column for column in rows.columns if column != "part"]
    return rows.join(F.broadcast(values), "part", "left").select(*columns, value).repartition(partitions, "value")


@contextlib.contextmanager
def words_of_workers():
    """A job that ends by a worker ends with what it said."""
    try:
        yield
    except Exception as error:
        said = re.search(r"WorkerFailed: ([^\n]*)", str(error))
        if said is None:
            raise
        raise SystemExit(f"overgrant_spark: {said.group(1)}") from None


def schema_of(binary, table):
    done = subprocess.run([binary, "schema", "--format", "spark-ddl", table], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"overgrant_spark: overgrant schema ended with exit code {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def schemas_of(binary):
    done = subprocess.run([binary, "schema", "--format", "json"], capture_output=True, text=True, check=True)
    return {schema["table"]: schema for schema in json.loads(done.stdout)}


def scan_step(spark, options, name):
    binary = find_binary(name)
    plan = read_plan(spark, options.facts)
    listing = spark.read.parquet(join(options.facts, plan["listing"]["path"]))
    partitions, objects = partition_count(listing, options, spark)
    print(f"overgrant_spark: {objects} objects in {partitions} tasks", file=sys.stderr, flush=True)
    rows = balanced(spark, listing, partitions).mapInArrow(
        scanner(name, options.facts, options.region), schema_of(binary, "scanned")
    )
    records = join(options.facts, "records")
    # By place, whoever joins one cluster brings no facts of others; each task writes a file for each place then.
    by = ["kind", "place"] if options.by_place == "yes" else ["kind"]
    write = rows.sortWithinPartitions(*by, "key").write.partitionBy(*by).mode("overwrite")
    with words_of_workers():
        write.option("compression", "zstd").parquet(records)
    outcomes = spark.read.parquet(records).where("kind = 'object'").groupBy("outcome").count()
    told = ", ".join(f"{row['count']} {row['outcome']}" for row in outcomes.orderBy("outcome").collect())
    print(f"overgrant_spark: objects: {told or 'none'}", file=sys.stderr, flush=True)


def instant(text):
    """An instant of RFC 3339; `None` for anything else."""
    if not isinstance(text, str):
        return None
    with contextlib.suppress(ValueError):
        # Python 3.9 reads three digits of a second, or six.
        text = re.sub(r"\.(\d+)", lambda digits: "." + (digits[1] + "000000")[:6], text)
        read = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
        return read if read.tzinfo else read.replace(tzinfo=datetime.timezone.utc)
    return None


def snapshots(spark, inventory):
    """The newest snapshot of each cluster by ARN, as `overgrant audit` takes it: when it was taken, and its folder."""
    found = {}
    for place in [place for place in inventory.split(",") if place]:
        reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        files = reader.option("pathGlobFilter", "{inventory,cluster}.json").load(place).select("path", "content")
        folders = {}
        for row in files.collect():
            folder, name = re.sub("^file:/+", "/", row["path"]).rsplit("/", 1)
            with contextlib.suppress(ValueError):
                folders.setdefault(folder, {})[name] = json.loads(bytes(row["content"]))
        for folder, read in sorted(folders.items()):
            header, described = read.get("inventory.json", {}), read.get("cluster.json", {})
            arn = header.get("cluster_arn") or header.get("clusterArn")
            arn = arn or described.get("cluster", described).get("arn") or ""
            text = header.get("captured_at") or header.get("capturedAt")
            at = instant(text)
            if at is None or ":cluster/" not in arn:
                what = "captured_at" if at is None else "cluster_arn"
                words = f"{folder}: {what} is missing or does not read: this cluster cannot be judged"
                print(f"overgrant_spark: {words}", file=sys.stderr, flush=True)
            elif arn not in found or at >= found[arn][0]:
                found[arn] = (at, text, folder)
    if not found:
        raise SystemExit(f"overgrant_spark: no cluster can be judged by {inventory}")
    return found


def part_of(arn):
    """A name for the output of a cluster that no other has: ACCOUNT_REGION_NAME."""
    _, _, _, region, account, resource = arn.split(":", 5)
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{account}_{region}_{resource.split('/', 1)[1]}")


def clusters_step(spark, options, name):
    """One audit a cluster, each a task; gives the folders of their tables."""
    if spark.sparkContext.getConf().get("spark.speculation", "false") == "true":
        raise SystemExit("overgrant_spark: two tasks may not write one output: set spark.speculation to false")
    found = snapshots(spark, options.inventory)
    # The end that one run over all clusters would have.
    until = options.until or max(found.values())[1]
    options.until = until
    threads = spark.sparkContext.getConf().get("spark.task.cpus", "1")
    arguments = ["--facts", options.facts, *of_both(options, inventory=False), *of_audit(options), "--threads", threads]
    rows = [
        (part, arn, folder, join(options.parts, part_of(arn)))
        for part, (arn, (_, _, folder)) in enumerate(sorted(found.items()))
    ]
    columns = "part bigint, cluster string, inventory string, out string"
    clusters = placed(spark, spark.createDataFrame(rows, columns), len(rows))
    of_group, of_task = judges(name, arguments)
    # The groups are where they are to be already. Spark 3.5 has no applyInArrow.
    if hasattr(GroupedData, "applyInArrow"):
        judged = clusters.groupBy("value").applyInArrow(of_group, JUDGED)
    else:
        judged = clusters.mapInArrow(of_task, JUDGED)
    with words_of_workers():
        ended = sorted(judged.collect(), key=lambda row: row["cluster"])
    for row in ended:
        words = f"{row['cluster']}: exit code {row['exit']}, {row['seconds']:.1f} s"
        print(f"overgrant_spark: {words}{': ' if row['said'] else ''}{row['said']}", file=sys.stderr, flush=True)
    failed = [row for row in ended if row["exit"] not in (0, 1, 3)]
    if failed or len(ended) != len(rows):
        first = f": {failed[0]['cluster']}: {failed[0]['said']}" if failed else ""
        lost = len(rows) - len(ended) + len(failed)
        raise SystemExit(f"overgrant_spark: {lost} of {len(rows)} clusters failed{first}")
    return [join(out, "tables") for _, _, _, out in rows]


def of_all(spark, folders, schema, parts):
    """A table of all clusters, each row once; `parts` is how many audits they are of."""
    table, key, names = schema["table"], schema["key"], [column["name"] for column in schema["columns"]]
    read = spark.read.parquet(*(join(folder, table) for folder in folders))
    rows = read.select(*names)
    if table == "run":
        # One run it was not, but of one window and version: see `parts_of`.
        others = [F.first(name).alias(name) for name in names if name != "clusters"]
        return rows.agg(*others, F.sum("clusters").alias("clusters")).select(*names)
    if table == "api_access":
        return rows  # the one that is large, and each audit has that of its cluster alone
    if not key:
        # Equal rows of one audit are not one row: as many of them as the audit has that has most.
        folder = F.regexp_extract("_metadata.file_path", "(.*)/", 1).alias("_folder")
        equal = read.select(*names, folder).groupBy(*names, "_folder").agg(F.count("*").alias("_equal"))
        times = equal.groupBy(*names).agg(F.max("_equal").alias("_times"))
        return times.select(*names, F.explode(F.expr("array_repeat(0, int(_times))"))).select(*names)
    # What is read by each audit comes from each. An access key is last seen where it was used last.
    pick = {"first_seen": F.min, "last_seen": F.max}
    others = [pick.get(name, F.first)(name).alias(name) for name in names if name not in key]
    merged = rows.groupBy(*key).agg(*others, F.count("*").alias("_parts"))
    if table == "notes":
        # A rule that covers nothing in one cluster may cover something in another.
        merged = merged.where((F.col("code") != "suppression_unmatched") | (F.col("_parts") == parts))
    return merged.select(*names)


def matching(spark, patterns):
    """Folders that patterns name, by whatever Spark reads them with."""
    hadoop, conf = spark.sparkContext._jvm.org.apache.hadoop.fs, spark.sparkContext._jsc.hadoopConfiguration()
    found = []
    for pattern in patterns:
        path = hadoop.Path(pattern)
        found += [one.getPath().toString() for one in path.getFileSystem(conf).globStatus(path) or []]
    if not found:
        raise SystemExit(f"overgrant_spark: --tables {','.join(patterns)}: no such folder")
    return sorted(found)


def parts_of(spark, folders):
    """How many audits there are below `folders`; they must be of one window and one version."""
    rows = spark.read.parquet(*(join(folder, "run") for folder in folders)).collect()
    windows = {(str(row["since"]), str(row["until"]), row["tool_version"]) for row in rows}
    if len(windows) > 1:
        words = " and ".join(" ".join(window) for window in sorted(windows))
        raise SystemExit(f"overgrant_spark: tables of several windows or versions: {words}")
    return len(rows)


def reports_step(spark, options, folders=None, binary=None):
    """The shipped statements over the tables of a run. REPORTS/NAME.parquet is a folder whose files are in order.

    `folders` are those of the tables of several clusters."""
    files = spark.sparkContext.wholeTextFiles(join(options.queries, "*.sql")).collect()
    statements = {place.rsplit("/", 1)[-1][: -len(".sql")]: text for place, text in files}
    statements.pop("schema", None)
    schemas, parts = ({}, 0) if folders is None else (schemas_of(binary), parts_of(spark, folders))
    for table in sorted(set(tables_read_by(statements.values()))):
        if folders is None:
            rows = spark.read.parquet(join(options.out, f"tables/{table}"))
        else:
            rows = of_all(spark, folders, schemas[table], parts)
            # Most are read by several statements.
            rows = rows if table == "api_access" else rows.persist()
        rows.createOrReplaceTempView(table)
    for report, statement in sorted(statements.items()):
        target = join(options.reports, report + ".parquet")
        write_report(spark, statement, target)
        print(f"overgrant_spark: {target}", file=sys.stderr, flush=True)


def write_report(spark, statement, target):
    spark.sql(statement).write.mode("overwrite").option("compression", "zstd").parquet(target)


def tables_read_by(statements):
    """Every statement says in its head which tables it reads."""
    for statement in statements:
        for line in statement.splitlines():
            if line.startswith("-- ") and " Reads: " in line:
                yield from (name.strip() for name in line.split(" Reads: ", 1)[1].rstrip(". ").split(","))


def repeated(flag, text):
    return [part for value in (text or "").split(",") if value for part in (flag, value)]


def of_both(options, inventory=True):
    """What the listing and the audit must be told alike."""
    given = [("--inventory", options.inventory)] if inventory else []
    given += [("--cluster-map", options.cluster_map), ("--region", options.region)]
    given += [("--since", options.since), ("--until", options.until)]
    given += [("--max-object", options.max_object)]
    hide = ["--hide-secret-names"] if options.hide_secret_names == "yes" else []
    return [part for flag, text in given for part in repeated(flag, text)] + hide


def of_audit(options):
    given = [("--memory", options.memory), ("--config", options.config)]
    return [part for flag, text in given for part in repeated(flag, text)]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--steps", default="list,scan,audit", help=f"of {','.join(STEPS)} (default: %(default)s)")
    parser.add_argument("--facts", required=True, help="where plan, listing and records are: a folder or s3://")
    parser.add_argument("--overgrant", default="overgrant", help="the binary: see the head of this file")
    parser.add_argument("--logs", help="comma separated; for list")
    parser.add_argument("--inventory", help="comma separated; for list, audit and clusters")
    parser.add_argument("--since", help="for list, audit and clusters")
    parser.add_argument("--until", help="for list, audit and clusters")
    parser.add_argument("--cluster-map", help="KEYPREFIX=ARN, comma separated; for list, audit and clusters")
    parser.add_argument("--region", help="of the buckets, where the environment does not say it")
    parser.add_argument("--max-object", help="MiB that one object may inflate to; for all of them")
    parser.add_argument("--hide-secret-names", choices=["yes", "no"], default="no", help="for list, audit and clusters")
    parser.add_argument("--memory", help="MiB of an audit beside what it reads; for audit and clusters")
    parser.add_argument("--config", help="overgrant.toml, where each audit can read it; for audit and clusters")
    parser.add_argument("--out", help="the output of the audit; for audit and reports")
    parser.add_argument("--parts", help="folder for an output a cluster; for clusters, and reports after it")
    parser.add_argument("--tables", help="folders or patterns, comma separated, in place of OUT/tables; for reports")
    parser.add_argument("--queries", help="folder of the statements; for reports")
    parser.add_argument("--reports", help="where they are written; for reports (default: …-spark/reports)")
    parser.add_argument("--partitions", type=int, default=0, help="tasks of the scan (default: by size)")
    parser.add_argument("--partition-mib", type=int, default=256, help="compressed MiB a task (default: %(default)s)")
    parser.add_argument("--by-place", choices=["yes", "no"], default="no", help="of records; for scan before clusters")
    options, others = parser.parse_known_args(arguments)
    if others:
        print(f"overgrant_spark: passed over: {' '.join(others)}", file=sys.stderr)
    steps = [step for step in options.steps.split(",") if step]
    needs = {
        "list": ["logs"],
        "scan": [],
        "audit": ["inventory", "out"],
        "clusters": ["inventory", "parts"],
        "reports": ["queries"],
    }
    for step in steps:
        if step not in needs:
            parser.error(f"--steps {step}: one of {', '.join(STEPS)}")
        for need in needs[step]:
            if not getattr(options, need):
                parser.error(f"--{need} is needed for the step {step}")
    base = options.parts if "clusters" in steps else options.out
    if "reports" in steps and not (options.reports if options.tables else base):
        parser.error("--out, or --tables and --reports, are needed for the step reports")

    spark = SparkSession.builder.appName("overgrant").getOrCreate()
    configure(spark)
    name = ship_binary(spark, options.overgrant)
    both = of_both(options)
    if "list" in steps:
        logs = [place for place in options.logs.split(",") if place]
        run_here(find_binary(name), "scan", *logs, *both, "--list", "--out", options.facts)
    if "scan" in steps:
        scan_step(spark, options, name)
    if "audit" in steps:
        arguments = ["--facts", options.facts, *both, *of_audit(options), "--out", options.out]
        run_here(find_binary(name), "audit", *arguments)
    folders = clusters_step(spark, options, name) if "clusters" in steps else None
    if "reports" in steps:
        if options.tables:
            folders = matching(spark, [pattern for pattern in options.tables.split(",") if pattern])
        options.reports = options.reports or base.rstrip("/") + "-spark/reports"
        reports_step(spark, options, folders, find_binary(name) if folders else None)
    spark.stop()


if __name__ == "__main__":
    main()
