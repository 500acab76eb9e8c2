//! The records of a trail: of a file of its own, or one by one from wherever they were carried.

use super::Object;
use crate::decode::cloudtrail::Record;
use crate::decode::find;
use crate::extract::origin::Source;
use crate::extract::skim::Passed;
use crate::extract::{Skimmer, cloudtrail, reason_of};
use crate::model::tally::{Filter, Stream};

impl Object<'_> {
    /// A trail's file: what no grant is about is counted and not parsed. False when it is none.
    pub(super) fn trail_file(
        &mut self,
        file: &[u8],
        Skimmer { skim, records }: &mut Skimmer,
    ) -> bool {
        let mut passed = Passed::default();
        let is_file = find::records(file, records, |one| {
            skim.pass(file, one, self.place.is_some(), &mut passed)
        });
        if !is_file {
            return false;
        }
        self.has_records = true;
        for run in passed.runs {
            let (account, region) = self.place.unwrap_or((run.account, run.region));
            let stream = Source::Trail(account, region).stream();
            self.delivered_many(stream, run.hour.start(), run.records, false);
        }
        self.batch.tally.filter_many(Stream::CloudTrail, Filter::NotRelevant, passed.records);
        for one in &records.found {
            let record = one.bytes(file);
            let Some(read) = Record::from_found(one, file, &mut self.memory.members[0]) else {
                self.cloudtrail_record(record);
                continue;
            };
            let knows = (self.context, &mut *self.memory);
            let outcome = cloudtrail::read(&read, record, knows, self.place, self.take);
            self.cloudtrail_outcome(outcome, record);
        }
        true
    }

    pub(super) fn cloudtrail_record(&mut self, record: &[u8]) {
        self.has_records = true;
        match cloudtrail::extract(record, (self.context, self.memory), self.place, self.take) {
            Ok(outcome) => self.cloudtrail_outcome(outcome, record),
            Err(unread) => self.reject(Stream::CloudTrail, reason_of(unread), record),
        }
    }

    fn cloudtrail_outcome(&mut self, outcome: cloudtrail::Outcome, record: &[u8]) {
        if let Some(delivery) = outcome.delivered {
            let (account, region) = &delivery.place;
            let (account, region) = self.place.unwrap_or((account, region));
            let source = Source::Trail(account, region);
            self.delivered(source, delivery.at.hour(), delivery.issues);
        }
        match outcome.left {
            None => {
                let at = outcome.at.unwrap_or_default();
                self.batch.keep(outcome.kept, at, false);
            }
            Some(cloudtrail::Left::Filtered(Filter::OutsideWindow)) => {
                self.batch.is_outside(outcome.at.unwrap_or_default());
                self.batch.tally.filter(Stream::CloudTrail, Filter::OutsideWindow);
            }
            Some(cloudtrail::Left::Filtered(why)) => {
                self.batch.tally.filter(Stream::CloudTrail, why);
            }
            Some(cloudtrail::Left::Rejected(why)) => {
                self.reject(Stream::CloudTrail, why, record);
            }
        }
    }
}
