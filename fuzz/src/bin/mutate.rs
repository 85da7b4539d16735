//! Runs the targets on mutated seeds, on stable and without libFuzzer.
//!
//! `mutate SECONDS [TARGET]` runs each target (or one) for a time, `mutate --executions N [TARGET]` for a number of
//! inputs. The inputs are the same in every run: a run that was stopped by the clock is a prefix of a longer one.
//! A panic ends the process after its input was printed as hex, so that it can become a test case.
//!
//! `mutate --corpus DIRECTORY` writes the seeds where cargo-fuzz looks for them (`corpus`), one directory per target.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for the terminal"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{ExitCode, abort};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, io, panic};

use forebay_fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, directory] = arguments.as_slice()
        && flag == "--corpus"
    {
        return match write_corpus(Path::new(directory)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("the seeds cannot be written to {directory}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let Some((budget, name)) = parse(&arguments) else {
        eprintln!(
            "usage: mutate SECONDS [TARGET] | mutate --executions N [TARGET] | mutate --corpus DIRECTORY"
        );
        return ExitCode::from(2);
    };
    let targets: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| name.is_none_or(|name| name == target.0))
        .collect();
    if targets.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.0).collect();
        eprintln!("no such target; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    print_input_on_panic();
    for target in targets {
        run(target, budget);
    }
    ExitCode::SUCCESS
}

fn write_corpus(directory: &Path) -> io::Result<()> {
    for (name, _, seeds) in TARGETS {
        let directory = directory.join(name);
        fs::create_dir_all(&directory)?;
        for (number, seed) in seeds().iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

/// When to stop with one target.
#[derive(Clone, Copy)]
enum Budget {
    Time(Duration),
    Executions(u64),
}

impl Budget {
    fn is_spent(self, executions: u64, start: Instant) -> bool {
        match self {
            Self::Executions(limit) => executions >= limit,
            // The clock is asked now and then only.
            Self::Time(limit) => executions.is_multiple_of(64) && start.elapsed() >= limit,
        }
    }
}

fn parse(arguments: &[String]) -> Option<(Budget, Option<&str>)> {
    let (budget, rest) = match arguments {
        [flag, count, rest @ ..] if flag == "--executions" => {
            (Budget::Executions(count.parse().ok()?), rest)
        }
        [seconds, rest @ ..] => (
            Budget::Time(Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?),
            rest,
        ),
        [] => return None,
    };
    match rest {
        [] => Some((budget, None)),
        [name] => Some((budget, Some(name))),
        _ => None,
    }
}

fn run(&(name, function, seeds): &Target, budget: Budget) {
    let seeds = seeds();
    let start = Instant::now();
    let mut mutator = Mutator::new(&seeds);
    let mut executions = 0;
    while !budget.is_spent(executions, start) {
        let mut input = INPUT
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // The seeds themselves come first.
        match usize::try_from(executions).ok().and_then(|n| seeds.get(n)) {
            Some(seed) => input.clone_from(seed),
            None => mutator.next_into(&mut input),
        }
        let current = input.clone();
        drop(input);
        function(&current);
        executions += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name} {executions} executions {seconds:.1} s, {:.0} a second",
        executions as f64 / seconds
    );
}

/// What the running target was given.
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn print_input_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        let input = INPUT
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut hex = String::new();
        for byte in input.iter() {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        eprintln!("input ({} bytes): {hex}", input.len());
        abort();
    }));
}

/// Makes inputs out of seeds, the same ones in every run.
struct Mutator<'s> {
    seeds: &'s [Vec<u8>],
    /// Inputs made before, so that changes add up over many executions.
    evolved: Vec<Vec<u8>>,
    random: Random,
}

impl<'s> Mutator<'s> {
    fn new(seeds: &'s [Vec<u8>]) -> Self {
        Self {
            seeds,
            evolved: Vec::new(),
            random: Random(0x9e37_79b9_7f4a_7c15),
        }
    }

