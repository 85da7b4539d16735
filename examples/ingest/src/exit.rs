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
            Self::Config => 78,
            Self::Forced => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
