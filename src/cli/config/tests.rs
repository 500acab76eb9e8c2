//! What files say, and what is wrong with them.
#![expect(clippy::disallowed_methods, reason = "the tests write the files that are read")]

use super::*;
use crate::cli::args::Command as Typed;

fn given(toml: &str, typed: &[&str]) -> Result<(Box<crate::cli::args::Audit>, Config), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(AMBIENT), toml).unwrap();
    let argv = ["overgrant", "audit"].iter().chain(typed).map(OsString::from).collect();
    match read(argv, folder.path()) {
        Ok(Given { args, config }) => {
            let Typed::Audit(audit) = args.command else { panic!("{args:?}") };
            Ok((audit, config.unwrap()))
        }
        Err(Mistake::File(error)) => {
            let place = folder.path().display().to_string();
            Err(error.render().replace(&format!("{place}/"), ""))
        }
        Err(Mistake::Typed(error)) => Err(error.to_string()),
    }
}

#[test]
fn every_key_is_a_flag_and_what_is_typed_wins() {
    let toml = r#"
        [audit]
        logs = ["s3://logs/AWSLogs", "s3://logs/eks-audit"]
        inventory = "inventory"
        out = "reports"
        min-age = 45
        min-coverage = 0.9
        rescan = true
        verify = false
        until = 2026-11-24
        fail-on = "new:high"
        verb-groups = "read"
    "#;
    let (audit, _) = given(toml, &[]).unwrap();
    assert_eq!(audit.logs, ["s3://logs/AWSLogs", "s3://logs/eks-audit"]);
    assert_eq!(audit.inventory, ["inventory"]);
    assert_eq!((audit.out.as_str(), audit.min_age), ("reports", 45));
    assert_eq!((audit.rescan, audit.verify), (true, false));
    assert_eq!(audit.until.as_deref(), Some("2026-11-24"));
    assert!(audit.review.fail_on.unwrap().new);

    let (audit, _) = given(toml, &["here", "--min-age", "7", "--inventory=x"]).unwrap();
    assert_eq!((audit.logs, audit.inventory), (vec!["here".to_owned()], vec!["x".to_owned()]));
    assert_eq!((audit.min_age, audit.min_coverage.to_string().as_str()), (7, "0.9"));
    // What is missing in both is still missing.
    assert!(given("[audit]\nmin-age = 3", &["logs"]).unwrap_err().contains("--out"));
    // One flag needs another, wherever that is.
    let key = "[audit]\nuse-unverified = true";
    assert!(given(key, &["logs", "--out=x", "--verify"]).unwrap().0.use_unverified);
    assert!(given(key, &["logs", "--out=x"]).unwrap_err().contains("--verify"));
}

#[test]
fn rules_are_read_in_order() {
    let toml = r#"
        [[suppress]]
        grant = "0123456789abcdef"
        owner = "sre"
        reason = "OPS-1, until the migration"
        expires = 2027-01-31

        [[suppress]]
        principal = "*jenkins"
        query = "unused_grants"
        owner = "ci"
        reason = "r"
        expires = "2027-02-01"

        [break-glass]
        principals = ["*/breakglass", "root-*"]
        owner = "security"
        reason = "runbook 7"
        expires = 2027-06-30
    "#;
    let (_, config) = given(toml, &["logs", "--out=x"]).unwrap();
    let told: Vec<String> = config.rules.iter().map(Rule::words).collect();
    assert_eq!(
        told,
        [
            "break-glass 1: principal */breakglass or root-*, of security",
            "suppress 1: grant 0123456789abcdef, of sre",
            "suppress 2: principal *jenkins, verdict unused, of ci",
        ]
    );
    assert_eq!(config.rules[1].reason, "OPS-1, until the migration");
    assert_eq!(config.digest.len(), 64);
}

#[test]
fn mistakes_name_the_line_and_the_nearest_key() {
    let check = |toml: &str, expected: &str| {
        let got = given(toml, &["logs", "--out=x"]).unwrap_err();
        assert_eq!(got, format!("error: overgrant.toml {expected}\n"));
    };
    check(
        "[audit]\nmin-age = 1\nmin_coverage = 0.9\n",
        "line 3: unknown key \"min_coverage\" in [audit], the nearest is \"min-coverage\"",
    );
    check(
        "# a\n\n[supress]\n",
        "line 3: unknown key \"supress\" in the file, the nearest is \"suppress\"",
    );
    check(
        "[audit]\nfail = \"x\"\n",
        "line 2: unknown key \"fail\" in [audit], the nearest is \"fail-on\"",
    );
    check(
        "[[suppress]]\ngrant = \"a\"\nowner = \"o\"\nreasn = \"r\"\nexpires = 2027-01-01\n",
        "line 4: suppress 1: unknown key \"reasn\", the nearest is \"reason\"",
    );
    check(
        "[[suppress]]\ngrant = \"a\"\nowner = \"o\"\nreason = \"r\"\nexpires = \"soon\"\n",
        "line 5: suppress 1: expires takes a date (2027-01-31), not \"soon\"",
    );
    check(
        "\n[[suppress]]\ngrant = \"a\"\nowner = \"o\"\nreason = \"r\"\n",
        "line 2: suppress 1: expires is missing: a suppression has owner, reason and expires",
    );
    check(
        "[audit]\nmin-age = \"old\"\n",
        "line 2: invalid value 'old' for '--min-age <DAYS>': invalid digit found in string",
    );
    check("[audit]\nrescan = \"yes\"\n", "line 2: rescan takes true or false");
    check("[audit]\nout = [\"a\", \"b\"]\n", "line 2: out takes one value");
    check("[audit]\nlogs = [\"--out=y\"]\n", "line 2: logs takes places, not \"--out=y\"");
    check("audit = 3\n", "line 1: [audit] is a table");
    check("[audit]\nmin-age = 1\nmin-age = 2\n", "line 3: duplicate key");
}

#[test]
fn a_named_file_must_be_there_and_other_commands_read_none() {
    let here = Path::new("");
    let argv = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
    let missing = argv(&["overgrant", "audit", "logs", "--out=x", "--config=/no/such.toml"]);
    let Err(Mistake::File(error)) = read(missing, here) else { panic!("it was read") };
    assert_eq!(error.render(), "error: /no/such.toml: No such file or directory (os error 2)\n");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(AMBIENT), "nonsense").unwrap();
    let diff = read(argv(&["overgrant", "diff", "a", "b"]), folder.path()).unwrap();
    assert!(diff.config.is_none());
}
