"""Data of the page that no recorded cluster has, the same each time: `data.py plain|big|hostile OUT.json`.

`plain` has two clusters and every verdict, `big` 10,000 grants, `hostile` a payload in every text.
"""

import datetime
import json
import pathlib
import random
import sys

COLUMNS = (
    "grant_id cluster grant_kind identity_kind principal grant_ref role_ref scope namespaces members verdict also reason "
    "detail confidence severity age_days coverage first_used last_used used_days used_count used_permissions "
    "recommendation recommendation_detail recommended_policy recommended_scope recommended_namespaces recommended_rbac "
    "excess_before excess_after replay_denied valid_from granted_by managed open_ended suppressed"
).split()
SEVERITIES = ["critical", "high", "medium", "low", "info"]
VERDICTS = ["ineffective", "unobservable", "too_new", "unused", "redundant", "over_scoped", "used"]
KINDS = {
    "access_policy": "access_entry", "entry_group": "access_entry", "aws_auth_group": "aws_auth_role",
    "rbac_subject": "service_account", "pod_identity": "service_account", "irsa": "service_account",
}
REASONS = {
    "ineffective": "unbound_group", "unobservable": "coverage", "too_new": "too_new", "unused": "no_use",
    "redundant": "covered_by_others", "over_scoped": "smaller_policy,few_cells", "used": "in_use",
}
ADVICE = {
    "ineffective": ["remove"], "unobservable": ["review", "keep"], "too_new": ["keep"], "unused": ["remove", "review"],
    "redundant": ["remove", "keep"], "over_scoped": ["replace", "narrow", "split", "review"], "used": ["keep"],
}
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKS"
UNTIL = datetime.datetime(2026, 11, 24)
DAYS = 90
SINCE = UNTIL - datetime.timedelta(days=DAYS)
NAMESPACES = ["pay", "shop", "search", "ledger", "ci-system", "monitoring", "kube-system", "istio-system", "data", "ml"]


