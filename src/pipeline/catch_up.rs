//! Brings the facts up to date: reads what is new, folds the days that it touches, keeps the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::memory::{self, Folders, Memory};
use super::scan::{self, How, Pick, Scanned, Work};
use super::trust::{self, Trust, is_signed_kind};
use super::vouched::{self, Vouched};
use super::world::World;
use super::{Events, PipelineError, Plan};
use crate::extract::Context;
use crate::facts::fold::{Runs, fold_days};
use crate::facts::sort::SpillDir;
use crate::facts::store::FactStore;
use crate::integrity::Status;
use crate::ledger::LedgerError;
use crate::ledger::days::{Rebuild, Sums, rebuild};
use crate::ledger::diff::{Diff, Need, ToRead, Why, diff};
use crate::ledger::entries::{Delivered, Fresh};
use crate::ledger::entry::{Details, Listed, Name, is_unread, number_of};
use crate::ledger::lens::Lens;
use crate::ledger::totals::{Totals, totals};
use crate::model::outcome::{Hash, Unit};
use crate::model::packed::{Packed, PackedError, Packer};
use crate::model::tally::{Reason, Stream};
use crate::model::time::{Day, Window};
use crate::publish::place::Place;
use crate::publish::{KeptFile, State};
use crate::report::output::WrittenFile;

/// Where a run reads from and writes to.
pub(super) struct Site<'a> {
    pub(super) plan: &'a Plan,
    pub(super) runtime: &'a tokio::runtime::Runtime,
    pub(super) place: &'a Place,
    pub(super) folders: Folders<'a>,
    pub(super) spill: &'a SpillDir,
}

/// Facts of all days, and what they rest on.
pub(super) struct Facts {
    /// Fact files below the run.
    pub(super) paths: Vec<PathBuf>,
    /// Their digests.
    pub(super) known: BTreeMap<String, (u64, String)>,
    pub(super) totals: Totals,
    pub(super) sums: Sums,
    pub(super) pruned: BTreeMap<&'static str, u64>,
    /// What digests say.
    pub(super) vouched: Vouched,
    /// Folders that could not be listed.
    pub(super) unlisted: Vec<String>,
    /// Days whose copies could not all be told apart.
    pub(super) inexact: BTreeSet<Unit>,
    pub(super) context: Arc<Context>,
    pub(super) warnings: Vec<String>,
    /// Objects read now, again for days that were touched, and kept from earlier runs.
    pub(super) read: (u64, u64, u64),
    pub(super) state: State,
}

impl Site<'_> {
    /// Keeps what was read for the next run, without a report; returns how the run ends.
    pub(super) fn stopped(&self, facts: &mut Facts) -> Result<PipelineError, PipelineError> {
        let Folders { run, state } = self.folders;
        self.runtime.block_on(self.place.checkpoint(run, state, &mut facts.state))?;
        let read = usize::try_from(facts.read.0).unwrap_or(usize::MAX);
        Ok(PipelineError::Interrupted { kept: read, of: read })
    }
}

/// What is there, what is known of it, and what must be read.
pub(super) struct Survey {
    pub(super) days: (Day, Day),
    pub(super) memory: Memory,
    pub(super) work: Work,
    pub(super) context: Arc<Context>,
    pub(super) lens: Lens,
    pub(super) diff: Diff,
    pub(super) trust: Option<Trust>,
}

/// What a survey is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read.
    Run,
    /// To tell: no facts are brought, and no digest is fetched.
    DryRun,
}

