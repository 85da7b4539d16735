//! Every course that a few workers can take with a few faults, one after the other: no seed can miss one.
//!
//! The simulator draws from endless possibilities; this model checks all of a small world. Requests travel at once unless
//! a fault hits them. `FOREBAY_TIER=nightly` allows more faults.

#![expect(clippy::disallowed_methods, reason = "virtual time needs an origin")]

mod state;

use std::collections::HashSet;
use std::time::Instant;

use crate::state::{Budget, State};

/// Visits every state that can be reached and returns how many there are, or the course to a broken invariant.
fn explore(workers: usize, budget: Budget, millis: u64) -> Result<usize, String> {
    let base = Instant::now();
    let mut seen = HashSet::new();
    let mut open = vec![State::new(workers, budget, base, millis)];
    while let Some(state) = open.pop() {
        for next in state.successors() {
            if let Some(violation) = next.violation() {
                return Err(format!("{violation}\n{}", next.course()));
            }
            if seen.insert(next.fingerprint()) {
                open.push(next);
            }
        }
    }
    Ok(seen.len())
}

fn is_nightly() -> bool {
    matches!(
        std::env::var("FOREBAY_TIER").as_deref(),
        Ok("nightly" | "release")
    )
}

#[test]
fn no_course_of_two_workers_breaks_an_invariant() {
    let budget = Budget {
        faults: if is_nightly() { 2 } else { 1 },
        crashes: 1,
        believes_all: false,
    };
    let states =
        explore(2, budget, if is_nightly() { 30_000 } else { 16_000 }).expect("no violation");
    println!("two workers, a split, {budget:?}: {states} states");
    assert!(states > 1000);
}

#[test]
fn no_course_of_three_workers_breaks_an_invariant() {
    let budget = Budget {
        faults: 1,
        crashes: usize::from(is_nightly()),
        believes_all: false,
    };
    let states =
        explore(3, budget, if is_nightly() { 24_000 } else { 13_000 }).expect("no violation");
    println!("three workers, a split, {budget:?}: {states} states");
    assert!(states > 1000);
}

/// A model that finds nothing is broken.
#[test]
fn a_worker_that_believes_in_unanswered_writes_is_found_out() {
    let budget = Budget {
        faults: 1,
        crashes: 0,
        believes_all: true,
    };
    let found = explore(2, budget, 16_000);
    assert!(found.is_err_and(|course| course.contains("I5")));
}
