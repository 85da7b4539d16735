//! Exit codes, in one table (sysexits where they fit).

use std::process::ExitCode;

use crate::config::ConfigError;

/// How the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Exit {
    /// Done, or stopped cleanly with everything settled.
    Done,
    /// Something is wrong inside.
    Internal,
    /// `check` found a failure, `decode` or `replay` could not read some of its input, `demo` lost something.
    Failed,
    /// Input or output of the file system.
    InputOutput,
    /// Stopped with something unsettled; a restart continues there.
    Temporary,
    /// Credentials are missing, or lack a right.
    NotPermitted,
    /// The configuration cannot be used.
    Config,
    /// A second signal ended the process at once.
    Forced,
}

impl Exit {
    /// The code that an error of `main` ends with.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<ConfigError>().is_some() {
            Self::Config
        } else if let Some(error) = error.downcast_ref::<std::io::Error>() {
            match error.kind() {
                std::io::ErrorKind::BrokenPipe => Self::Done,
                _ => Self::InputOutput,
            }
        } else if error.chain().any(is_refusal) {
            Self::NotPermitted
        } else {
            Self::Internal
        }
    }

    /// The number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Failed => 3,
            Self::InputOutput => 74,
            Self::Temporary => 75,
            Self::NotPermitted => 77,
            Self::Config => 78,
            Self::Forced => 130,
        }
    }
}

/// Whether AWS refused the caller.
fn is_refusal(cause: &(dyn std::error::Error + 'static)) -> bool {
    use forebay_kinesis::ErrorKind::{Credentials, Denied};

    let of_kinesis = cause.downcast_ref::<forebay_kinesis::Error>();
    let of_s3 = cause.downcast_ref::<forebay_s3::Error>();
    of_kinesis.is_some_and(|error| matches!(error.kind(), Denied | Credentials))
        || of_s3.is_some_and(|error| error.kind() == forebay_s3::ErrorKind::Denied)
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
