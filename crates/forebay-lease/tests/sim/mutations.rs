//! A simulator that finds no planted defect is broken.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::defects::Defect;
use crate::world::run;

/// Each is looked for from a seed that is known to show it; `FOREBAY_MUTATION_SEEDS` says how far.
#[test]
fn every_planted_defect_is_caught() {
    let most = std::env::var("FOREBAY_MUTATION_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((defect, first)) =
                    Defect::ALL.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let caught = (*first..first + most).find_map(|seed| {
                        let violation = run(seed, Some(*defect)).inv.violation;
                        violation.map(|text| (seed, text))
                    });
                    match caught {
                        Some((seed, text)) => println!("{defect:?}: seed {seed}, {text}"),
                        None => missed.lock().expect("missed").push(*defect),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("missed");
    assert!(
        missed.is_empty(),
        "not caught within {most} seeds: {missed:?}"
    );
}
