use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use forebay_lease::WorkerId;
use tokio::sync::mpsc;

use crate::clock::WallClock;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::observer::Observer;
use crate::processor::Processor;
use crate::report::Reporter;
use crate::stream::KinesisStream;
use crate::table::LeaseTable;

mod calls;
mod driver;
mod park;
mod shards;

use driver::Driver;

/// Shares the shards of one stream with other workers and hands their records to a processor.
#[derive(Debug)]
pub struct Worker<T, P> {
    id: WorkerId,
    stream: KinesisStream,
    table: Arc<T>,
    processor: Arc<P>,
    config: Config,
    clock: WallClock,
    commands: (
        mpsc::UnboundedSender<Command>,
        mpsc::UnboundedReceiver<Command>,
    ),
}

impl<T: LeaseTable, P: Processor> Worker<T, P> {
    /// A worker with default settings, no observer and the machine's time of day.
    ///
    /// `id` must be unique among all live processes that share the table.
    pub fn new(id: WorkerId, stream: KinesisStream, table: T, processor: P) -> Self {
        Self {
            id,
            stream,
            table: Arc::new(table),
            processor: Arc::new(processor),
            config: Config::default(),
            clock: WallClock::default(),
            commands: mpsc::unbounded_channel(),
        }
    }

    /// Sets the settings; [`Worker::run`] checks them.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets who is told what happens.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.stream = self.stream.observed(Arc::new(observer));
        self
    }

    /// Sets the time of day, for tests and simulations.
    #[must_use]
    pub fn with_wall_clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = WallClock::new(now);
        self
    }

    /// A handle to park and unpark the worker from elsewhere.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle {
            commands: self.commands.0.clone(),
        }
    }

    /// Reads until `shutdown` resolves or something fails for good.
    ///
    /// # Errors
    /// Settings that cannot work, a stream or table that does not exist, missing rights without which nothing works,
    /// and a panic in the processor. Whatever can be waited out is waited out and reported to the observer.
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: every task of the worker ends, nothing is lost, what was not checkpointed
    /// is read again, and peers take the leases when they expire. Use `shutdown` to stop without repeats.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary, Error> {
        self.config.check()?;
        let mut shutdown = std::pin::pin!(shutdown);
        let retention = Arc::new(OnceLock::new());
        tokio::select! {
            () = &mut shutdown => return Ok(Summary::default()),
            opened = self.open(&retention) => opened?,
        }
        Driver::new(self, &retention)?.run(shutdown).await
    }

    /// Makes sure of the table and, as far as rights allow, of the stream.
    async fn open(&self, retention: &OnceLock<Duration>) -> Result<(), Error> {
        let reporter = Reporter::new(self.stream.observer());
        for degraded in self.table.open().await? {
            reporter.error(&degraded);
        }
        match self.stream.retention().await {
            Ok(Some(kept)) => {
                let _ = retention.set(kept);
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Gone => return Err(error),
            // Without it nobody is warned before records expire; everything else works.
            Err(error) => reporter.error(&error),
        }
        Ok(())
    }
}

/// Parks and unparks a [`Worker`]. Works before, during and (without effect) after the run.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
}

impl WorkerHandle {
    /// Stops reading, stores what is accepted, gives all leases back and takes none until [`WorkerHandle::unpark`].
    ///
    /// For a sink that is known to be down. Batches in the processor are cancelled.
    pub fn park(&self) {
        let _ = self.commands.send(Command::Park);
    }

    /// Takes leases again.
    pub fn unpark(&self) {
        let _ = self.commands.send(Command::Unpark);
    }
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Park,
    Unpark,
}

/// How a run ended.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// User records handed to the processor; repeats count again.
    pub records: u64,
    /// Checkpoints the table took.
    pub checkpoints: u64,
    /// Records that were handed over and not accepted when the worker ended. They will be read again.
    pub unaccepted: u64,
}