def stamp(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def grant(chance: random.Random, clusters: int, managed: bool) -> dict:
    kind = chance.choice(list(KINDS))
    verdict = "used" if managed else chance.choice(VERDICTS)
    seen = verdict in ("redundant", "over_scoped", "used")
    quiet = managed or verdict in ("used", "too_new")
    team = chance.choice(["payments", "search", "platform", "data", "risk", "mobile"])
    name = f"{team}-{chance.choice(['deployer', 'reader', 'oncall', 'batch', 'bot', 'admin'])}-{chance.randrange(1000)}"
    place = sorted(chance.sample(NAMESPACES, chance.randint(1, 3)))
    whole = chance.random() < 0.4
    policy = chance.choice(["ClusterAdminPolicy", "AdminPolicy", "EditPolicy", "ViewPolicy"])
    role = f"ClusterRole/{chance.choice(['cluster-admin', 'admin', 'edit', 'view', 'ops-' + team])}"
    references = {
        "access_policy": (POLICY + policy, POLICY + policy), "entry_group": (team, role), "aws_auth_group": ("system:masters", role),
        "rbac_subject": (f"RoleBinding/{place[0]}/{name}", role),
        "pod_identity": (f"arn:aws:iam::111122223333:role/{name}", ""), "irsa": (f"arn:aws:iam::111122223333:role/{name}", ""),
    }
    principal = f"{place[0]}/{name}" if KINDS[kind] == "service_account" else f"arn:aws:iam::{chance.choice([111122223333, 444455556666])}:role/{name}"
    first = SINCE + datetime.timedelta(minutes=chance.randrange(DAYS * 700))
    last = first + datetime.timedelta(minutes=chance.randrange(DAYS * 700))
    age = chance.randrange(30) if verdict == "too_new" else chance.randrange(31, 900)
    advice = "keep" if managed else chance.choice(ADVICE[verdict])
    changed = advice in ("replace", "split", "narrow")
    before = None if verdict == "unobservable" else chance.randrange(1, 2701)
    return {
        "grant_id": f"{chance.getrandbits(64):016x}", "cluster": chance.randrange(clusters), "grant_kind": kind,
        "identity_kind": KINDS[kind], "principal": principal, "grant_ref": references[kind][0], "role_ref": references[kind][1],
        "scope": "cluster" if whole else "namespace", "namespaces": "" if whole else ",".join(place),
        "members": chance.randint(1, 20), "verdict": verdict, "also": "over_scoped" if verdict == "redundant" else "",
        "reason": REASONS[verdict], "detail": f"{verdict}: what the logs show of {name}",
        "confidence": chance.choice(["high", "high", "high", "medium", "low"]),
        "severity": "info" if quiet else "low" if verdict in ("unobservable", "ineffective") else chance.choice(SEVERITIES[:4]),
        "age_days": age, "coverage": chance.choice([1.0, 0.9991, 0.97]),
        "first_used": stamp(first) if seen else None, "last_used": stamp(last) if seen else None,
        "used_days": (last - first).days + 1 if seen else 0, "used_count": chance.randrange(1, 5000) if seen else 0,
        "used_permissions": chance.randrange(1, 40) if seen else 0, "recommendation": advice,
        "recommendation_detail": "its members cannot be listed: others may use it tomorrow" if advice == "review" else None,
        "recommended_policy": "AmazonEKSViewPolicy" if changed else None, "recommended_scope": "namespace" if changed else None,
        "recommended_namespaces": place[0] if changed else None,
        "recommended_rbac": f"{place[0]}: get/list/watch pods, list deployments.apps" if changed else None,
        "excess_before": before, "excess_after": before // 9 if changed and before else None,
        "replay_denied": None if advice == "keep" else 0, "valid_from": stamp(UNTIL - datetime.timedelta(days=age)),
        "granted_by": chance.choice([None, "arn:aws:iam::111122223333:role/platform"]), "managed": managed,
        "open_ended": advice == "review", "suppressed": "accepted until spring" if not managed and chance.random() < 0.01 else None,
    }


def worst_first(row: dict):
    return (SEVERITIES.index(row["severity"]), row["cluster"], row["principal"], row["grant_id"])


def made(seed: int, grants: int, clusters: int, principals: int) -> dict:
    chance = random.Random(seed)
    rows = sorted((grant(chance, clusters, at % 4 == 0) for at in range(grants)), key=worst_first)
    uses, proposals = {}, {}
    for at, row in enumerate(rows):
        if row["first_used"] and at < 2000:
            place = chance.choice(NAMESPACES)
            uses[str(at)] = {"rows": [
                ["direct", verb, group, resource, "", place, "", "", chance.randrange(1, 900), chance.randrange(1, 90),
                 row["first_used"], row["last_used"]]
                for verb, group, resource in [("get", "", "pods"), ("list", "apps", "deployments"), ("create", "batch", "jobs")]
            ] + [["delegated", "get", "", "", "", "", "", "/metrics", 3, 1, row["first_used"], row["last_used"]]], "more": at % 3}
        if row["recommended_rbac"]:
            proposals[str(at)] = [
                {"kind": "role", "policy_arn": None, "namespaces": row["recommended_namespaces"], "verbs": ["get", "list"],
                 "api_groups": [""], "resources": ["pods", "pods/log"], "resource_names": ["yes", "a: b"], "non_resource_urls": []},
                {"kind": "cluster_role", "policy_arn": None, "namespaces": None, "verbs": ["get"], "api_groups": [],
                 "resources": [], "resource_names": [], "non_resource_urls": ["/metrics", "/healthz/*"]},
            ]
    names = [f"arn:aws:iam::111122223333:role/user-{at}" for at in range(principals)]
    places = ["", *NAMESPACES, *(f"team-{at}" for at in range(principals // 2))]
    cells = [[who, where, chance.randrange(1, 10 ** chance.randint(1, 6))]
             for who in range(len(names)) for where in range(len(places)) if chance.random() < 0.25]
    days = [(SINCE + datetime.timedelta(days=at)).strftime("%Y-%m-%d") for at in range(DAYS)]
    hours = lambda: 24 if chance.random() < 0.93 else chance.choice([0, 11, 23])
    changes = [[stamp(SINCE + datetime.timedelta(hours=at * 37)), at % clusters, chance.choice(["entry_made", "policy_attached", "object_changed"]),
                names[at % len(names)], POLICY + "ViewPolicy" if at % 2 else None, "arn:aws:iam::111122223333:role/platform"]
               for at in range(min(50, grants // 4))]
    return {
        "tool": {"version": "0.0.0", "policy_table_version": "2025-11-06"},
        "window": {"since": stamp(SINCE), "until": stamp(UNTIL)}, "complete": False,
        "clusters": [{"arn": f"arn:aws:eks:{region}:111122223333:cluster/{name}", "name": name}
                     for region, name in [("eu-west-1", "prod"), ("us-east-1", "prod"), *(("eu-west-1", f"c{at}") for at in range(2, clusters))]],
        "warnings": [f"warning {at}: something to know" for at in range(7)],
        "grants": {"columns": COLUMNS, "rows": [[row[column] for column in COLUMNS] for row in rows]},
        "uses": uses, "proposals": proposals,
        "heat": {"principals": names, "namespaces": places, "cells": cells, "more_principals": 12},
        "coverage": [{"stream": f"audit log of c{at}", "days": [[day, hours(), 24] for day in days]} for at in range(min(clusters, 6))],
        "changes": changes, "changes_more": 5,
    }


PAYLOADS = [
    "<img src=x onerror=window.__pwned=1>", "</script><script>window.__pwned=1</script>", "<svg/onload=window.__pwned=1>",
    "\"'><x-made onclick=alert(1)>", "javascript:window.__pwned=1", "<!--<script>", "]]><style>*{display:none}</style>",
    "safe\u202egnp.exe", "zero\u200bwidth\u2060joined\ufeff", "bell\u0007esc\u001b[2Jnul\u0000", "line\nbreak\r\ttab\u2028sep\u2029",
    "{{DATA}}{{SCRIPT}}{{CSP}}", "__proto__", "constructor", "a, b: c\n- d", "': !!python/object:os.system", "`rm -rf ~`$(id)'\"",
    "tag\U000e0041hidden", "blank\u00a0\u3164\u2800end", "z\u0301\u0302\u0303\u0304\u0305\u0306algo", "long" * 3000, "\U0001f600 \u05d0\u05d1 \u4e2d",
]


def hostile() -> dict:
    data = made(3, 66, 2, 12)
    turn = iter(range(10 ** 9))
    kept = {"cluster", "grant_kind", "identity_kind", "scope", "verdict", "confidence", "severity", "recommendation"}

    def bad() -> str:
        at = next(turn)
        return f"{PAYLOADS[at % len(PAYLOADS)]}#{at}"

    for number, row in enumerate(data["grants"]["rows"]):
        for at, column in enumerate(COLUMNS):
            # Most codes stay, so that filters work; some are strange too.
            if isinstance(row[at], str) and (column not in kept or number % 11 == 10):
                row[at] = bad()
            elif row[at] is None and column in ("granted_by", "recommendation_detail", "suppressed") and number % 5 == 0:
                row[at] = bad()
    data["tool"] = {"version": bad(), "policy_table_version": bad()}
    data["clusters"] = [{"arn": bad(), "name": bad()} for _ in data["clusters"]]
    data["warnings"] = [bad() for _ in PAYLOADS]
    for use in data["uses"].values():
        use["rows"] = [[bad() if isinstance(value, str) else value for value in row] for row in use["rows"]]
    for parts in data["proposals"].values():
        for part in parts:
            part["namespaces"] = bad() if part["namespaces"] else None
            for key in ("verbs", "api_groups", "resources", "resource_names", "non_resource_urls"):
                part[key] = [bad() for _ in part[key]]
    data["heat"]["principals"] = [bad() for _ in data["heat"]["principals"]]
    data["heat"]["namespaces"] = ["", *(bad() for _ in data["heat"]["namespaces"][1:])]
    data["coverage"] = [{"stream": bad(), "days": [[bad(), 1, 24], *stream["days"]]} for stream in data["coverage"]]
    data["changes"] = [[bad() if isinstance(value, str) and at else value for at, value in enumerate(row)] for row in data["changes"]]
    return data


MADE = {"plain": lambda: made(1, 80, 3, 12), "big": lambda: made(2, 10_000, 20, 40), "hostile": hostile}


def main() -> None:
    kind, out = sys.argv[1:3]
    pathlib.Path(out).write_text(json.dumps(MADE[kind](), ensure_ascii=True), encoding="utf-8")


if __name__ == "__main__":
    main()