    fn next_into(&mut self, input: &mut Vec<u8>) {
        input.clear();
        if let Some(parent) = self.parent() {
            input.extend_from_slice(parent);
        }
        for _ in 0..=self.random.below(8) {
            self.mutate(input);
        }
        input.truncate(MAX_LEN);
        if self.random.below(32) == 0 {
            let place = self.random.below(EVOLVED);
            match self.evolved.get_mut(place) {
                Some(old) => old.clone_from(input),
                None => self.evolved.push(input.clone()),
            }
        }
    }

    fn parent(&mut self) -> Option<&[u8]> {
        let from_evolved = !self.evolved.is_empty() && self.random.below(3) == 0;
        let pool = if from_evolved {
            self.evolved.as_slice()
        } else {
            self.seeds
        };
        pool.get(self.random.below(pool.len())).map(Vec::as_slice)
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(9) {
            0 | 1 => self.change(input, at, |random, byte| byte ^ 1 << random.below(8)),
            2 => self.change(input, at, |random, _| random.next() as u8),
            3 => self.change(input, at, |random, byte| {
                byte.wrapping_add(random.below(9) as u8).wrapping_sub(4)
            }),
            4 => {
                let bytes: Vec<u8> = (0..=self.random.below(4))
                    .map(|_| self.random.next() as u8)
                    .collect();
                input.splice(at..at, bytes);
            }
            5 => {
                let end = (at + 1 + self.random.below(16)).min(input.len());
                input.drain(at..end);
            }
            // A piece of the input once more, somewhere else.
            6 => {
                let end = (at + 1 + self.random.below(64)).min(input.len());
                let piece = input.get(at..end).unwrap_or_default().to_vec();
                let to = self.random.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            // The front of this input and the back of another.
            7 => {
                input.truncate(at);
                if let Some(other) = self.parent() {
                    let other = other.to_vec();
                    let from = self.random.below(other.len() + 1);
                    input.extend_from_slice(other.get(from..).unwrap_or_default());
                }
            }
            _ => {
                let word = DICTIONARY[self.random.below(DICTIONARY.len())];
                // Half of the words replace what stands there.
                let end = if self.random.below(2) == 0 {
                    at
                } else {
                    (at + word.len()).min(input.len())
                };
                input.splice(at..end, word.iter().copied());
            }
        }
    }

    fn change(&mut self, input: &mut [u8], at: usize, change: impl FnOnce(&mut Random, u8) -> u8) {
        if let Some(byte) = input.get_mut(at) {
            *byte = change(&mut self.random, *byte);
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `limit`, 0 if there is none.
    fn below(&mut self, limit: usize) -> usize {
        // The low bits of xorshift are the weakest.
        ((self.next() >> 11) % (limit.max(1) as u64)) as usize
    }
}

/// Words that formats are made of; bit flips would hardly ever spell them.
const DICTIONARY: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"null",
    b"true",
    b"false",
    b"-",
    b"0",
    b"1e999",
    b"-0.0",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\\"",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"  ",
    b"\0",
    b"\xEF\xBB\xBF",
    b"\xff",
    b"\xc3\xa9",
    b"18446744073709551616",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"65536",
    b"256",
    b"99999999999",
    b"\x1f\x8b\x08",
    b"\x78\x9c",
    b"\xF3\x89\x9A\xC2",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x94\xeb\xdc\x03",
    b"{\"messageType\":",
    b"\"DATA_MESSAGE\"",
    b"\"logEvents\":[",
    b"{\"id\":\"",
    b"\"timestamp\":",
    b"\"message\":\"",
    b"\"extractedFields\":{",
    b"\"@aws.account\"",
    b"{\"awslogs\":{\"data\":\"",
    b"\"Records\":[",
    b"\"eventVersion\"",
    b"\"s3\":{\"bucket\":{\"name\":",
    b"\"s3ObjectKey\":[",
    b"\"Type\":\"Notification\"",
    b"\"Message\":\"",
    b"\"detail\":{",
    b"%2F",
    b"+",
    b"%",
    b"NODATA",
    b"SKIPDATA",
    b"${",
    b"version account-id interface-id",
    b"- - -",
    b"::ffff:10.0.0.1",
    b"255.255.255.255",
    b"_field",
    b"\x1e\x0f",
];

const MAX_LEN: usize = 16 * 1024;
const EVOLVED: usize = 128;
