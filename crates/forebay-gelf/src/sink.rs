//! One way to send, whatever the transport: batches in, acceptance out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::batch::Batch;
use crate::sink::health::{Health, Status};
use crate::sink::inlet::{Command, Inlet, Parcel};
use crate::sink::observer::Observer;
use crate::sink::transport::Transport;

pub(crate) mod acceptance;
pub(crate) mod driver;
pub(crate) mod error;
pub(crate) mod health;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod inlet;
pub(crate) mod lane;
pub(crate) mod observer;
pub(crate) mod retry;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod udp;
pub(crate) mod writer;

use acceptance::{Acceptance, Report};
use driver::Driver;
use error::{SendError, SinkError};

/// The sending side of a transport. Cheap to clone; all clones share one window.
///
/// ```text
/// let (sink, driver) = Sink::open(transport, SinkConfig::default(), Arc::new(()))?;
/// tasks.spawn(driver.run());                        // the only thing that touches the network
/// let ticket = sink.send(batch).await?;             // waits while the byte budget is used up
/// let acceptance = ticket.await?;                   // every message is accepted or refused for good
/// let report = sink.close(Duration::from_secs(20)).await;
/// ```
///
/// # Guarantees
/// - **At least once.** A batch stays inside until each of its messages is accepted or refused for good; what a
///   failed connection leaves unproven is sent again, in whole messages. How strong "accepted" is says
///   [`Acceptance::grade`].
/// - **Order.** Messages go out in the order in which `send` returned, and no TCP connection ever sees an older batch
///   after a newer one; repeats after a failure go over a fresh connection. Tickets may complete out of order. With
///   several HTTP requests at a time the receiver decides.
/// - **Memory.** Batches inside never exceed [`SinkConfig::budget`]; then `send` waits, first come first served.
/// - **No hidden task.** Work happens inside [`Driver::run`]. If that future is dropped, tickets report
///   [`SinkError::Closed`].
#[derive(Clone, Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    parcels: mpsc::UnboundedSender<Command>,
}

/// What a handle and its driver both see.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Free bytes of the budget.
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) capacity: usize,
    pub(crate) status: Status,
}

impl Sink {
    /// A sink and the driver that must be run for it.
    ///
    /// # Errors
    /// [`SinkError::Config`] if the settings contradict each other.
    pub fn open(
        transport: impl Into<Transport>,
        config: SinkConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Driver), SinkError> {
        let transport = transport.into();
        config.check()?;
        let capacity = config.budget;
        let (parcels, incoming) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            budget: Arc::new(Semaphore::new(capacity)),
            capacity,
            status: Status::new(transport.is_unverified()),
        });
        let inlet = Inlet::new(incoming, Arc::clone(&shared), observer);
        let driver = Driver::new(transport, inlet, config)?;
        Ok((Self { shared, parcels }, driver))
    }

    /// Takes a batch into the window and gives a ticket for it. Waits while the budget is used up: that is the
    /// back-pressure.
    ///
    /// # Errors
    /// [`SendError`] hands the batch back if the sink is closed or the batch alone exceeds the budget.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the batch is dropped with it and nothing of it is sent.
    /// To keep the batch, reserve first: `sink.reserve(batch.memory()).await?.send(batch)`.
    pub async fn send(&self, batch: Batch) -> Result<Ticket, SendError> {
        let cost = batch.memory();
        match self.reserve(cost).await {
            Ok(permit) => Ok(permit.send(batch)),
            Err(reason) => Err(SendError::new(batch, reason)),
        }
    }

    /// Waits until the budget has room for `bytes` and holds that room.
    ///
    /// # Errors
    /// [`SinkError::Closed`], or [`SinkError::TooLarge`] if the whole budget would not do.
    ///
    /// # Cancel safety
    /// Cancel safe; a dropped future loses its place in the queue.
    pub async fn reserve(&self, bytes: usize) -> Result<Permit<'_>, SinkError> {
        let cost = self.cost(bytes)?;
        let held = Arc::clone(&self.shared.budget)
            .acquire_many_owned(cost)
            .await
            .map_err(|_| SinkError::Closed)?;
        Ok(Permit { sink: self, held })
    }

    /// Asks for proof of everything sent so far and waits for it, at most for `patience`.
    ///
    /// # Errors
    /// [`SinkError::TimedOut`]: what was not accepted stays inside and goes on being sent.
    ///
    /// # Cancel safety
    /// Cancel safe: sending goes on.
    pub async fn flush(&self, patience: Duration) -> Result<(), SinkError> {
        let (done, wait) = oneshot::channel();
        self.parcels
            .send(Command::Flush(done))
            .map_err(|_| SinkError::Closed)?;
        match tokio::time::timeout(patience, wait).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SinkError::Closed),
            Err(_) => Err(SinkError::TimedOut),
        }
    }

    /// Takes nothing more, drains for at most `patience`, closes the connections and ends the driver.
    ///
    /// Tickets of batches that were not accepted in time report [`SinkError::Closed`]. A second call reports the
    /// same.
    ///
    /// # Cancel safety
    /// Cancel safe: the drain goes on in the driver.
    pub async fn close(&self, patience: Duration) -> Report {
        self.shared.budget.close();
        let deadline = tokio::time::Instant::now() + patience;
        // A driver that has ended already, or is gone, leaves its report behind all the same.
        drop(self.parcels.send(Command::Close(deadline)));
        self.shared.status.closed().await
    }

    /// State of the transport now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.status.health(self.in_flight())
    }

    /// Waits until the state differs from `seen` and returns the new one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn health_changed(&self, seen: &Health) -> Health {
        self.shared.status.changed(seen).await;
        self.health()
    }

    /// Bytes inside: sent or waiting, not accepted yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.capacity - self.shared.budget.available_permits()
    }

    fn cost(&self, bytes: usize) -> Result<u32, SinkError> {
        match u32::try_from(bytes) {
            Ok(cost) if bytes <= self.shared.capacity => Ok(cost),
            _ => Err(SinkError::TooLarge {
                bytes,
                limit: self.shared.capacity,
            }),
        }
    }
}