/// Lists, and compares with what is known.
pub(super) fn survey(
    site: &Site<'_>,
    window: Window,
    world: &World,
    purpose: Purpose,
    events: &mut dyn Events,
) -> Result<Survey, PipelineError> {
    let plan = site.plan;
    let days = scan::days_of(window);
    events.stage("list");
    let mut memory = match purpose {
        _ if plan.rescan => Memory::default(),
        Purpose::Run => Memory::load(site.place, days, site.folders, site.runtime)?,
        Purpose::DryRun => Memory::peek(site.place, days, site.folders, site.runtime)?,
    };
    let work = scan::list(&plan.logs, &plan.s3, window, site.runtime)?;
    say_listed(&work, events);
    // A dry run may have nothing but inputs that it leaves alone.
    if purpose == Purpose::Run || !plan.logs.is_empty() {
        scan::some_logs(&work, &plan.logs)?;
    }
    let context = Arc::new(scan::context(plan, days, world));
    let lens = memory::lens(&context, plan, &world.arns());
    let need = Need { days, lens: &lens, lenses: &memory.lenses };
    let mut diff = diff(work.listed(), &memory.entries, need)?;
    let trust = match &plan.verify {
        Some(verify) if purpose == Purpose::Run => {
            events.stage("digests");
            Some(trust::establish(verify, &work, window, site.runtime)?)
        }
        _ => None,
    };
    recheck(&mut diff, &memory, &work, trust.as_ref(), plan)?;
    settle_gone(&mut diff, &mut memory)?;
    say_to_read(&diff, &work, events);
    Ok(Survey { days, memory, work, context, lens, diff, trust })
}

/// Says what was found and what was left out by key, place by place.
fn say_listed(work: &Work, events: &mut dyn Events) {
    for share in &work.places {
        let left_out: Vec<String> =
            share.pruned.iter().map(|(why, n)| format!("{n} by {why}")).collect();
        let left_out = if left_out.is_empty() { "nothing".to_owned() } else { left_out.join(", ") };
        events.note(&format!(
            "{}: {} objects of {} bytes listed, left out {left_out}, {} cannot be looked at",
            share.place,
            share.range.len(),
            share.bytes,
            share.hidden
        ));
    }
}

/// Says what is read and why, and what is not.
fn say_to_read(diff: &Diff, work: &Work, events: &mut dyn Events) {
    let mut why: BTreeMap<Why, (u64, u64)> = BTreeMap::new();
    for read in &diff.read {
        let sum = why.entry(read.why).or_default();
        sum.0 += 1;
        sum.1 += read.size;
    }
    for (why, (objects, bytes)) in why {
        events.note(&format!("{objects} objects of {bytes} bytes are read: {}", why.as_str()));
    }
    let known = work.objects.len().saturating_sub(diff.read.len());
    events.note(&format!("{known} objects are known from earlier runs and not read"));
}

/// Reads, folds and remembers.
pub(super) fn catch_up(
    site: &Site<'_>,
    window: Window,
    world: &World,
    events: &mut dyn Events,
) -> Result<Facts, PipelineError> {
    let plan = site.plan;
    let survey = survey(site, window, world, Purpose::Run, events)?;
    let Survey { days, memory, work, context, lens, diff, trust } = survey;
    events.stage("scan");
    let ends = (site.spill, site.runtime);
    let which = diff.read.iter().map(Pick::from).collect();
    let how = How { only: None, trust: trust.as_ref() };
    let first = scan::run(plan, &context, &work, which, how, ends, events)?;
    let reading = Reading { site, work: &work, read: &diff.read, days, lens: &lens, first, memory };
    if plan.stop.is_set() {
        return Err(reading.interrupted()?);
    }

    let (runs, plan_of_days, again) = reading.read_again(&context, events)?;
    if plan.stop.is_set() {
        return Err(reading.interrupted()?);
    }
    events.stage("fold");
    let Reading { first, mut memory, .. } = reading;
    for unit in &plan_of_days.anew {
        memory.forget(*unit, site.folders)?;
    }
    let late: BTreeMap<Unit, u32> =
        plan_of_days.late.iter().map(|unit| (*unit, memory.days.next_part(*unit))).collect();
    let runs = Runs { fresh: first.runs, again: runs };
    let wanted = |unit: Unit, again: bool| !again || plan_of_days.anew.contains(&unit);
    let written = fold(site, &mut memory, runs, &wanted, &late)?;
    let read = u64::try_from(first.outcomes.len()).unwrap_or(u64::MAX);
    let entries = entries(&work, &first.outcomes, days, &lens)?;
    drop(first.outcomes);
    let mut warnings = warnings(&diff, &memory, &work);
    let state = memory.save(entries, &lens, written, site.folders)?;
    let (paths, known) = (memory.fact_paths().collect(), memory.known_facts());
    let mut totals = totals_of(&memory, &work, window, &context)?;
    for (_, key) in diff.gone.keys() {
        totals.tally.damage(key);
    }
    let vouched = match &trust {
        Some(trust) => {
            warnings.extend(trust.warnings.iter().cloned());
            vouched::of(trust, &memory.entries, &work, window, &mut warnings)?
        }
        None => Vouched::default(),
    };
    Ok(Facts {
        vouched,
        paths,
        known,
        sums: memory.days.sums(window),
        inexact: memory.days.inexact().clone(),
        read: (read, again, totals.objects.saturating_sub(read + again)),
        totals,
        pruned: work.pruned,
        unlisted: work.unlisted.into_iter().map(|(folder, _)| folder).collect(),
        context,
        warnings,
        state,
    })
}

