//! The entity refresher against answers of EC2 and Elastic Load Balancing.
//!
//! `embedded` runs on the embedded AWS: paging, throttling, overlapping VPCs of several accounts. `script` answers with exact wire text, for what a well-behaved service never says: a page token twice,
//! no answer at all, a missing right per call.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod embedded;
mod refresh;
mod restart;
mod script;