/// Room held in a sink's budget.
#[derive(Debug)]
pub struct Permit<'s> {
    sink: &'s Sink,
    held: tokio::sync::OwnedSemaphorePermit,
}

impl Permit<'_> {
    /// Hands a batch over. Of the room held, what the batch does not need is given back. A batch that needs more
    /// takes what is held; the caller reserved too little, and the budget is exceeded by the difference.
    #[must_use = "the ticket tells what was accepted"]
    pub fn send(mut self, batch: Batch) -> Ticket {
        let spare = self.held.num_permits().saturating_sub(batch.memory());
        drop(self.held.split(spare));
        let (settle, settled) = oneshot::channel();
        // A driver that is gone drops the parcel, and the ticket says so.
        drop(
            self.sink
                .parcels
                .send(Command::Parcel(Parcel::new(batch, self.held, settle))),
        );
        Ticket { settled }
    }
}

/// A promise about one batch: a future of its [`Acceptance`].
///
/// Dropping it does not call the batch back.
#[derive(Debug)]
pub struct Ticket {
    settled: oneshot::Receiver<Acceptance>,
}

impl Ticket {
    /// The outcome if it is known by now.
    ///
    /// # Errors
    /// [`SinkError::Closed`]: the driver ended before the batch was settled. Treat its messages as not accepted.
    pub fn poll_now(&mut self) -> Result<Option<Acceptance>, SinkError> {
        match self.settled.try_recv() {
            Ok(acceptance) => Ok(Some(acceptance)),
            Err(oneshot::error::TryRecvError::Empty) => Ok(None),
            Err(oneshot::error::TryRecvError::Closed) => Err(SinkError::Closed),
        }
    }
}

impl Future for Ticket {
    type Output = Result<Acceptance, SinkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.settled)
            .poll(context)
            .map(|settled| settled.map_err(|_| SinkError::Closed))
    }
}

/// Settings that all transports share.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SinkConfig {
    /// Most bytes of batches inside, sent and waiting. At most 4 GiB. Default 64 MiB. Counted is what batches hold;
    /// spare room of buffers that grew while they were filled comes on top.
    ///
    /// TCP with [`Proof::Receiver`](crate::Proof::Receiver) keeps what is not proven: below 48 MiB it proves by
    /// closing connections only, a new one for each three quarters of the budget.
    pub budget: usize,
    /// Longest wait between two attempts; the waits double from `retry_first` up to it, with full jitter. Default 20 s.
    pub retry_cap: Duration,
    /// Base of the first wait. Default 100 ms.
    pub retry_first: Duration,
    /// Where jitter and UDP message ids start. Two processes that share a receiver must use different seeds; take
    /// it from the system's randomness.
    pub seed: u64,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            budget: 64 * 1024 * 1024,
            retry_cap: Duration::from_secs(20),
            retry_first: Duration::from_millis(100),
            seed: 0,
        }
    }
}

impl SinkConfig {
    fn check(&self) -> Result<(), SinkError> {
        if self.budget == 0 || u32::try_from(self.budget).is_err() {
            return Err(SinkError::config(
                "`budget` must be between 1 byte and 4 GiB",
            ));
        }
        if self.retry_first.is_zero() || self.retry_cap < self.retry_first {
            return Err(SinkError::config(
                "`retry_first` must be above 0 and at most `retry_cap`",
            ));
        }
        Ok(())
    }
}
