//! A simulator that finds no planted defect is broken.

use crate::defects::Defect;
use crate::world::run;

/// Each is looked for from a seed that is known to show it; `FOREBAY_MUTATION_SEEDS` says how far.
#[test]
fn every_planted_defect_is_caught() {
    let most = std::env::var("FOREBAY_MUTATION_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let mut missed = Vec::new();
    for (defect, first) in Defect::ALL {
        let caught = (first..first + most).find_map(|seed| {
            let violation = run(seed, Some(defect)).inv.violation;
            violation.map(|text| (seed, text))
        });
        match caught {
            Some((seed, text)) => println!("{defect:?}: seed {seed}, {text}"),
            None => missed.push(defect),
        }
    }
    assert!(
        missed.is_empty(),
        "not caught within {most} seeds: {missed:?}"
    );
}
