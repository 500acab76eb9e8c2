//! Plans, runs and tables for tests.

pub(crate) mod aws;
pub(crate) mod faulty_s3;
pub(crate) mod history;
pub(crate) mod s3;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use overgrant::decode::gunzip::Limits;
use overgrant::model::time::Micros;
use overgrant::pipeline::{Events, Outcome, PipelineError, Plan, Since, run};
use overgrant::source::{Location, S3Options};
use overgrant::table::Row;
use overgrant::table::parquet::{CodecError, read_rows};
use overgrant::table::rows::grants::GrantRow;
use overgrant::table::rows::verdicts::VerdictRow;

/// Hears nothing.
pub(crate) struct Deaf;

impl Events for Deaf {
    fn stage(&mut self, _: &'static str) {}
    fn total(&mut self, _: u64, _: u64) {}
    fn object(&mut self, _: u64) {}
}

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the shared references, or a visible skip.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("SKIPPED: {path} is not here");
    None
}

/// A plan with the defaults of the command line.
pub(crate) fn plan(logs: &str, inventory: &str, out: &str) -> Plan {
    let at = |text: &str| Location::parse(text).unwrap();
    Plan {
        logs: vec![at(logs)],
        facts: None,
        inventories: if inventory.is_empty() { Vec::new() } else { vec![at(inventory)] },
        since: Since::Days(90),
        until: None,
        now: Micros::parse("2026-11-24T00:00:00Z").unwrap(),
        out: at(out),
        cluster_map: Vec::new(),
        policies: None,
        threads: 2,
        memory: 512 << 20,
        limits: Limits::default(),
        hide_secret_names: false,
        s3: S3Options::default(),
        rescan: false,
        verify: None,
        stop: overgrant::pipeline::Stop::default(),
        min_age_days: 30,
        min_coverage: 0.95,
        max_hole_hours: 24,
        max_reject_share: 0.001,
        verb_groups: overgrant::rbac::exact::VerbGroups::Exact,
        rules: Vec::new(),
        baseline: None,
        config_digest: None,
    }
}

/// The plan of the README.
pub(crate) fn samples_plan(out: &Path) -> Plan {
    let of = |path: &str| project(path).display().to_string();
    plan(&of("samples/logs"), &of("samples/inventory"), &out.display().to_string())
}

/// Runs a plan in silence.
pub(crate) fn audit(plan: &Plan) -> Result<Outcome, PipelineError> {
    run(plan, &mut Deaf)
}

/// All rows of a table of a run.
pub(crate) fn rows<R: Row>(out: &Path) -> Vec<R> {
    let path = out.join("tables").join(R::TABLE.name).join("part-0.parquet");
    let mut all = Vec::new();
    let file =
        std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read_rows::<R, CodecError>(file, |row| {
        all.push(row);
        Ok(())
    })
    .unwrap();
    all
}

/// Verdicts by `kind principal ref`.
pub(crate) type Verdicts = BTreeMap<String, (GrantRow, VerdictRow)>;

/// Verdicts of a run.
pub(crate) fn verdicts(out: &Path) -> Verdicts {
    let mut by_id: BTreeMap<String, VerdictRow> =
        rows::<VerdictRow>(out).into_iter().map(|row| (row.grant_id.clone(), row)).collect();
    rows::<GrantRow>(out)
        .into_iter()
        .map(|grant| {
            let verdict = by_id.remove(&grant.grant_id).unwrap();
            let short = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
            let principal = if grant.principal.starts_with("arn:") {
                short(&grant.principal)
            } else {
                grant.principal.clone()
            };
            let reference = if grant.grant_ref.starts_with("arn:") {
                short(&grant.grant_ref)
            } else {
                grant.grant_ref.clone()
            };
            (format!("{} {principal} {reference}", grant.grant_kind), (grant, verdict))
        })
        .collect()
}

/// Files below a folder, sorted.
pub(crate) fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A Python that is fit for a test: the one that `variable` names, else the one on the path.
pub(crate) fn python(variable: &str, what: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let named = std::env::var(variable).ok().filter(|name| !name.is_empty());
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let has = fits(&python);
    // Whoever names one means it.
    assert!(has || named.is_none(), "{variable}={python} {what}");
    has.then_some(python)
}

/// What a script told; it must have ended well. What it passed over is said.
pub(crate) fn told(done: &std::process::Output) -> String {
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}\n{errors}");
    for line in told.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
    told
}

/// Copies a folder and all below it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Every file that readers of an output see, with its bytes, but for what may differ between equal
/// runs: durations, and the ledger, which holds times of change.
pub(crate) fn bytes_of(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().display().to_string();
            if name.starts_with('.') || folder == out && ["run.json", "ledger"].contains(&&*name) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(out).unwrap().display().to_string();
                all.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// The same, but for the past.
pub(crate) fn report_of(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = bytes_of(out);
    bytes.retain(|path, _| !path.starts_with("history/"));
    bytes
}

/// Equal maps; says which files differ, and not their bytes but those of the manifest.
pub(crate) fn same(
    got: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    why: &str,
) {
    let names = |map: &BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(expected), "{why}");
    let differ: Vec<_> = got.iter().filter(|(path, bytes)| expected[*path] != **bytes).collect();
    let text: Vec<String> = differ
        .iter()
        .map(|(path, bytes)| {
            if *path == "manifest.json" {
                let both = [bytes.as_slice(), &expected[*path]].map(String::from_utf8_lossy);
                format!("{path}:\n{}\n-- expected\n{}", both[0], both[1])
            } else {
                (*path).clone()
            }
        })
        .collect();
    assert!(differ.is_empty(), "{why}: {}", text.join("\n"));
}
