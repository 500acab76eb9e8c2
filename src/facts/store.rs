//! The persisted facts: one Parquet file per family, place and day, written once.
//!
//! Input: the folded stream, hour by hour. Output: files under `facts/`, and the same facts back, in
//! the same order. Names that a rule's `resourceNames` could match are kept for at most
//! [`MAX_NAMES`] objects per remaining key and day; what comes after is added up without a name and
//! says so, because no exact named rule can be proposed from it any more.
#![expect(clippy::disallowed_methods, reason = "facts owns the files under facts/")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::FactsError;
use super::fold::{FactSink, Hourly, Issued};
use crate::model::digest;
use crate::model::fact::{
    AccessFact, AwsCallFact, AwsCaller, Decision, IssuedBy, KubeUser, SessionFact, Via,
};
use crate::model::permission::Permission;
use crate::model::time::{Day, Hour};
use crate::table::Row;
use crate::table::facts::{AccessFactRow, CallFactRow, SessionFactRow};
use crate::table::parquet::{RowWriter, read_rows};

/// Names kept per remaining key and day.
pub const MAX_NAMES: usize = 64;

/// Writes facts into a folder.
pub struct FactStore {
    root: PathBuf,
    written: BTreeSet<PathBuf>,
    sessions: Files<SessionFactRow>,
    authentications: Files<CallFactRow>,
    calls: Files<CallFactRow>,
    access: Files<AccessFactRow>,
    hour: Option<Hour>,
    hour_rows: BTreeMap<(Via, Permission, AccessFact, bool), Hourly<()>>,
    names: FxHashMap<AccessFact, BTreeSet<String>>,
    names_day: Option<Day>,
}

/// The open files of one family: those of one day.
struct Files<R: Row> {
    day: Option<Day>,
    open: BTreeMap<String, (PathBuf, RowWriter<R, BufWriter<File>>)>,
}

impl<R: Row> Default for Files<R> {
    fn default() -> Self {
        Files { day: None, open: BTreeMap::new() }
    }
}

impl FactStore {
    /// Writes below `root`, which must exist.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        FactStore {
            root,
            written: BTreeSet::new(),
            sessions: Files::default(),
            authentications: Files::default(),
            calls: Files::default(),
            access: Files::default(),
            hour: None,
            hour_rows: BTreeMap::new(),
            names: FxHashMap::default(),
            names_day: None,
        }
    }

    /// Ends all files; returns their paths below the root, sorted.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, FactsError> {
        self.flush_hour()?;
        self.sessions.close(&mut self.written)?;
        self.authentications.close(&mut self.written)?;
        self.calls.close(&mut self.written)?;
        self.access.close(&mut self.written)?;
        Ok(self.written.into_iter().collect())
    }

    fn flush_hour(&mut self) -> Result<(), FactsError> {
        let rows = std::mem::take(&mut self.hour_rows);
        for ((_, _, fact, name_capped), seen) in rows {
            let place = partition("p_cluster", &fact.cluster);
            let row = access_row(fact, name_capped, &seen);
            self.access.push(
                &self.root,
                "access",
                &place,
                seen.hour.day(),
                row,
                &mut self.written,
            )?;
        }
        Ok(())
    }
}

impl<R: Row> Files<R> {
    fn push(
        &mut self,
        root: &Path,
        family: &str,
        place: &str,
        day: Day,
        row: R,
        written: &mut BTreeSet<PathBuf>,
    ) -> Result<(), FactsError> {
        if self.day != Some(day) {
            self.close(written)?;
            self.day = Some(day);
        }
        if !self.open.contains_key(place) {
            let path = Path::new("facts")
                .join(family)
                .join(place)
                .join(format!("p_date={}", day.to_iso()))
                .join("part-0.parquet");
            let full = root.join(&path);
            let file = full
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| File::create(&full))
                .map_err(|source| FactsError::WriteFacts { path: full, source })?;
            self.open.insert(place.to_owned(), (path, RowWriter::new(BufWriter::new(file))?));
        }
        if let Some((_, writer)) = self.open.get_mut(place) {
            writer.push(row)?;
        }
        Ok(())
    }

    fn close(&mut self, written: &mut BTreeSet<PathBuf>) -> Result<(), FactsError> {
        for (path, writer) in std::mem::take(&mut self.open).into_values() {
            let (file, _) = writer.finish()?;
            file.into_inner().map_err(|error| FactsError::WriteFacts {
                path: path.clone(),
                source: error.into_error(),
            })?;
            written.insert(path);
        }
        Ok(())
    }
}

