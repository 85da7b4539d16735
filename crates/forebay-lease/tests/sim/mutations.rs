//! A simulator that finds no planted defect is broken.

use crate::faults::DEFECTS;
use crate::world::run;

#[test]
fn every_planted_defect_is_caught() {
    let most = std::env::var("FOREBAY_MUTATION_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(400);
    let mut missed = Vec::new();
    for defect in DEFECTS {
        let caught = (0..most).find_map(|seed| {
            run(seed, Some(defect))
                .inv
                .violation
                .map(|text| (seed, text))
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
