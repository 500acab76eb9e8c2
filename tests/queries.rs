//! Every report over a few rows written by hand, with the rows it must give.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use overgrant::model::time::Micros;
use overgrant::report::catalogue::QUERIES;
use overgrant::report::engine::{Engine, EnginePlan};
use overgrant::report::output::OutputDir;
use overgrant::table::rows::ALL;
use overgrant::table::rows::access::{
    ApiAccessRow, AwsAccessRow, GrantUsageRow, GroupSetRow, MemberUsageRow,
};
use overgrant::table::rows::evidence::{
    AuthModePlanRow, AuthModeRow, CoverageRow, GrantChangeRow, LoginRow, NoteRow, RejectRow,
    TokenFindingRow,
};
use overgrant::table::rows::grants::{GrantMemberRow, GrantRow, GrantRuleRow, IdentityRow};
use overgrant::table::rows::sessions::{
    AuthenticationRow, SessionKeyRow, SessionRow, SessionTagRow,
};
use overgrant::table::rows::verdicts::{ProposalRow, RunRow, VerdictRow};

fn grant(id: &str, managed: bool) -> GrantRow {
    GrantRow {
        grant_id: id.to_owned(),
        cluster: "c".to_owned(),
        cluster_name: "prod".to_owned(),
        grant_kind: "rbac_subject".to_owned(),
        principal: format!("p-{id}"),
        grant_ref: "ClusterRoleBinding/x".to_owned(),
        scope: "cluster".to_owned(),
        effective: true,
        power: Some("critical".to_owned()),
        managed_by_aws: managed,
        ..GrantRow::default()
    }
}

fn verdict(id: &str, verdict: &str, rank: i64) -> VerdictRow {
    VerdictRow {
        grant_id: id.to_owned(),
        cluster: "c".to_owned(),
        verdict: verdict.to_owned(),
        severity: format!("s{rank}"),
        severity_rank: rank,
        recommendation: "review".to_owned(),
        ..VerdictRow::default()
    }
}

fn access(
    principal: &str,
    decision: &str,
    session: Option<&str>,
    credited: Option<&str>,
) -> ApiAccessRow {
    ApiAccessRow {
        cluster: "c".to_owned(),
        principal_arn: principal.to_owned(),
        session_id: session.map(str::to_owned),
        via: "direct".to_owned(),
        verb: "get".to_owned(),
        resource: "pods".to_owned(),
        namespace: "shop".to_owned(),
        decision: decision.to_owned(),
        credited_grant_id: credited.map(str::to_owned),
        count: 2,
        first_seen: Micros(1_000_000),
        last_seen: Micros(2_000_000),
        ..ApiAccessRow::default()
    }
}

/// Ann is at work and is refused in every way but one; Eve and Bot only probe.
fn denied() -> Vec<ApiAccessRow> {
    let asked = |who: &str, verb: &str, namespace: &str, decision: &str, at: i64| ApiAccessRow {
        verb: verb.to_owned(),
        namespace: namespace.to_owned(),
        hour: Micros(at * 86_400_000_000),
        first_seen: Micros(at * 86_400_000_000),
        last_seen: Micros(at * 86_400_000_000 + 1),
        user_agent_family: format!("kubectl{at}"),
        ..access(who, decision, None, (decision == "allow").then_some("a"))
    };
    let mut rows = vec![
        asked("ann", "create", "shop", "forbid", 2),
        asked("ann", "create", "shop", "forbid", 3),
        // Taken away on the second day.
        asked("ann", "delete", "shop", "allow", 1),
        asked("ann", "delete", "shop", "forbid", 2),
        // Given on the third.
        asked("ann", "patch", "shop", "forbid", 2),
        asked("ann", "patch", "shop", "allow", 3),
        // Now and then, by the name that is asked for.
        asked("ann", "watch", "shop", "forbid", 1),
        asked("ann", "watch", "shop", "allow", 2),
        asked("ann", "watch", "shop", "forbid", 3),
        asked("ann", "update", "pay", "forbid", 2),
        asked("ann", "update", "shop", "allow", 1),
        ApiAccessRow {
            resource: "secrets".to_owned(),
            ..asked("eve", "list", "shop", "forbid", 1)
        },
    ];
    // At work too, and refused ten things once each.
    rows.push(asked("scan", "list", "shop", "allow", 1));
    rows.extend((0..10).map(|n| ApiAccessRow {
        resource: format!("r{n}"),
        count: 1,
        ..asked("scan", "get", "shop", "forbid", 1)
    }));
    rows
}