/// Adds up what was read, and what could not be looked at.
pub(super) fn totals_of(
    memory: &Memory,
    work: &Work,
    window: Window,
    context: &Context,
) -> Result<Totals, PipelineError> {
    let mut totals = totals(&memory.entries, window, &context.accounts())?;
    for (key, why) in work.unreadable.iter().chain(&work.unlisted) {
        totals.tally.reject(Stream::Objects, key, Reason::Unreadable, why.as_bytes());
    }
    Ok(totals)
}

/// Objects that must be read again for what digests say of them now.
fn recheck(
    diff: &mut Diff,
    memory: &Memory,
    work: &Work,
    trust: Option<&Trust>,
    plan: &Plan,
) -> Result<(), PipelineError> {
    if memory.entries.is_empty() {
        return Ok(());
    }
    let use_all = plan.verify.as_ref().is_some_and(|verify| verify.use_unverified);
    let mut finder = memory.entries.finder();
    let mut more = Vec::new();
    for (at, object) in (0_u32..).zip(work.listed()) {
        let (day, listed) = object?;
        if !is_signed_kind(&listed.name.1)
            || diff.read.binary_search_by_key(&at, |read| read.at).is_ok()
        {
            continue;
        }
        let Some(entry) = finder.get(day, &listed.name)? else { continue };
        let outcome = entry.outcome()?;
        let refused = outcome.rejects.contains_key(&Reason::DigestMismatch);
        let why = match (trust, outcome.hash) {
            (_, Hash::NotAsked) if plan.verify.is_some() => Some(Why::Hash),
            (Some(trust), hash) => {
                let invalid = trust.of_entry(&entry, hash) == Status::Invalid;
                ((invalid && !use_all) != refused).then_some(Why::Digest)
            }
            // A dry run fetches no digests.
            (None, _) if plan.verify.is_some() => None,
            (None, _) => refused.then_some(Why::Digest),
        };
        more.extend(why.map(|why| ToRead { at, why, day, size: listed.size }));
    }
    diff.read.extend(more);
    diff.read.sort_unstable();
    Ok(())
}

/// Entries of objects that are not listed any more: one that never was read is as good as never
/// listed; one whose facts another version wrote cannot be used, nor
/// one whose facts call Secrets by other names than is asked for now.
fn settle_gone(diff: &mut Diff, memory: &mut Memory) -> Result<(), PipelineError> {
    let gone = |which: Why| diff.gone.values().filter(|why| **why == which).count();
    let (versions, names) = (gone(Why::Version), gone(Why::SecretNames));
    if versions > 0 {
        return Err(PipelineError::Expired { objects: versions });
    }
    if names > 0 {
        return Err(PipelineError::Named { objects: names });
    }
    let unread: Vec<Name> = diff
        .gone
        .iter()
        .filter(|(_, why)| **why == Why::Unread)
        .map(|(name, _)| name.clone())
        .collect();
    for name in &unread {
        diff.gone.remove(name);
    }
    Ok(memory.forget_entries(unread)?)
}

struct Reading<'a> {
    site: &'a Site<'a>,
    work: &'a Work,
    /// What was to be read.
    read: &'a [ToRead],
    days: (Day, Day),
    lens: &'a Lens,
    first: Scanned,
    memory: Memory,
}

