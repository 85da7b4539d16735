//! Memory and descriptors of a process over time, from `/proc`.

use std::fmt;

use forebay_tests::Process;

/// What was seen of one process that lives through the whole run.
#[derive(Debug, Default)]
pub(crate) struct Health {
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    memory: u64,
    own: u64,
    descriptors: u64,
}

impl Health {
    /// Looks once.
    pub(crate) fn look(&mut self, process: &Process) {
        if let (Some(memory), Some(descriptors)) = (process.memory(), process.open_files()) {
            self.samples.push(Sample {
                memory: memory.resident,
                own: memory.own,
                descriptors: descriptors as u64,
            });
        }
    }

    /// Not even the most descriptors grow by more than this, where nothing goes wrong.
    pub(crate) fn check_peaks(&self, more_descriptors: u64) {
        let [middle, last] = self.thirds().map(most);
        assert!(
            last.descriptors <= middle.descriptors + more_descriptors,
            "{self}"
        );
    }

    /// The middle and the last third of the run; the first third is for warming up.
    fn thirds(&self) -> [&[Sample]; 2] {
        let third = self.samples.len() / 3;
        let rest = self.samples.get(third..).unwrap_or_default();
        let (middle, last) = rest.split_at(third.min(rest.len()));
        [middle, last]
    }

    /// Memory does not grow by more than this after the warm-up, and stays under what the documents promise for a queue of
    /// 64 MiB. Nor do the least of the process's own memory and the least of its descriptors: that is where a leak shows
    /// behind the bursts of an outage, which makes many calls wait at once.
    pub(crate) fn check(&self, more_memory: u64, more_descriptors: u64) {
        let thirds = self.thirds();
        let [least_middle, least_last] = thirds.map(least);
        let [middle, last] = thirds.map(most);
        assert!(middle.memory > 0 && middle.descriptors > 0, "never looked");
        assert!(last.memory <= middle.memory + more_memory, "{self}");
        assert!(least_last.own <= least_middle.own + more_memory, "{self}");
        assert!(
            least_last.descriptors <= least_middle.descriptors + more_descriptors,
            "{self}"
        );
        let most = middle.descriptors.max(last.descriptors);
        assert!(most <= MOST_DESCRIPTORS, "{self}");
        let most = middle.memory.max(last.memory);
        assert!(most <= (64 + 64) << 20, "{self}");
    }
}

/// The highest values among some samples.
fn most(samples: &[Sample]) -> Sample {
    each(samples, u64::max)
}

/// The lowest values among some samples.
fn least(samples: &[Sample]) -> Sample {
    each(samples, u64::min)
}

fn each(samples: &[Sample], choose: fn(u64, u64) -> u64) -> Sample {
    let choose = |one: Sample, other: &Sample| Sample {
        memory: choose(one.memory, other.memory),
        own: choose(one.own, other.own),
        descriptors: choose(one.descriptors, other.descriptors),
    };
    match samples {
        [first, rest @ ..] => rest.iter().fold(*first, choose),
        [] => Sample::default(),
    }
}

/// A quarter of the limit that systems set by default. A process makes up to 32 calls to the lease table at a time, and one for
/// each shard.
const MOST_DESCRIPTORS: u64 = 256;

/// A table of the highest values in each tenth of the run, and the lowest of its own memory and its descriptors.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenth = (self.samples.len() / 10).max(1);
        let parts = self.samples.chunks_exact(tenth).take(10);
        let tenths: Vec<Sample> = parts.clone().map(most).collect();
        let least: Vec<Sample> = parts.map(least).collect();
        let numbers: Vec<String> = (1..=tenths.len())
            .map(|tenth| format!(" {tenth} |"))
            .collect();
        writeln!(f, "| tenth of the run |{}", numbers.concat())?;
        writeln!(f, "|---|{}", "---:|".repeat(tenths.len()))?;
        let mut row = |name, samples: &[Sample], value: fn(&Sample) -> u64| {
            write!(f, "| {name} |")?;
            samples
                .iter()
                .try_for_each(|seen| write!(f, " {} |", value(seen)))?;
            writeln!(f)
        };
        row("resident memory, MiB", &tenths, |seen| seen.memory >> 20)?;
        row("of it not of the binary, MiB", &tenths, |seen| {
            seen.own >> 20
        })?;
        row("of that at least, MiB", &least, |seen| seen.own >> 20)?;
        row("at least so many descriptors", &least, |seen| {
            seen.descriptors
        })?;
        row("descriptors", &tenths, |seen| seen.descriptors)
    }
}
