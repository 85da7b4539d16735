//! What the test binaries share: processes that can be killed, and the books of what went in and came out.
#![forbid(unsafe_code)]

mod ledger;
mod process;
mod scale;

pub use ledger::{Ledger, Receipt};
pub use process::{Memory, Process, Signal};
pub use scale::{Random, scale};
