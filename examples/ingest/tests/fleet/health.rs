//! Memory and descriptors of a process over time, from `/proc`.

use std::fmt;

use forebay_tests::Process;

/// What was seen of one process that lives through the whole run.
#[derive(Debug, Default)]
pub(crate) struct Health {
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    memory: u64,
    descriptors: usize,
}

impl Health {
    /// Looks once.
    pub(crate) fn look(&mut self, process: &Process) {
        if let (Some((memory, _)), Some(descriptors)) = (process.memory(), process.open_files()) {
            self.samples.push(Sample {
                memory,
                descriptors,
            });
        }
    }

    /// The most in the middle and in the last third of the run; the first third is for warming up.
    fn thirds(&self) -> [Sample; 2] {
        let third = self.samples.len() / 3;
        let rest = self.samples.get(third..).unwrap_or_default();
        let (middle, last) = rest.split_at(third.min(rest.len()));
        [most(middle), most(last)]
    }

    /// Neither grows by more than this after the warm-up, and memory stays under what the documents promise for a queue
    /// of 64 MiB.
    pub(crate) fn check(&self, more_memory: u64, more_descriptors: usize) {
        let [middle, last] = self.thirds();
        assert!(middle.memory > 0 && middle.descriptors > 0, "never looked");
        assert!(last.memory <= middle.memory + more_memory, "{self}");
        assert!(
            last.descriptors <= middle.descriptors + more_descriptors,
            "{self}"
        );
        let most = middle.memory.max(last.memory);
        assert!(most <= (64 + 64) << 20, "{self}");
    }
}

/// The highest values among some samples.
fn most(samples: &[Sample]) -> Sample {
    Sample {
        memory: samples.iter().map(|seen| seen.memory).max().unwrap_or(0),
        descriptors: samples
            .iter()
            .map(|seen| seen.descriptors)
            .max()
            .unwrap_or(0),
    }
}

/// What a row shows of a tenth of the run and its place.
type Value = fn((usize, &Sample)) -> u64;

/// A table of the highest values in each tenth of the run.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenth = (self.samples.len() / 10).max(1);
        let tenths: Vec<Sample> = self
            .samples
            .chunks_exact(tenth)
            .take(10)
            .map(most)
            .collect();
        let rows: [(&str, Value); 3] = [
            ("tenth of the run", |(number, _)| number as u64 + 1),
            ("resident memory, MiB", |(_, seen)| seen.memory >> 20),
            ("descriptors", |(_, seen)| seen.descriptors as u64),
        ];
        for (row, (name, value)) in rows.into_iter().enumerate() {
            write!(f, "| {name} |")?;
            for cell in tenths.iter().enumerate().map(value) {
                write!(f, " {cell} |")?;
            }
            if row == 0 {
                write!(f, "\n|---|{}", "---:|".repeat(tenths.len()))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