impl Reading<'_> {
    /// True for an object that an earlier run read.
    fn is_known(&self, at: u32) -> bool {
        let read = self.read.binary_search_by_key(&at, |read| read.at);
        read.is_ok_and(|n| self.read.get(n).is_some_and(|read| read.why != Why::New))
    }

    /// What was read now and was known before.
    fn known(&self) -> impl Iterator<Item = Result<(Delivered, Listed), PackedError>> {
        let mut reader = self.work.objects.reader();
        let known = self.first.outcomes.iter().map(|outcome| Ok(outcome?.0));
        let known = known.filter(|at| at.as_ref().map_or(true, |at| self.is_known(*at)));
        known.filter_map(move |at: Result<u32, PackedError>| {
            let item = || Ok(reader.get(at? as usize)?.cloned());
            item().map(|item| item.map(|item| (item.day(), item.into_listed()))).transpose()
        })
    }

    /// Days that the objects read now have facts of, or had.
    fn touched(&self) -> Result<BTreeSet<Unit>, PipelineError> {
        let mut touched = self.first.units.clone();
        let mut finder = self.memory.entries.finder();
        for known in self.known() {
            let (day, listed) = known?;
            if let Some(old) = finder.get(day, &listed.name)? {
                touched.extend(old.outcome()?.units);
            }
        }
        Ok(touched)
    }

    /// Reads what the days that are touched rest on beside; returns its runs, what becomes of the days,
    /// and how many objects that were.
    fn read_again(
        &self,
        context: &Arc<Context>,
        events: &mut dyn Events,
    ) -> Result<(Vec<crate::facts::sort::Run>, Rebuild, u64), PipelineError> {
        let number = |(source, key): &Name| number_of(source, key);
        let known: Result<FxHashSet<u128>, _> = self
            .known()
            .map(|known| Ok(number(&known?.1.name)))
            .collect::<Result<_, PackedError>>();
        let known = known?;
        let mut places = BTreeMap::new();
        let Memory { days, entries, .. } = &self.memory;
        let read = |name: &Name| known.contains(&number(name));
        let mut present =
            |needed: &BTreeMap<Name, Listed>| places_of(self.work, needed, &mut places);
        let mut plan = rebuild(&self.touched()?, days, entries, &read, &mut present)?;
        let which: Vec<Pick> =
            plan.again.iter().filter_map(|name| places.get(name).copied()).collect();
        let count = u64::try_from(which.len()).unwrap_or(u64::MAX);
        let ends = (self.site.spill, self.site.runtime);
        let how = How { only: Some(&plan.anew), trust: None };
        if count > 0 {
            events.stage("again");
            events.note(&format!(
                "{count} objects are read again: {} days that they hold were touched",
                plan.anew.len()
            ));
        }
        let again = scan::run(self.site.plan, context, self.work, which, how, ends, events)?;
        // What cannot be had any more leaves its days as they are.
        let mut finder = entries.finder();
        for read in scan::read_objects(self.work, &again.outcomes) {
            let read = read?;
            let name = &read.listed.name;
            if is_unread(&read.details.outcome(&name.1)?)
                && let Some(old) = finder.get(read.day, name)?
            {
                for unit in old.outcome()?.units {
                    if plan.anew.remove(&unit) {
                        plan.late.insert(unit);
                    }
                }
            }
        }
        Ok((again.runs, plan, count))
    }

    /// Keeps what was read whole; returns how the run ends.
    fn interrupted(self) -> Result<PipelineError, PipelineError> {
        let (site, of) = (self.site, self.read.len());
        // Days that exist would have to be made anew from what was not read again: whatever touches
        // them counts as not read.
        let touched = self.touched()?;
        let holds = |unit: &Unit| self.memory.days.holds(*unit);
        let open: BTreeSet<Unit> = touched.into_iter().filter(holds).collect();
        let (mut outcomes, mut kept) = (Packer::default(), 0);
        for outcome in &self.first.outcomes {
            let (at, details) = outcome?;
            let outcome = details.outcome("an object that was read")?;
            if outcome.units.is_disjoint(&open) && !self.is_known(at) {
                kept += usize::from(!is_unread(&outcome));
                outcomes.push(&(at, details))?;
            }
        }
        if kept == 0 {
            return Ok(PipelineError::Interrupted { kept, of });
        }
        let Reading { work, days, lens, first, mut memory, .. } = self;
        let runs = Runs { fresh: first.runs, again: Vec::new() };
        let wanted = |unit: Unit, _: bool| !open.contains(&unit);
        let written = fold(site, &mut memory, runs, &wanted, &BTreeMap::new())?;
        let entries = entries(work, &outcomes.finish()?, days, lens)?;
        let mut state = memory.save(entries, lens, written, site.folders)?;
        site.runtime.block_on(site.place.checkpoint(
            site.folders.run,
            site.folders.state,
            &mut state,
        ))?;
        Ok(PipelineError::Interrupted { kept, of })
    }
}