impl FactSink for FactStore {
    fn session(&mut self, issued: Issued) -> Result<(), FactsError> {
        let place = partition("p_account", &issued.body.account);
        let day = issued.at.day();
        let row = session_row(issued);
        self.sessions.push(&self.root, "sessions", &place, day, row, &mut self.written)
    }

    fn authentication(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError> {
        let place = partition("p_account", &call.body.account);
        let day = call.hour.day();
        let row = call_row(call, true);
        self.authentications.push(
            &self.root,
            "authentications",
            &place,
            day,
            row,
            &mut self.written,
        )
    }

    fn aws_call(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError> {
        let place = partition("p_account", &call.body.account);
        let day = call.hour.day();
        let row = call_row(call, false);
        self.calls.push(&self.root, "calls", &place, day, row, &mut self.written)
    }

    fn access(&mut self, access: Hourly<AccessFact>) -> Result<(), FactsError> {
        if self.hour != Some(access.hour) {
            self.flush_hour()?;
            self.hour = Some(access.hour);
        }
        if self.names_day != Some(access.hour.day()) {
            self.names.clear();
            self.names_day = Some(access.hour.day());
        }
        let Hourly { hour, mut body, count, first, last } = access;
        let mut capped = false;
        if !body.permission.name.is_empty() {
            let name = std::mem::take(&mut body.permission.name);
            let names = self.names.entry(body.clone()).or_default();
            if names.contains(&name) || names.len() < MAX_NAMES {
                names.insert(name.clone());
                body.permission.name = name;
            } else {
                capped = true;
            }
        }
        let key = (body.via, body.permission.clone(), body, capped);
        let new = Hourly { hour, body: (), count: 0, first, last };
        let seen = self.hour_rows.entry(key).or_insert(new);
        seen.count += count;
        seen.first = seen.first.min(first);
        seen.last = seen.last.max(last);
        Ok(())
    }
}

/// Reads facts back from files below `root`: sessions, redemptions and calls by day, access in the
/// order of `paths`.
///
/// # Errors
/// When a file cannot be read or is no fact file.
pub fn read(root: &Path, paths: &[PathBuf], sink: &mut impl FactSink) -> Result<(), FactsError> {
    let of = |family: &'static str| {
        // Days before places: what reads them wants time to run forward.
        let mut files: Vec<&PathBuf> =
            paths.iter().filter(|path| path.starts_with(Path::new("facts").join(family))).collect();
        files.sort_by_key(|path| {
            let parts: Vec<_> = path.components().rev().take(3).collect();
            (parts.get(1).copied(), parts.get(2).copied())
        });
        files
    };
    let open = |path: &Path| {
        let path = root.join(path);
        File::open(&path).map_err(|source| FactsError::ReadFacts { path, source })
    };
    for path in of("sessions") {
        read_rows(open(path)?, |row: SessionFactRow| sink.session(issued(row)))?;
    }
    for path in of("authentications") {
        read_rows(open(path)?, |row: CallFactRow| sink.authentication(call(row)))?;
    }
    for path in of("calls") {
        read_rows(open(path)?, |row: CallFactRow| sink.aws_call(call(row)))?;
    }
    // Access facts keep the order of `paths`: whoever joins them knows which cluster comes first.
    for path in paths.iter().filter(|path| path.starts_with("facts/access")) {
        read_rows(open(path)?, |row: AccessFactRow| sink.access(access(row)))?;
    }
    Ok(())
}

/// `p_cluster=prod-1a2b3c4d`: readable, safe in any path, and never the ARN itself.
#[must_use]
pub fn partition(column: &str, value: &str) -> String {
    let short = value.rsplit(['/', ':']).next().unwrap_or_default();
    let safe: String = short
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(40)
        .collect();
    format!("{column}={safe}-{}", digest::hex(&digest::of_bytes(value.as_bytes()), 8))
}

fn access_row(fact: AccessFact, name_capped: bool, seen: &Hourly<()>) -> AccessFactRow {
    let AccessFact { caller, subject, permission, .. } = fact;
    AccessFactRow {
        cluster: fact.cluster,
        hour: seen.hour.start(),
        via: fact.via as i32,
        verb: permission.verb,
        api_group: permission.api_group,
        resource: permission.resource,
        subresource: permission.subresource,
        namespace: permission.namespace,
        name: permission.name,
        path: permission.path,
        decision: fact.decision as i32,
        reason: fact.reason,
        status_class: i32::from(fact.status_class),
        user_agent_family: fact.user_agent_family,
        issued_credential_id: fact.issued_credential_id,
        username: caller.username,
        uid: caller.uid,
        groups: caller.groups,
        access_key_id: caller.access_key_id,
        principal_id: caller.principal_id,
        session_name: caller.session_name,
        arn: caller.arn,
        canonical_arn: caller.canonical_arn,
        credential_id: caller.credential_id,
        pod_name: caller.pod_name,
        subject_username: subject.username,
        subject_uid: subject.uid,
        subject_groups: subject.groups,
        name_capped,
        count: seen.count,
        first_seen: seen.first,
        last_seen: seen.last,
    }
}

fn access(row: AccessFactRow) -> Hourly<AccessFact> {
    let via = match row.via {
        1 => Via::Impersonated,
        2 => Via::Delegated,
        _ => Via::Direct,
    };
    let caller = KubeUser {
        username: row.username,
        uid: row.uid,
        groups: row.groups,
        access_key_id: row.access_key_id,
        principal_id: row.principal_id,
        session_name: row.session_name,
        arn: row.arn,
        canonical_arn: row.canonical_arn,
        credential_id: row.credential_id,
        pod_name: row.pod_name,
    };
    let subject = if via == Via::Direct {
        caller.clone()
    } else {
        KubeUser {
            username: row.subject_username,
            uid: row.subject_uid,
            groups: row.subject_groups,
            ..KubeUser::default()
        }
    };
    let body = AccessFact {
        cluster: row.cluster,
        via,
        permission: Permission {
            verb: row.verb,
            api_group: row.api_group,
            resource: row.resource,
            subresource: row.subresource,
            namespace: row.namespace,
            name: row.name,
            path: row.path,
        },
        decision: match row.decision {
            0 => Decision::Allow,
            1 => Decision::Forbid,
            _ => Decision::Unknown,
        },
        reason: row.reason,
        status_class: u8::try_from(row.status_class).unwrap_or(0),
        user_agent_family: row.user_agent_family,
        issued_credential_id: row.issued_credential_id,
        caller,
        subject,
    };
    Hourly {
        hour: row.hour.hour(),
        body,
        count: row.count,
        first: row.first_seen,
        last: row.last_seen,
    }
}

fn call_row(call: Hourly<AwsCallFact>, is_authentication: bool) -> CallFactRow {
    let AwsCallFact { caller, .. } = call.body;
    CallFactRow {
        account: call.body.account,
        hour: call.hour.start(),
        is_authentication,
        event_source: call.body.event_source,
        event_name: call.body.event_name,
        region: call.body.region,
        error: call.body.error,
        data_event: call.body.data_event,
        user_agent_family: call.body.user_agent_family,
        caller_kind: caller.kind,
        principal_id: caller.principal_id,
        arn: caller.arn,
        caller_account: caller.account,
        access_key_id: caller.access_key_id,
        issuer_arn: caller.issuer_arn,
        issuer_id: caller.issuer_id,
        issuer_name: caller.issuer_name,
        created_at: caller.created_at,
        source_identity: caller.source_identity,
        invoked_by: caller.invoked_by,
        user_name: caller.user_name,
        count: call.count,
        first_seen: call.first,
        last_seen: call.last,
    }
}

fn call(row: CallFactRow) -> Hourly<AwsCallFact> {
    let caller = AwsCaller {
        kind: row.caller_kind,
        principal_id: row.principal_id,
        arn: row.arn,
        account: row.caller_account,
        access_key_id: row.access_key_id,
        issuer_arn: row.issuer_arn,
        issuer_id: row.issuer_id,
        issuer_name: row.issuer_name,
        created_at: row.created_at,
        source_identity: row.source_identity,
        invoked_by: row.invoked_by,
        user_name: row.user_name,
    };
    let body = AwsCallFact {
        account: row.account,
        region: row.region,
        caller,
        event_source: row.event_source,
        event_name: row.event_name,
        error: row.error,
        data_event: row.data_event,
        user_agent_family: row.user_agent_family,
    };
    Hourly {
        hour: row.hour.hour(),
        body,
        count: row.count,
        first: row.first_seen,
        last: row.last_seen,
    }
}

fn session_row(issued: Issued) -> SessionFactRow {
    let fact = issued.body;
    let caller = fact.source;
    SessionFactRow {
        account: fact.account,
        issued_at: issued.at,
        region: fact.region,
        issued_by: fact.issued_by.as_str().to_owned(),
        role_arn: fact.role_arn,
        role_id: fact.role_id,
        session_name: fact.session_name,
        access_key_id: fact.access_key_id,
        expires_at: fact.expires_at,
        source_identity: fact.source_identity,
        tags: fact.tags,
        transitive_keys: fact.transitive_keys,
        provider: fact.provider,
        subject: fact.subject,
        error: fact.error,
        caller_kind: caller.kind,
        caller_principal_id: caller.principal_id,
        caller_arn: caller.arn,
        caller_account: caller.account,
        caller_access_key_id: caller.access_key_id,
        caller_issuer_arn: caller.issuer_arn,
        caller_issuer_id: caller.issuer_id,
        caller_issuer_name: caller.issuer_name,
        caller_created_at: caller.created_at,
        caller_source_identity: caller.source_identity,
        caller_invoked_by: caller.invoked_by,
        caller_user_name: caller.user_name,
    }
}

fn issued(row: SessionFactRow) -> Issued {
    let source = AwsCaller {
        kind: row.caller_kind,
        principal_id: row.caller_principal_id,
        arn: row.caller_arn,
        account: row.caller_account,
        access_key_id: row.caller_access_key_id,
        issuer_arn: row.caller_issuer_arn,
        issuer_id: row.caller_issuer_id,
        issuer_name: row.caller_issuer_name,
        created_at: row.caller_created_at,
        source_identity: row.caller_source_identity,
        invoked_by: row.caller_invoked_by,
        user_name: row.caller_user_name,
    };
    let body = SessionFact {
        account: row.account,
        region: row.region,
        issued_by: IssuedBy::parse(&row.issued_by),
        role_arn: row.role_arn,
        role_id: row.role_id,
        session_name: row.session_name,
        access_key_id: row.access_key_id,
        expires_at: row.expires_at,
        source,
        source_identity: row.source_identity,
        tags: row.tags,
        transitive_keys: row.transitive_keys,
        provider: row.provider,
        subject: row.subject,
        error: row.error,
    };
    Issued { at: row.issued_at, body }
}

#[cfg(test)]
mod tests;
