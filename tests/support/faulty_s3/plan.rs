//! Which request meets which fault: rules that count, written by hand or drawn from a seed.

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    List,
    Get,
    Head,
    Put,
    Delete,
    Copy,
}

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503 SlowDown.
    SlowDown,
    /// 500 InternalError.
    Broken,
    /// The connection is reset before any answer.
    ResetBefore,
    /// The connection is reset inside the body.
    ResetInside,
    /// The connection ends in order inside the body, whose length was told right.
    Short,
    /// The body stops halfway and the connection stays open.
    Stall,
    /// Somebody else puts the object anew just before: another ETag.
    Overwritten,
    /// Somebody else removes the object just before; healing brings it back.
    Deleted,
    /// 403 AccessDenied.
    Denied,
    /// 403 AccessDenied over the key that the object is encrypted with.
    KmsDenied,
    /// 400 ExpiredToken.
    Expired,
    /// The page tells its own token as the next one; a last page repeats for ever.
    RepeatedPage,
    /// The page says that there is more and not where.
    NoToken,
    /// The whole body with 200 where a range was asked for.
    RangeIgnored,
    /// More bytes than were listed, under the same ETag.
    TooLong,
    /// A put is done and its answer lost: the connection is reset.
    LostAnswer,
    /// The request is taken, and neither done nor answered.
    Silence,
    /// 409 ConditionalRequestConflict.
    Conflict,
    /// 400 ExpiredToken for the first access key that the plan met; others are served.
    FirstKeyExpired,
}

/// Requests of `op` whose key (prefix, for a listing) contains `key` meet `fault`: those from number
/// `first` on, `times` of them or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) op: Op,
    pub(crate) key: String,
    pub(crate) first: usize,
    pub(crate) times: Option<usize>,
    pub(crate) fault: Fault,
}

impl Rule {
    /// The first `times` requests meet it.
    pub(crate) fn times(op: Op, key: &str, times: usize, fault: Fault) -> Self {
        Rule { op, key: key.to_owned(), first: 0, times: Some(times), fault }
    }

    /// Every request meets it.
    pub(crate) fn always(op: Op, key: &str, fault: Fault) -> Self {
        Rule { op, key: key.to_owned(), first: 0, times: None, fault }
    }

    /// The first `first` requests go well.
    pub(crate) fn after(self, first: usize) -> Self {
        Rule { first, ..self }
    }
}

/// Rules; the first that is due decides, and all of them count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FaultPlan {
    pub(crate) rules: Vec<Rule>,
}

/// SplitMix64: the same draws on every machine. Source: <https://prng.di.unimi.it/splitmix64.c>.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// Faults of a listing that pass.
const LIST: [Fault; 8] = [
    Fault::SlowDown,
    Fault::Broken,
    Fault::ResetBefore,
    Fault::ResetInside,
    Fault::Short,
    Fault::Expired,
    Fault::RepeatedPage,
    Fault::NoToken,
];
/// Faults of a fetch that pass when they come once or twice.
const GET: [Fault; 7] = [
    Fault::SlowDown,
    Fault::Broken,
    Fault::ResetBefore,
    Fault::ResetInside,
    Fault::Short,
    Fault::Stall,
    Fault::Expired,
];
/// Faults of a fetch after which an object stays unread.
const LOST: [Fault; 7] = [
    Fault::Denied,
    Fault::KmsDenied,
    Fault::Overwritten,
    Fault::Deleted,
    Fault::TooLong,
    Fault::Broken,
    Fault::ResetInside,
];

/// Faults of a put, a removal or a read of the output that pass.
const OUTPUT: [Fault; 7] = [
    Fault::SlowDown,
    Fault::Broken,
    Fault::ResetBefore,
    Fault::LostAnswer,
    Fault::Silence,
    Fault::Conflict,
    Fault::Expired,
];
/// What is written of an output in a bucket.
const WRITTEN: [&str; 7] =
    ["", "manifest.json", ".state.json", ".state/", ".generations/", "tables/", "history/"];

impl FaultPlan {
    /// Adds up to three faults of an output below `place`; some stay.
    pub(crate) fn with_output(mut self, seed: u64, place: &str) -> Self {
        let mut dice = Dice(seed ^ 0x6f75_7470_7574);
        for _ in 0..dice.roll(4) {
            let key = format!("{place}{}", dice.pick(&WRITTEN));
            let times = 1 + dice.roll(3);
            let first = dice.roll(6);
            self.rules.push(match dice.roll(8) {
                0 => Rule::always(Op::Put, &key, Fault::Denied).after(first),
                1 => Rule::times(Op::Delete, place, times, Fault::SlowDown).after(first),
                2 => Rule::times(Op::Get, place, times, Fault::ResetInside).after(first),
                3 => Rule::times(Op::List, place, times, Fault::SlowDown).after(first),
                _ => Rule::times(Op::Put, &key, times, *dice.pick(&OUTPUT)).after(first),
            });
        }
        self
    }

    pub(crate) fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        FaultPlan { rules: rules.into_iter().collect() }
    }

    /// One to four faults on `keys`, the same for the same seed.
    pub(crate) fn from_seed(seed: u64, keys: &[String]) -> Self {
        let mut dice = Dice(seed);
        let rules = (0..=dice.roll(4)).flat_map(|_| {
            let key = dice.pick(keys).clone();
            let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
            let levels = folder.split('/').count();
            let some: Vec<&str> = folder.split('/').take(1 + dice.roll(levels)).collect();
            let folder = format!("{}/", some.join("/"));
            let times = 1 + dice.roll(3);
            match dice.roll(8) {
                0 => vec![Rule::times(Op::List, "", times, *dice.pick(&LIST)).after(dice.roll(6))],
                1 => vec![Rule::times(Op::List, &folder, times, *dice.pick(&LIST))],
                2 => vec![Rule::always(Op::List, &folder, Fault::Denied)],
                3 => vec![Rule::times(Op::Get, "", 1 + dice.roll(20), Fault::SlowDown)],
                4 => vec![
                    Rule::times(Op::Get, &key, 1, Fault::ResetInside),
                    Rule::times(Op::Get, &key, 1, Fault::RangeIgnored).after(1),
                ],
                5 => vec![Rule::always(Op::Get, &folder, Fault::Denied)],
                6 => vec![Rule::always(Op::Get, &key, *dice.pick(&LOST))],
                _ => vec![Rule::times(Op::Get, &key, times, *dice.pick(&GET))],
            }
        });
        FaultPlan { rules: rules.collect() }
    }
}
