//! One test for each rule the coordinator owns, against a table of the test's making.
#![expect(
    clippy::disallowed_methods,
    reason = "an Instant has to come from somewhere; only differences count"
)]

mod bed;
mod held;
mod lineage;
mod taking;
mod watching;
