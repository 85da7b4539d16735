//! Errors of the sinks.

use std::fmt;

use crate::batch::Batch;

/// Why a sink cannot do what was asked.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SinkError {
    /// The sink was closed or its driver ended. Open another one.
    Closed,
    /// The batch alone exceeds the whole budget. Divide it.
    TooLarge {
        /// What the batch costs.
        bytes: usize,
        /// The budget.
        limit: usize,
    },
    /// The patience given was not long enough; the work goes on.
    TimedOut,
    /// The settings are wrong. A person must act.
    Config {
        /// Which setting, and what to do.
        problem: Box<str>,
    },
}

impl SinkError {
    pub(crate) fn config(problem: impl Into<Box<str>>) -> Self {
        Self::Config {
            problem: problem.into(),
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("the sink is closed"),
            Self::TooLarge { bytes, limit } => {
                write!(
                    formatter,
                    "the batch costs {bytes} bytes, the budget of the sink is {limit}; divide it"
                )
            }
            Self::TimedOut => formatter.write_str("not everything was accepted in time"),
            Self::Config { problem } => write!(formatter, "sink settings: {problem}"),
        }
    }
}

impl std::error::Error for SinkError {}

/// A batch that was not taken, and why.
#[derive(Debug)]
pub struct SendError {
    batch: Batch,
    reason: SinkError,
}

impl SendError {
    pub(crate) fn new(batch: Batch, reason: SinkError) -> Self {
        Self { batch, reason }
    }

    /// The batch, to be sent elsewhere or later.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        self.batch
    }

    /// Why it was not taken.
    #[must_use]
    pub fn reason(&self) -> &SinkError {
        &self.reason
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, formatter)
    }
}

impl std::error::Error for SendError {}