/// Callers that no grant explains.
fn unmanaged() -> Vec<ApiAccessRow> {
    let of = |who: &str, username: &str, kind: Option<&str>| ApiAccessRow {
        username: username.to_owned(),
        identity_kind: kind.map(str::to_owned),
        ..access(who, "allow", None, None)
    };
    let role = |name: &str| of(&format!("arn:aws:iam::1:role/{name}"), name, None);
    vec![
        ApiAccessRow { session_id: Some("s9".to_owned()), ..role("ghost") },
        role("aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0123"),
        role("aws-service-role/x.amazonaws.com/AWSServiceRoleForX"),
        role("contractor"),
        of("arn:aws:iam::1:role/mapped", "m", Some("access_entry")),
        of("arn:aws:iam::1:user/u", "u", None),
        of("arn:aws:iam::1:user/maker", "kubernetes-admin", None),
        of("robot", "robot", Some("x509")),
        of("o", "oidc:o", Some("oidc")),
        of("sa", "system:serviceaccount:a:b", Some("service_account")),
        of("what", "what", None),
    ]
}

fn write(out: &OutputDir) {
    let wide = |id: &str, cluster: &str| GrantRow {
        principal: "wide".to_owned(),
        cluster: cluster.to_owned(),
        ..grant(id, false)
    };
    out.write_table([
        wide("w1", "c"),
        wide("w2", "c2"),
        grant("a", false),
        grant("b", false),
        grant("d", false),
        grant("e", false),
        grant("m", true),
    ])
    .unwrap();
    let mut used = verdict("w2", "used", 0);
    used.last_used = Some(Micros(3_000_000));
    out.write_table([
        verdict("w1", "unused", 0),
        used,
        verdict("a", "unused", 1),
        verdict("b", "over_scoped", 3),
        verdict("d", "redundant", 2),
        verdict("e", "ineffective", 0),
        verdict("m", "unused", 0),
    ])
    .unwrap();
    let mut system = access("system:node", "allow", None, None);
    system.component = true;
    out.write_table(
        [
            access("ann", "allow", Some("s1"), Some("a")),
            access("ann", "allow", Some("s2"), Some("a")),
            system,
        ]
        .into_iter()
        .chain(denied())
        .chain(unmanaged()),
    )
    .unwrap();
    out.write_table([SessionRow {
        session_id: "s9".to_owned(),
        person: Some("gil".to_owned()),
        ..SessionRow::default()
    }])
    .unwrap();
    let tag = |session: &str, value: &str| SessionTagRow {
        session_id: session.to_owned(),
        tag_key: "team".to_owned(),
        tag_value: value.to_owned(),
        inherited: false,
    };
    out.write_table([tag("s1", "pay"), tag("s2", "shop")]).unwrap();
    out.write_table([AuthModeRow {
        cluster: "c".to_owned(),
        principal: "arn:aws:iam::1:role/x".to_owned(),
        how: "a STANDARD entry".to_owned(),
        action: "create_entry".to_owned(),
        blocking: true,
        ..AuthModeRow::default()
    }])
    .unwrap();
    let step = |step_no: i32, step: &str| AuthModePlanRow {
        cluster: "c".to_owned(),
        api_safe: "no".to_owned(),
        step_no,
        step: step.to_owned(),
        ..AuthModePlanRow::default()
    };
    out.write_table([step(1, "enable_entries"), step(2, "switch_to_api")]).unwrap();
    out.write_table([TokenFindingRow {
        cluster: "c".to_owned(),
        kind: "x509_user".to_owned(),
        subject: "robot".to_owned(),
        ..TokenFindingRow::default()
    }])
    .unwrap();
    let change = |at: i64, actor: &str| GrantChangeRow {
        cluster: "c".to_owned(),
        at: Micros(at),
        change: "entry_made".to_owned(),
        actor: actor.to_owned(),
        ..GrantChangeRow::default()
    };
    let taken = GrantChangeRow {
        change: "entry_deleted".to_owned(),
        subject: "arn:aws:iam::1:role/contractor".to_owned(),
        ..change(9_000_000, "cai")
    };
    out.write_table([change(1, "ann"), change(2, "bob"), taken]).unwrap();
    let login = |granted: bool, hour: i64, refusal: &str| LoginRow {
        cluster: "c".to_owned(),
        hour: Micros(hour),
        granted,
        arn: "arn:aws:iam::1:role/x".to_owned(),
        refusal: refusal.to_owned(),
        count: 2,
        ..LoginRow::default()
    };
    out.write_table([
        login(true, 1, ""),
        login(false, 1, "not_mapped"),
        login(false, 2, "not_mapped"),
    ])
    .unwrap();
    // Tables without a row are there all the same.
    out.write_table::<RunRow>([]).unwrap();
    out.write_table::<IdentityRow>([]).unwrap();
    out.write_table::<GrantMemberRow>([]).unwrap();
    out.write_table::<GrantRuleRow>([]).unwrap();
    out.write_table::<SessionKeyRow>([]).unwrap();
    out.write_table::<AuthenticationRow>([]).unwrap();
    out.write_table::<GroupSetRow>([]).unwrap();
    out.write_table::<AwsAccessRow>([]).unwrap();
    out.write_table::<GrantUsageRow>([]).unwrap();
    out.write_table::<MemberUsageRow>([]).unwrap();
    out.write_table::<CoverageRow>([]).unwrap();
    out.write_table::<RejectRow>([]).unwrap();
    out.write_table::<NoteRow>([]).unwrap();
    out.write_table::<ProposalRow>([]).unwrap();
}

