//! A dossier for a terminal: 80 columns, no colour unless asked for.

use std::fmt::Write as _;

use super::{Cell, Dossier, Held, Issued, Matrix, MatrixRow, OfDay, WayIn};
use crate::model::time::Micros;
use crate::report::terminal::{Style, WIDTH, painted, printable, wrap};

/// Widest spark line.
const SPARKS: usize = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Lines of a list before the rest is counted.
const MOST: usize = 12;
const MOST_ROWS: usize = 40;

/// Renders a dossier.
#[must_use]
pub fn render(dossier: &Dossier, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    page.top(dossier);
    page.ways_in(&dossier.ways_in);
    page.behind(dossier);
    page.grants(&dossier.grants);
    for matrix in &dossier.matrices {
        page.matrix(matrix);
    }
    page.when(&dossier.days);
    page.programs(dossier);
    page.evidence(dossier);
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, text: &str) {
        let text =
            if self.style.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
        self.line("");
        self.line(&text);
    }

    /// Text with a first indent and one for what does not fit.
    fn wrapped(&mut self, first: &str, rest: usize, text: &str) {
        for line in wrap(first, rest, &printable(text)) {
            self.line(&line);
        }
    }

    fn more(&mut self, all: usize, shown: usize, what: &str) {
        if all > shown {
            self.line(&format!("  … and {} more {what}", all - shown));
        }
    }

    fn top(&mut self, dossier: &Dossier) {
        let subject = &dossier.subject;
        self.wrapped("", 2, &subject.label);
        let mut words = vec![subject.kind.to_owned()];
        words.extend(subject.grant_id.clone());
        words.extend(subject.principal_ids.iter().cloned());
        words.push(format!("{} … {}", date(dossier.since), date(Micros(dossier.until.0 - 1))));
        self.wrapped("  ", 2, &words.join(" "));
        if let Some(note) = &subject.note {
            self.wrapped("  ", 2, note);
        }
    }

    fn ways_in(&mut self, ways: &[WayIn]) {
        if ways.is_empty() {
            return;
        }
        self.heading("How it gets in");
        for way in ways {
            let kind = way.how.replace('_', " ");
            let kind_of = way.entry_type.as_ref().map_or_else(String::new, |t| format!(" {t}"));
            self.wrapped(
                "  ",
                4,
                &format!("{}: {kind}{kind_of}, as {}", way.cluster, way.username),
            );
            if !way.groups.is_empty() {
                self.wrapped("    ", 4, &format!("groups {}", way.groups.join(", ")));
            }
            if let Some(why) = &way.dead_because {
                self.wrapped("    ", 4, &format!("cannot be exercised: {why}"));
            }
            if let Some(at) = way.created_at {
                let by = way.created_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
                self.wrapped("    ", 4, &format!("made {}{by}", date(at)));
            }
        }
    }

    fn behind(&mut self, dossier: &Dossier) {
        let all: i64 = dossier.sessions.iter().map(|one| one.sessions).sum();
        if all == 0 {
            return;
        }
        self.heading(&format!("Who is behind it ({all} sessions)"));
        for one in dossier.sessions.iter().take(MOST) {
            self.wrapped(&format!("  {:>6}  ", one.sessions), 10, &issued_words(one));
        }
        self.more(dossier.sessions.len(), MOST, "ways");
        if !dossier.tags.is_empty() {
            self.wrapped("    tags  ", 10, &tags_words(&dossier.tags));
        }
    }

    fn grants(&mut self, grants: &[Held]) {
        self.heading("What it may do, and what is said of it");
        if grants.is_empty() {
            self.line("  no grant of the inventory is its own");
        }
        let (own, managed): (Vec<&Held>, Vec<&Held>) =
            grants.iter().partition(|held| !held.grant.managed);
        for held in own.iter().take(MOST_ROWS) {
            self.grant(held);
        }
        self.more(own.len(), MOST_ROWS, "grants");
        if !managed.is_empty() {
            let names: Vec<&str> =
                managed.iter().map(|held| held.grant.reference.as_str()).collect();
            self.wrapped("  ", 4, &format!("defaults of AWS and Kubernetes: {}", names.join(", ")));
        }
    }

    fn grant(&mut self, held: &Held) {
        let grant = &held.grant;
        let severity = painted(&held.severity, 0, self.style);
        self.line(&format!("  {severity} {}  {}", held.verdict, grant.grant_id));
        let kind = grant.kind.replace('_', " ");
        self.wrapped(
            "    ",
            6,
            &format!("{}: {kind} {} on {}", grant.cluster, grant.reference, grant.on),
        );
        if let Some(group) = &held.via_group {
            self.wrapped("    ", 6, &format!("through the group {group}"));
        }
        if !held.also.is_empty() {
            self.wrapped("    ", 6, &format!("also {}", held.also));
        }
        self.wrapped("    ", 6, &held.detail);
        let used = held.last_used.map_or_else(String::new, |at| {
            format!("last used {}, on {} days; ", date(at), held.used_days)
        });
        let from = held.valid_from.map_or_else(String::new, |at| format!("since {}; ", date(at)));
        let by =
            held.granted_by.as_ref().map_or_else(String::new, |by| format!("granted by {by}; "));
        let sure = format!(
            "{used}{from}{by}confidence {}, {:.1} % covered",
            held.confidence,
            held.coverage * 100.0
        );
        self.wrapped("    ", 6, &sure);
        let enough = held.enough.as_ref().map_or_else(String::new, |what| format!(": {what}"));
        self.wrapped("    -> ", 7, &format!("{}{enough}", held.recommendation));
        match (held.replay_denied, &held.replay_breaks) {
            (Some(0), _) => {
                self.wrapped("       ", 7, "replayed: nothing that was used would be refused");
            }
            (Some(n), breaks) => {
                let first = breaks.as_ref().map_or_else(String::new, |what| format!(": {what}"));
                self.wrapped("       ", 7, &format!("replayed: {n} would be refused{first}"));
            }
            (None, _) => {}
        }
        if let Some(detail) = &held.recommendation_detail {
            self.wrapped("       ", 7, detail);
        }
    }

    fn matrix(&mut self, matrix: &Matrix) {
        self.heading(&format!("What it did in {}", printable(&matrix.cluster)));
        self.line("  ● used  ○ granted, unused  × refused  ? leaves no line in the log  · neither");
        for role in &matrix.unknown {
            self.wrapped("  ", 4, &format!("? the rules of {role} are not known"));
        }
        if matrix.rows.is_empty() {
            return;
        }
        let (telling, others): (Vec<&MatrixRow>, Vec<&MatrixRow>) =
            matrix.rows.iter().partition(|row| row.telling);
        // Verbs that nothing is known of in any row are left out.
        let columns: Vec<usize> = (0..matrix.verbs.len())
            .filter(|at| matrix.rows.iter().any(|row| row.cells.get(*at) != Some(&Cell::Nothing)))
            .collect();
        let name = |at: usize| matrix.verbs.get(at).map_or("", |verb| short(verb));
        let heads: Vec<String> = columns.iter().map(|at| printable(name(*at))).collect();
        let wide: usize = heads.iter().map(|head| head.chars().count().max(2) + 1).sum();
        let longest = telling.iter().map(|row| printable(&row.resource).chars().count()).max();
        let room = WIDTH.saturating_sub(wide + 4).clamp(16, 40);
        let label = longest.unwrap_or(0).clamp(12, room);
        let mut line = format!("  {:label$}", "");
        for head in &heads {
            let _written = write!(line, " {head:<2}");
        }
        self.line(&line);
        let draw = |name: &str, row: &MatrixRow| {
            let mut line = format!("  {:<label$}", cut(&printable(name), label));
            for (at, head) in columns.iter().zip(&heads) {
                let mark = row.cells.get(*at).map_or("", |cell| cell.mark());
                let _written = write!(line, " {mark:<width$}", width = head.chars().count().max(2));
            }
            line
        };
        for row in telling.iter().take(MOST_ROWS) {
            let line = draw(&row.resource, row);
            let room = WIDTH.saturating_sub(line.chars().count() + 1);
            if row.namespaces.is_empty() {
                self.line(&line);
            } else if room >= row.namespaces.chars().count() {
                self.line(&format!("{line} {}", printable(&row.namespaces)));
            } else {
                self.line(&line);
                self.wrapped("    in ", 7, &row.namespaces.replace(',', ", "));
            }
        }
        self.more(telling.len(), MOST_ROWS, "resources");
        // What nobody touched, those alike together.
        let mut alike: Vec<(&MatrixRow, Vec<&str>)> = Vec::new();
        for row in others {
            match alike.iter_mut().find(|(first, _)| first.cells == row.cells) {
                Some((_, names)) => names.push(&row.resource),
                None => alike.push((row, vec![&row.resource])),
            }
        }
        for (row, names) in alike {
            match names.as_slice() {
                [one] => self.line(&draw(one, row)),
                several => {
                    self.line(&draw(&format!("{} more", several.len()), row));
                    self.wrapped("    ", 4, &several.join(", "));
                }
            }
        }
    }

    fn when(&mut self, days: &[OfDay]) {
        if days.is_empty() {
            return;
        }
        if days.iter().all(|day| day.allowed == 0 && day.refused == 0) {
            self.heading("When");
            self.line("  not one request to the API server");
            return;
        }
        let (line, per) = spark(days);
        let requests: i64 = days.iter().map(|day| day.allowed).sum();
        let refused: i64 = days.iter().map(|day| day.refused).sum();
        let used = days.iter().filter(|day| day.allowed > 0).count();
        self.heading("When");
        self.line(&format!("  {line}"));
        let each = if per == 1 { "a day each".to_owned() } else { format!("{per} days each") };
        let gaps = if line.contains('?') { "; ? no logs" } else { "" };
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        self.line(&format!("  {requests} requests on {used} days{refused}; {each}{gaps}"));
    }

    fn programs(&mut self, dossier: &Dossier) {
        if !dossier.agents.is_empty() {
            self.heading("From where");
            let all: Vec<String> =
                dossier.agents.iter().take(MOST).map(|(name, n)| format!("{name} ({n})")).collect();
            self.wrapped("  ", 2, &all.join(", "));
            self.more(dossier.agents.len(), MOST, "programs");
        }
        if !dossier.in_its_name.is_empty() {
            self.heading("In another's name");
            for (who, via, n) in dossier.in_its_name.iter().take(MOST) {
                self.wrapped(&format!("  {n:>6}  "), 10, &format!("{via} {who}"));
            }
            self.more(dossier.in_its_name.len(), MOST, "callers");
        }
        if !dossier.aws.is_empty() {
            self.heading("What its role did in AWS");
            for (service, call, error, n) in dossier.aws.iter().take(MOST) {
                let error = if error.is_empty() { String::new() } else { format!(" ({error})") };
                self.wrapped(&format!("  {n:>6}  "), 10, &format!("{service} {call}{error}"));
            }
            self.more(dossier.aws.len(), MOST, "calls");
        }
    }

    fn evidence(&mut self, dossier: &Dossier) {
        self.heading("Evidence");
        for (stream, covered, hours) in &dossier.evidence {
            self.line(&format!("  {covered:>6} of {hours} h  {}", printable(stream)));
        }
        if dossier.evidence.is_empty() {
            self.line("  no audit log was expected of its clusters");
        }
    }
}