/// Which of some objects are listed as they were read, and where they are.
pub(super) fn places_of(
    work: &Work,
    needed: &BTreeMap<Name, Listed>,
    places: &mut BTreeMap<Name, Pick>,
) -> Result<BTreeSet<Name>, LedgerError> {
    let mut present = BTreeSet::new();
    if needed.is_empty() {
        return Ok(present);
    }
    for (at, object) in (0_u32..).zip(work.listed()) {
        let (day, listed) = object?;
        if needed.get(&listed.name) == Some(&listed) {
            places.insert(listed.name.clone(), Pick { day, at, size: listed.size });
            present.insert(listed.name);
        }
    }
    Ok(present)
}

pub(super) fn entries(
    work: &Work,
    outcomes: &Packed<(u32, Details)>,
    days: (Day, Day),
    lens: &Lens,
) -> Result<Fresh, PipelineError> {
    let lens: Arc<str> = lens.digest().into();
    let mut fresh = Fresh::default();
    for read in scan::read_objects(work, outcomes) {
        let read = read?;
        fresh.push(read.day, read.into_entry(days, &lens))?;
    }
    Ok(fresh)
}

/// Folds what is wanted into fact files, and keeps its counts; returns the files.
pub(super) fn fold(
    site: &Site<'_>,
    memory: &mut Memory,
    runs: Runs,
    wanted: &dyn Fn(Unit, bool) -> bool,
    late: &BTreeMap<Unit, u32>,
) -> Result<Vec<KeptFile>, PipelineError> {
    let run = site.folders.run;
    let mut store = FactStore::new(run.to_path_buf()).with_late(late.clone());
    if site.plan.threads > 1 {
        store = store.beside();
    }
    let counts = fold_days(runs, wanted, site.spill, &mut store)?;
    memory.days.take(counts, late);
    let mut files = Vec::new();
    for path in store.finish()? {
        let WrittenFile { path, bytes, sha256 } = crate::report::output::written(run, &path)?;
        files.push(KeptFile { path, at: String::new(), bytes, sha256 });
    }
    Ok(files)
}

/// What a person should know of how this run and those before fit together.
fn warnings(diff: &Diff, memory: &Memory, work: &Work) -> Vec<String> {
    let mut warnings = memory.warnings.clone();
    let mut again: BTreeMap<Why, u64> = BTreeMap::new();
    for read in diff.read.iter().filter(|read| read.why != Why::New) {
        *again.entry(read.why).or_default() += 1;
    }
    for (why, n) in again {
        warnings.push(format!("{n} objects were read again: {}", why.as_str()));
    }
    let mut gone: BTreeMap<Why, u64> = BTreeMap::new();
    for why in diff.gone.values() {
        *gone.entry(*why).or_default() += 1;
    }
    for (why, n) in gone {
        warnings.push(format!(
            "{n} objects should be read again and are gone ({}): their hours count as not covered",
            why.as_str()
        ));
    }
    let inexact = memory.days.inexact().len();
    if inexact > 0 {
        warnings.push(format!(
            "{inexact} days have late facts whose copies cannot be told apart any more: counts of them \
             may be too high (coverage.count_exact)"
        ));
    }
    let sources: BTreeSet<&str> = work.stores.iter().map(|store| store.name()).collect();
    let left = memory.entries.sources();
    let left = left.into_iter().filter(|source| !source.is_empty() && !sources.contains(source));
    for source in left {
        warnings.push(format!(
            "what an earlier run read from s3://{source} still counts, though it is not read any more; \
             --rescan forgets it"
        ));
    }
    warnings
}