type Answer = (&'static str, SchemaRef, Vec<RecordBatch>);

fn run_all(root: &Path, spill: &Path) -> Vec<Answer> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let plan = EnginePlan { memory: 64 << 20, spill: spill.to_path_buf() };
        let engine = Engine::open(root, &ALL, &plan).await.unwrap();
        let mut all = Vec::new();
        for query in QUERIES {
            let mut rows = engine.report(query).await.unwrap();
            let (schema, mut batches) = (rows.schema(), Vec::new());
            while let Some(batch) = rows.next().await.unwrap() {
                batches.push(batch);
            }
            all.push((query.name, schema, batches));
        }
        all
    })
}

/// The schema of every report, as the engine gives it.
pub(crate) fn schemas() -> Vec<SchemaRef> {
    let dir = tempfile::tempdir().unwrap();
    let out = OutputDir::create(&dir.path().join("out")).unwrap();
    write(&out);
    run_all(out.staging(), dir.path()).into_iter().map(|(_, schema, _)| schema).collect()
}

/// The given columns of a report, a line each row.
fn lines(batches: &[RecordBatch], columns: &[&str]) -> Vec<String> {
    let options = FormatOptions::default();
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|name| {
                let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
                ArrayFormatter::try_new(column.as_ref(), &options).unwrap().value(row).to_string()
            });
            lines.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