/// `team=shop (90), kubernetes-pod-uid: 90 values`
fn tags_words(tags: &[(String, String, i64)]) -> String {
    const FEW: usize = 4;
    let mut keys: Vec<&str> = Vec::new();
    for (key, ..) in tags {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let words = keys.into_iter().map(|key| {
        let of_key: Vec<_> = tags.iter().filter(|(one, ..)| one == key).collect();
        if of_key.len() > FEW {
            return format!("{key}: {} values", of_key.len());
        }
        let each = of_key.iter().map(|(key, value, n)| format!("{key}={value} ({n})"));
        each.collect::<Vec<_>>().join(", ")
    });
    words.collect::<Vec<_>>().join(", ")
}

fn issued_words(one: &Issued) -> String {
    let mut text = format!("{} {}", one.kind.replace('_', " "), one.source);
    if let Some(person) = one.person.as_ref().filter(|person| **person != one.source) {
        let _written = write!(text, ", {person}");
    }
    for above in &one.chain {
        let _written = write!(text, " <- {above}");
    }
    let _written = write!(text, ", {} … {}", date(one.first), date(one.last));
    text
}

fn date(at: Micros) -> String {
    at.day().to_iso()
}

/// Column heads that would take too much room.
fn short(verb: &str) -> &str {
    match verb {
        "deletecollection" => "delcoll",
        other => other,
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

/// One mark for so many days: height by requests, `_` for none, `?` where no hour was covered.
fn spark(days: &[OfDay]) -> (String, usize) {
    let per = days.len().div_ceil(SPARKS).max(1);
    let sums: Vec<(i64, i64, i64)> = days
        .chunks(per)
        .map(|some| {
            let sum = |of: fn(&OfDay) -> i64| some.iter().map(of).sum();
            (sum(|day| day.allowed), sum(|day| day.covered), sum(|day| day.hours))
        })
        .collect();
    let most = sums.iter().map(|(n, ..)| *n).max().unwrap_or(0).max(1);
    let line = sums
        .into_iter()
        .map(|(n, covered, hours)| match n {
            0 if covered == 0 && hours > 0 => '?',
            0 => '_',
            _ => {
                let at = usize::try_from((n * 8 - 1) / most).unwrap_or(7).min(7);
                LEVELS.get(at).copied().unwrap_or('█')
            }
        })
        .collect();
    (line, per)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Day;

    #[test]
    fn a_spark_for_every_day() {
        let day = |n: i32, allowed: i64, covered: i64| OfDay {
            day: Day(n),
            allowed,
            refused: 0,
            covered,
            hours: 24,
        };
        let check = |days: &[OfDay], expected: &str, per: usize| {
            assert_eq!(spark(days), (expected.to_owned(), per));
        };
        check(
            &[day(0, 0, 24), day(1, 1, 24), day(2, 50, 24), day(3, 100, 24), day(4, 0, 0)],
            "_▁▄█?",
            1,
        );
        check(&[], "", 1);
        let many: Vec<OfDay> = (0..90).map(|n| day(n, 1, 24)).collect();
        assert_eq!(spark(&many).1, 2);
        assert_eq!(spark(&many).0.chars().count(), 45);
    }
}
