"""overgrant, DuckDB and ClickHouse (chdb) on the same gzipped CloudTrail files.

    cargo bench --bench scan -- --only CloudTrail --megabytes 400 --write CORPORA
    pip install duckdb chdb
    python compare.py CORPORA --overgrant BINARY [--rounds 5] [--only NAME,...]

Question: how many records of STS, EKS, Pod Identity and Roles Anywhere, or by sixty known roles, are there by
event source, event name, role and hour? The engines answer just that; `overgrant audit` does all that it
does, and its facts are added up by the same keys afterwards, unmeasured. Every run is a process of its own,
with two threads and a warm page cache; rounds are interleaved; figures are medians. Answers must be equal.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ACCOUNT = "111122223333"
CLUSTER = f"arn:aws:eks:us-west-2:{ACCOUNT}:cluster/bench"
ROLES = 60
# Partial: there is no audit log, and not every hour has a record.
FINE = (0, 3)

ANSWER = r"""
SET TimeZone = 'UTC';
COPY (
  SELECT source, name, issuer, hour, sum(n)::BIGINT AS n FROM (
    SELECT CASE issued_by WHEN 'roles_anywhere' THEN 'rolesanywhere' ELSE 'sts' END || '.amazonaws.com' AS source,
           CASE issued_by WHEN 'saml' THEN 'AssumeRoleWithSAML' WHEN 'web_identity' THEN 'AssumeRoleWithWebIdentity'
             WHEN 'session_token' THEN 'GetSessionToken' WHEN 'federation_token' THEN 'GetFederationToken'
             WHEN 'assume_root' THEN 'AssumeRoot' WHEN 'roles_anywhere' THEN 'CreateSession' ELSE 'AssumeRole' END AS name,
           caller_issuer_arn AS issuer, strftime(issued_at, '%Y-%m-%dT%H') AS hour, 1 AS n
    FROM read_parquet('{out}/facts/sessions/*/*/*.parquet')
    UNION ALL
    SELECT event_source, event_name, issuer_arn, strftime(hour, '%Y-%m-%dT%H'), count
    FROM read_parquet(['{out}/facts/authentications/*/*/*.parquet', '{out}/facts/calls/*/*/*.parquet']))
  GROUP BY ALL
) TO '{answer}' (FORMAT csv, DELIMITER '\t', HEADER false);
"""


def engine(name, sql, answer):
    """Runs one statement; the process ends without tearing anything down."""
    if name == "duckdb":
        import duckdb

        duckdb.connect().execute(sql)
    else:
        import chdb

        pathlib.Path(answer).write_bytes(chdb.query(sql, "TabSeparated").bytes())
    os._exit(0)


def inventory(folder):
    """One cluster whose access entries are the roles that the generator calls known."""
    folder = folder / "bench"
    folder.mkdir(parents=True)
    role = lambda n: f"arn:aws:iam::{ACCOUNT}:role/platform/service-role-{n}"
    long_ago = "2026-01-01T00:00:00Z"
    entries = [
        {
            "accessEntry": {
                "clusterName": "bench",
                "principalArn": role(n),
                "kubernetesGroups": [],
                "createdAt": long_ago,
                "modifiedAt": long_ago,
                "type": "STANDARD",
                "username": f"arn:aws:sts::{ACCOUNT}:assumed-role/service-role-{n}/{{{{SessionName}}}}",
            },
            "associatedAccessPolicies": [
                {
                    "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
                    "accessScope": {"type": "cluster", "namespaces": []},
                    "associatedAt": long_ago,
                    "modifiedAt": long_ago,
                }
            ],
        }
        for n in range(ROLES)
    ]
    roles = [
        {
            "RoleName": f"service-role-{n}",
            "RoleId": f"AROA{n:017d}",
            "Arn": role(n),
            "Path": "/platform/",
            "CreateDate": "2025-08-31T00:00:00Z",
        }
        for n in range(ROLES)
    ]
    cluster = {
        "name": "bench",
        "arn": CLUSTER,
        "version": "1.33",
        "createdAt": "2025-07-12T00:00:00Z",
        "accessConfig": {"authenticationMode": "API"},
    }
    captured = {"captured_at": "2026-06-02T00:00:00Z", "cluster_arn": CLUSTER, "tool": "bench", "holes": []}
    files = {
        "inventory": captured,
        "cluster": {"cluster": cluster},
        "access-entries": entries,
        "iam-roles": roles,
        "iam-users": [],
        "pod-identity-associations": [],
        "identity-provider-configs": [],
        "kubernetes": {"apiVersion": "v1", "kind": "List", "items": []},
        "api-resources": [],
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def measure(command, fine=(0,)):
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        child = subprocess.Popen(command, stdout=told, stderr=told)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in fine:
            told.seek(0)
            sys.exit(f"{command}: exit {child.returncode}\n{told.read()[-2000:]}")
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss / 1024}


def statement(text):
    """The command that runs a statement in a process of its own."""
    name, sql, answer = text
    return [sys.executable, __file__, "--engine", name, sql, str(answer)]


def run(name, corpus, work, binary):
    """One run; returns its figures and its answer."""
    answer = work / f"{corpus.name}.{name}.tsv"
    answer.unlink(missing_ok=True)
    if name == "overgrant":
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        options = "--since 2026-06-01 --until 2026-06-02 --threads 2 --quiet".split()
        figures = measure(
            [binary, "audit", corpus, "--inventory", work / "inventory", "--out", out, *options], FINE
        )
        figures["phases"] = json.loads((out / "run.json").read_text())["milliseconds"]
        measure(statement(("duckdb", ANSWER.format(out=out, answer=answer), answer)))
    else:
        sql = (HERE / "sql" / f"{name}.sql").read_text()
        sql = sql.replace("${CORPUS}", str(corpus)).replace("${OUT}", str(answer))
        figures = measure(statement((name.split("-")[0], sql, answer)))
    return figures, sorted(answer.read_text().splitlines())


def main():
    if sys.argv[1:2] == ["--engine"]:
        engine(*sys.argv[2:5])
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("corpora", type=pathlib.Path)
    asked.add_argument("--overgrant", type=pathlib.Path, required=True)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--only", default="")
    asked = asked.parse_args()
    peers = [path.stem for path in sorted((HERE / "sql").glob("*.sql"))]
    names = ["overgrant"] + [name for name in peers if not asked.only or name in asked.only.split(",")]
    equal = True
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        inventory(work / "inventory")
        for corpus in sorted(asked.corpora.resolve().iterdir()):
            figures = {name: [] for name in names}
            answers = {}
            for round in range(asked.rounds + 1):
                for name in names:
                    one, answers[name] = run(name, corpus, work, asked.overgrant)
                    # The first round warms the page cache.
                    if round > 0:
                        figures[name].append(one)
            ours = answers["overgrant"]
            counted = sum(int(line.rsplit("\t", 1)[1]) for line in ours)
            print(f"\n{corpus.name}: {counted} records in {len(ours)} groups")
            print("| | wall | CPU | peak memory | same answer |\n|---|---|---|---|---|")
            for name in names:
                of = lambda what: statistics.median(one[what] for one in figures[name])
                same = answers[name] == ours
                equal &= same
                print(f"| {name} | {of('wall'):.2f} s | {of('cpu'):.2f} s | {of('rss'):.0f} MB | {'yes' if same else 'NO'} |")
            phases = [one["phases"] for one in figures["overgrant"]]
            medians = {name: statistics.median(one[name] for one in phases) for name in phases[0]}
            print("overgrant, milliseconds: " + ", ".join(f"{name} {ms:.0f}" for name, ms in medians.items()))
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