#[test]
fn golden_rows_of_every_report() {
    let dir = tempfile::tempdir().unwrap();
    let out = OutputDir::create(&dir.path().join("out")).unwrap();
    write(&out);
    let reports = run_all(out.staging(), dir.path());
    let check = |name: &str, columns: &[&str], expected: &[&str]| {
        let (_, _, batches) = reports.iter().find(|(report, ..)| *report == name).unwrap();
        assert_eq!(lines(batches, columns), expected, "{name}");
    };
    check(
        "grant_review",
        &["severity", "principal", "verdict", "recommendation"],
        &[
            "s3 p-b over_scoped review",
            "s2 p-d redundant review",
            "s1 p-a unused review",
            "s0 p-e ineffective review",
            "s0 p-m unused review",
            "s0 wide unused review",
            "s0 wide used review",
        ],
    );
    check("unused_grants", &["grant_id"], &["a", "w1"]);
    let of_principal =
        ["principal", "clusters", "clusters_used", "admin_clusters", "admin_clusters_used"];
    check(
        "access_by_principal",
        &of_principal,
        &["p-b 1 0 1 0", "p-d 1 0 1 0", "p-a 1 0 1 0", "p-e 1 0 1 0", "wide 2 1 2 1"],
    );
    check("over_scoped_grants", &["grant_id"], &["b"]);
    check("redundant_grants", &["grant_id"], &["d"]);
    check("ineffective_grants", &["grant_id"], &["e"]);
    check(
        "access_by_tag",
        &["principal_arn", "tag_key", "tag_value", "namespace", "used_count"],
        &["ann team pay shop 2", "ann team shop shop 2"],
    );
    let denied =
        ["principal_arn", "verb", "kind", "severity", "denied_count", "denied_days", "user_agents"];
    let mut expected = vec![
        "ann create missing_grant low 4 2 2",
        "ann delete lost_grant medium 2 1 1",
        "ann patch granted_since info 2 1 1",
        "ann update near_miss low 2 1 1",
        "ann watch near_miss low 4 2 2",
        "eve list probe high 2 1 1",
    ];
    expected.extend(["scan get probe low 1 1 1"; 10]);
    check("denied_access", &denied, &expected);
    let role = "arn:aws:iam::1:role/";
    check(
        "unmanaged_access",
        &["principal_arn", "explanation", "used_count", "sessions", "persons", "person"],
        &[
            &format!("{role}aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0123 sso 2 0 0 "),
            &format!(
                "{role}aws-service-role/x.amazonaws.com/AWSServiceRoleForX service_linked 2 0 0 "
            ),
            &format!("{role}contractor deleted_entry 2 0 0 "),
            &format!("{role}ghost unknown_role 2 1 1 gil"),
            &format!("{role}mapped no_rule 2 0 0 "),
            "arn:aws:iam::1:user/maker cluster_creator 2 0 0 ",
            "arn:aws:iam::1:user/u unknown_user 2 0 0 ",
            "o oidc 2 0 0 ",
            "robot x509 2 0 0 ",
            "sa service_account 2 0 0 ",
            "what unknown 2 0 0 ",
        ],
    );
    check(
        "auth_mode_migration",
        &["principal", "action", "blocking", "how"],
        &["arn:aws:iam::1:role/x create_entry true a STANDARD entry"],
    );
    check(
        "auth_mode_plan",
        &["api_safe", "step_no", "step"],
        &["no 1 enable_entries", "no 2 switch_to_api"],
    );
    check("token_hygiene", &["kind", "subject"], &["x509_user robot"]);
    check(
        "grant_timeline",
        &["change", "actor"],
        &["entry_made ann", "entry_made bob", "entry_deleted cai"],
    );
    check(
        "refused_logins",
        &["arn", "refusal", "refused_count"],
        &["arn:aws:iam::1:role/x not_mapped 4"],
    );
}

#[test]
fn reports_are_flat() {
    let dir = tempfile::tempdir().unwrap();
    let out = OutputDir::create(&dir.path().join("out")).unwrap();
    write(&out);
    for (name, _, batches) in run_all(out.staging(), dir.path()) {
        for batch in &batches {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let nested = column.as_list_opt::<i32>().is_some() || column.as_map_opt().is_some();
                assert!(!nested && !column.data_type().is_nested(), "{name}.{}", field.name());
            }
        }
    }
}
