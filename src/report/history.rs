//! Keeps what was looked up of CloudTrail's event history, as files of a trail.
//!
//! Input: records of one service and stretch of time. Output: gzipped `{"Records": […]}` below
//! `AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/`, so that they are read like any folder of logs. The
//! name of a file says the stretch that is complete in it: names alone tell what needs not be asked
//! again. A file is written under another name and then moved, so that a half one is never believed.
#![expect(clippy::disallowed_methods, reason = "report writes files and looks at what it wrote")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{ReportError, io};
use crate::model::time::{Day, Micros};

/// A stretch of time, end exclusive.
pub type Stretch = (Micros, Micros);

/// The kept history of one account and region.
#[derive(Debug, Clone)]
pub struct HistoryDir {
    folder: PathBuf,
    base: String,
}

impl HistoryDir {
    /// Below `root`, which is made with its first file.
    #[must_use]
    pub fn new(root: &Path, account: &str, region: &str) -> Self {
        let folder = root.join("AWSLogs").join(account).join("CloudTrail").join(region);
        HistoryDir { folder, base: format!("{account}_CloudTrail_{region}") }
    }

    /// What is missing of `source` between `from` and `to`: stretches of at most a day each, oldest
    /// first.
    ///
    /// # Errors
    /// When a folder is there and cannot be listed.
    pub fn missing(
        &self,
        source: &str,
        from: Micros,
        to: Micros,
    ) -> Result<Vec<Stretch>, ReportError> {
        let mut all = Vec::new();
        let mut start = from;
        while start < to {
            let day = start.day();
            let end = Day(day.0 + 1).start().min(to);
            let mut done = self.done(source, day)?;
            done.sort_unstable();
            let mut at = start;
            for (since, until) in done {
                if since > at {
                    all.push((at, since.min(end)));
                }
                at = at.max(until);
                if at >= end {
                    break;
                }
            }
            if at < end {
                all.push((at, end));
            }
            start = end;
        }
        all.retain(|(from, to)| from < to);
        Ok(all)
    }

    fn done(&self, source: &str, day: Day) -> Result<Vec<Stretch>, ReportError> {
        let folder = self.folder_of(day);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("list", &folder)(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry.map_err(io("list", &folder))?.file_name();
            all.extend(self.stretch_of(&name.to_string_lossy(), source));
        }
        Ok(all)
    }

    fn stretch_of(&self, name: &str, source: &str) -> Option<Stretch> {
        let rest = name.strip_prefix(&self.base)?.strip_prefix('_')?;
        let stretch = rest.strip_suffix(".json.gz")?.strip_suffix(source)?.strip_suffix('_')?;
        let (from, to) = stretch.split_once('-')?;
        Some((parsed(from)?, parsed(to)?))
    }

    fn folder_of(&self, day: Day) -> PathBuf {
        day.to_iso().split('-').fold(self.folder.clone(), |folder, part| folder.join(part))
    }

    /// Writes all records of `source` in a stretch of one day.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(
        &self,
        source: &str,
        stretch: Stretch,
        records: &[String],
    ) -> Result<(), ReportError> {
        let folder = self.folder_of(stretch.0.day());
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let name =
            format!("{}_{}-{}_{source}.json.gz", self.base, compact(stretch.0), compact(stretch.1));
        let path = folder.join(name);
        let failed = || io("write", &path);
        let file = tempfile::NamedTempFile::new_in(&folder).map_err(failed())?;
        let mut gzip = GzEncoder::new(file, Compression::default());
        gzip.write_all(b"{\"Records\":[").map_err(failed())?;
        for (n, record) in records.iter().enumerate() {
            let comma: &[u8] = if n == 0 { b"" } else { b"," };
            gzip.write_all(comma).map_err(failed())?;
            gzip.write_all(record.as_bytes()).map_err(failed())?;
        }
        gzip.write_all(b"]}").map_err(failed())?;
        let file = gzip.finish().map_err(failed())?;
        file.persist(&path).map_err(|error| io("move", &path)(error.error))?;
        Ok(())
    }
}

/// `20261120T235500Z`
fn compact(at: Micros) -> String {
    at.to_rfc3339().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

fn parsed(text: &str) -> Option<Micros> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let (year, month, day) = (part(day, 0, 4)?, part(day, 4, 6)?, part(day, 6, 8)?);
    let (hour, minute, second) = (part(time, 0, 2)?, part(time, 2, 4)?, part(time, 4, 6)?);
    Micros::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let history = HistoryDir::new(root.path(), "111122223333", "us-west-2");
        let at = |text: &str| Micros::parse(&format!("2026-11-{text}:00Z")).unwrap();
        let check = |source: &str, expected: &[(&str, &str)]| {
            let got = history.missing(source, at("20T12:00"), at("22T00:00")).unwrap();
            let expected: Vec<Stretch> =
                expected.iter().map(|(from, to)| (at(from), at(to))).collect();
            assert_eq!(got, expected);
        };
        check("sts", &[("20T12:00", "21T00:00"), ("21T00:00", "22T00:00")]);
        history.put("sts", (at("21T00:00"), at("22T00:00")), &[]).unwrap();
        check("sts", &[("20T12:00", "21T00:00")]);
        history.put("sts", (at("20T18:00"), at("21T00:00")), &["{}".to_owned()]).unwrap();
        check("sts", &[("20T12:00", "20T18:00")]);
        history.put("sts", (at("20T11:00"), at("20T13:00")), &[]).unwrap();
        check("sts", &[("20T13:00", "20T18:00")]);
        // Another service, or a file that was not finished, says nothing.
        std::fs::write(history.folder_of(at("21T00:00").day()).join(".tmpx"), b"").unwrap();
        check("eks", &[("20T12:00", "21T00:00"), ("21T00:00", "22T00:00")]);
    }
}
