//! What the work of one reader shares.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, watch},
    time::sleep_until,
};

use crate::{
    config::Config,
    error::{ConfigError, Error},
    memory::Settled,
    message::now,
    observer::Observer,
    pause::Pause,
    places::Places,
    processor::{Processor, Rejected},
};

pub(crate) struct Parts<S, P> {
    pub(crate) source: S,
    pub(crate) processor: P,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) config: Config,
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) places: Places,
    pub(crate) settled: Settled,
    /// Back-off while objects cannot be read, or rejections cannot be kept, for want of a right or a service.
    outage: Mutex<Pause>,
    stop: watch::Sender<bool>,
}

impl<S, P> Parts<S, P> {
    pub(crate) fn new(source: S, processor: P, config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            source,
            processor,
            observer: Arc::new(()),
            budget: Arc::new(Semaphore::new(config.bytes_in_flight.get())),
            places: Places::new(config.concurrency.get()),
            settled: Settled::default(),
            outage: Mutex::new(Pause::new(config.pause)),
            stop: watch::Sender::new(false),
            config,
        })
    }

    /// While objects cannot be read: the time between two tries.
    pub(crate) fn outage(&self) -> Option<Duration> {
        self.pause().length()
    }

    /// Objects can be read.
    pub(crate) fn well(&self) {
        self.pause().succeeded();
    }

    /// Something that no input has caused failed: waits until it is to be tried again. False if the reader stops first.
    pub(crate) async fn ride_out(&self) -> bool {
        let until = self.pause().failed(now());
        self.sleep_until(until).await
    }

    /// False if the reader stops first.
    pub(crate) async fn sleep(&self, length: Duration) -> bool {
        self.sleep_until(now() + length).await
    }

    async fn sleep_until(&self, until: Instant) -> bool {
        tokio::select! {
            () = self.stopped() => false,
            () = sleep_until(until.into()) => true,
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    async fn stopped(&self) {
        // The sender lives as long as these parts.
        let _ = self.stop.subscribe().wait_for(|&stopped| stopped).await;
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S, P> fmt::Debug for Parts<S, P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Parts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S, P: Processor> Parts<S, P> {
    /// Hands over what cannot be read. As long as it cannot be kept, nothing is received.
    ///
    /// # Errors
    ///
    /// The reader stopped before it could be kept.
    pub(crate) async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        loop {
            match self.processor.reject(rejected.clone()).await {
                Ok(()) => {
                    self.observer.rejected(rejected.reason);
                    return Ok(());
                }
                Err(error) => {
                    self.observer.failed(&error.kind(), &error.to_string());
                    if !self.ride_out().await {
                        return Err(error);
                    }
                }
            }
        }
    }
}
