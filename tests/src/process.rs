use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A child process with its log in a file. It is killed when it is dropped, so that a failed test leaves nothing behind.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// A signal that is not the end of the process at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests send these")]
pub enum Signal {
    /// Please stop.
    Terminate,
    /// Freeze.
    Stop,
    /// Go on after a freeze.
    Continue,
}

impl Process {
    /// Starts a command; its standard error is appended to `log`, its standard output dropped.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a word (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// What the operating system says, or that the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .stderr(Stdio::null())
            .status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(io::Error::other("the process is gone"))
        }
    }

    /// Waits for its end; `None` if it still runs after `limit`.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn ended(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it wrote so far.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How much memory it has, from `/proc`; `None` if the process is gone.
    pub fn memory(&self) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kibibytes * 1_024)
        };
        Some(Memory {
            resident: field("VmRSS:")?,
            most: field("VmHWM:")?,
            own: field("RssAnon:")?,
        })
    }

    /// Open file descriptors, from `/proc`.
    pub fn open_files(&self) -> Option<usize> {
        let folder = format!("/proc/{}/fd", self.child.id());
        match std::fs::read_dir(&folder) {
            Ok(entries) => Some(entries.count()),
            // Only root may list the descriptors of a process that is not dumpable; Linux 6.2 gives their number to all.
            Err(_) => usize::try_from(std::fs::metadata(&folder).ok()?.len()).ok(),
        }
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident at most so far.
    pub most: u64,
    /// What of the resident memory is the process's own: all but the pages of its binary that it has touched so far.
    pub own: u64,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_frozen_thawed_and_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun >&2; while :; do sleep 1; done"]);
        let mut process = Process::start(&mut command, &log).expect("a shell");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while process.log().expect("a log") != "begun\n" {
            assert!(tokio::time::Instant::now() < deadline, "nothing is logged");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let memory = process.memory().expect("it runs");
        assert!(memory.own > 0 && memory.resident >= memory.own);
        assert!(memory.most >= memory.resident && process.open_files().expect("it runs") >= 3);
        process.signal(Signal::Stop).expect("it runs");
        process.signal(Signal::Terminate).expect("it runs");
        let still = process.ended(Duration::from_millis(100)).await;
        assert!(still.expect("it can be waited for").is_none(), "frozen");
        process.signal(Signal::Continue).expect("it runs");
        let ended = process.ended(Duration::from_secs(10)).await;
        assert!(ended.expect("it can be waited for").is_some());
        process.kill().expect("killing the dead does nothing");
    }
}
