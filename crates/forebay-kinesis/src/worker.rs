use std::sync::Arc;
use std::time::{Duration, SystemTime};

use forebay_lease::WorkerId;
use tokio::sync::mpsc;

use crate::clock::WallClock;
use crate::config::{Config, Retrieval};
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
        let opened = tokio::select! {
            () = &mut shutdown => return Ok(Summary::default()),
            opened = self.open() => opened?,
        };
        Driver::new(self, opened)?.run(shutdown).await
    }

    /// Makes sure of the table and, as far as rights allow, of the stream and the consumer.
    async fn open(&self) -> Result<Opened, Error> {
        let reporter = Reporter::new(self.stream.observer());
        for degraded in self.table.open().await? {
            reporter.error(&degraded);
        }
        let (arn, retention) = loop {
            match self.stream.describe().await {
                Ok(described) => break described,
                Err(error) if error.kind() == ErrorKind::Gone => return Err(error),
                Err(error) if self.needs_arn() && !error.is_retryable() => return Err(error),
                // Without it nobody is warned before records expire; everything else works.
                Err(error) => reporter.error(&error),
            }
            if !self.needs_arn() {
                break (None, None);
            }
            tokio::time::sleep(DESCRIBE_POLL).await;
        };
        let consumer = match &self.config.retrieval {
            Retrieval::Polling => None,
            Retrieval::FanOut { consumer } => {
                let arn = self.stream.name().arn().or(arn.as_deref());
                Some(self.stream.consumer(consumer, arn, &reporter).await?)
            }
        };
        Ok(Opened {
            retention,
            consumer,
        })
    }
}

impl<T, P> Worker<T, P> {
    /// Whether a fan-out consumer has to be found by the stream's ARN, which only the service knows.
    fn needs_arn(&self) -> bool {
        let by_name = matches!(&self.config.retrieval, Retrieval::FanOut { consumer } if !consumer.starts_with("arn:"));
        by_name && self.stream.name().arn().is_none()
    }
}

const DESCRIBE_POLL: Duration = Duration::from_secs(1);

/// What a worker finds out before it begins.
struct Opened {
    /// How long the stream keeps records, if that could be learned.
    retention: Option<Duration>,
    /// The ARN of the fan-out consumer, if there is to be one.
    consumer: Option<Arc<str>>,
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
