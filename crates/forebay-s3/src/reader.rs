//! The loop: receive, work, delete.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::sleep_until,
};

use crate::{
    config::Config,
    error::{ConfigError, Error, ErrorKind},
    memory::Settled,
    message::{Outcome, Work, now},
    observer::Observer,
    processor::Processor,
    queue::{Queue, Received},
    source::ObjectSource,
};

/// Reads the objects that a queue's notices announce, and deletes each notice when all of it is settled.
///
/// See the crate documentation for the contract.
#[derive(Debug)]
pub struct Reader<S, P, O = ()> {
    queue: Queue,
    parts: Arc<Parts<S, P, O>>,
}

/// What every message's work shares.
#[derive(Debug)]
pub(crate) struct Parts<S, P, O> {
    pub(crate) source: S,
    pub(crate) processor: P,
    pub(crate) observer: O,
    pub(crate) config: Config,
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) settled: Settled,
}

/// What a reader did, told when it ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Messages received, repeats included.
    pub received: u64,
    /// Messages deleted.
    pub deleted: u64,
    /// Messages left in the queue.
    pub returned: u64,
}

impl<S: ObjectSource, P: Processor> Reader<S, P> {
    /// A reader of `queue` that opens objects through `source` and hands records to `processor`.
    ///
    /// # Errors
    ///
    /// A setting is out of range.
    pub fn new(queue: Queue, source: S, processor: P, config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let budget = Arc::new(Semaphore::new(config.bytes_in_flight.get()));
        let parts = Parts {
            source,
            processor,
            observer: (),
            config,
            budget,
            settled: Settled::default(),
        };
        Ok(Self {
            queue,
            parts: Arc::new(parts),
        })
    }
}

impl<S: ObjectSource, P: Processor> Reader<S, P, ()> {
    /// Tells `observer` about the work.
    pub fn observer<O: Observer>(self, observer: O) -> Reader<S, P, O> {
        let Self { queue, parts } = self;
        let parts = Arc::into_inner(parts)
            .expect("a reader that does not run is the only owner of its parts");
        let Parts {
            source,
            processor,
            config,
            budget,
            settled,
            observer: (),
        } = parts;
        Reader {
            queue,
            parts: Arc::new(Parts {
                source,
                processor,
                observer,
                config,
                budget,
                settled,
            }),
        }
    }
}

impl<S: ObjectSource, P: Processor, O: Observer> Reader<S, P, O> {
    /// Reads until `shutdown` completes, then lets running work end, hands back what is left and returns.
    ///
    /// After `shutdown` no message is received. A poll that is under way runs out (at most
    /// [`Config::wait`]); what it brings is handed back at once. Work under way goes on: the caller bounds it by
    /// dropping this future.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future at any point loses nothing: what was not deleted comes back after its visibility
    /// timeout, and records that were accepted meanwhile come twice.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Summary {
        let Self { queue, parts } = self;
        let mut state = Loop {
            deletes: Vec::new(),
            work: JoinSet::new(),
            summary: Summary::default(),
            pause: Pause::new(parts.config.pause),
        };
        let (stop, stopping) = watch::channel(false);
        let mut shutdown = std::pin::pin!(shutdown);
        let mut poll: Option<Poll> = None;
        loop {
            let stopped = *stopping.borrow();
            let free = parts.config.concurrency.get()
                - state.work.len().min(parts.config.concurrency.get());
            let paused = state.pause.until(now());
            if poll.is_none() && !stopped && free > 0 && paused.is_none() {
                poll = Some(receive(&queue, free, &parts.config));
            }
            if stopped && poll.is_none() && state.work.is_empty() {
                state.delete(&queue, &parts.observer).await;
                return state.summary;
            }
            tokio::select! {
                () = &mut shutdown, if !stopped => {
                    // Nobody listens any more only if no work runs: nothing to tell then.
                    let _ = stop.send(true);
                }
                answer = ready(&mut poll), if poll.is_some() => {
                    poll = None;
                    state.received(answer, &queue, &parts, &stopping).await;
                }
                Some(done) = state.work.join_next() => {
                    state.finished(done, &queue, &parts.observer).await;
                }
                () = sleep_until(paused.unwrap_or_else(now).into()), if paused.is_some() && !stopped => {}
            }
        }
    }
}

type Poll = Pin<Box<dyn Future<Output = (Instant, Result<Vec<Received>, Error>)> + Send>>;

fn receive(queue: &Queue, free: usize, config: &Config) -> Poll {
    let queue = queue.clone();
    let (wait, visibility) = (config.wait, config.visibility);
    Box::pin(async move {
        let sent = now();
        (sent, queue.receive(free.min(10), wait, visibility).await)
    })
}

async fn ready(poll: &mut Option<Poll>) -> (Instant, Result<Vec<Received>, Error>) {
    match poll {
        Some(poll) => poll.await,
        None => std::future::pending().await,
    }
}

struct Loop {
    /// Handles of settled messages, deleted together.
    deletes: Vec<String>,
    work: JoinSet<(Outcome, String)>,
    summary: Summary,
    pause: Pause,
}

impl Loop {
    async fn received<S: ObjectSource, P: Processor, O: Observer>(
        &mut self,
        (sent, answer): (Instant, Result<Vec<Received>, Error>),
        queue: &Queue,
        parts: &Arc<Parts<S, P, O>>,
        stopping: &watch::Receiver<bool>,
    ) {
        let messages = match answer {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(queue = queue.name(), %error, "receive failed");
                parts.observer.failed(&error.kind(), &error.to_string());
                self.pause.failed(now());
                return;
            }
        };
        self.pause.succeeded();
        if messages.is_empty() {
            return;
        }
        self.summary.received += messages.len() as u64;
        parts.observer.received(messages.len());
        for message in messages {
            if *stopping.borrow() {
                self.give_back(
                    &ErrorKind::Stopping,
                    &message.handle,
                    queue,
                    &parts.observer,
                )
                .await;
                continue;
            }
            let work = Work {
                parts: Arc::clone(parts),
                queue: queue.clone(),
            };
            self.work.spawn(async move {
                let handle = message.handle.clone();
                (work.run(message, sent).await, handle)
            });
        }
    }

    async fn finished<O: Observer>(
        &mut self,
        done: Result<(Outcome, String), tokio::task::JoinError>,
        queue: &Queue,
        observer: &O,
    ) {
        match done {
            Ok((Outcome::Settled, handle)) => {
                self.deletes.push(handle);
                // Others that end in the same instant share the call.
                while self.deletes.len() < 10 {
                    match self.work.try_join_next() {
                        Some(Ok((Outcome::Settled, handle))) => self.deletes.push(handle),
                        Some(Ok((Outcome::Left(kind), handle))) => {
                            self.left(kind, &handle, queue, observer).await
                        }
                        Some(Err(error)) => propagate(error),
                        None => break,
                    }
                }
                self.delete(queue, observer).await;
            }
            Ok((Outcome::Left(kind), handle)) => self.left(kind, &handle, queue, observer).await,
            Err(error) => propagate(error),
        }
    }

    async fn left<O: Observer>(
        &mut self,
        kind: ErrorKind,
        handle: &str,
        queue: &Queue,
        observer: &O,
    ) {
        if kind.is_environment() {
            self.pause.failed(now());
        }
        self.give_back(&kind, handle, queue, observer).await;
    }

    /// Deletes what is settled. An entry that fails is kept for the next call; if it never succeeds, the message
    /// comes back and is recognised as settled.
    async fn delete<O: Observer>(&mut self, queue: &Queue, observer: &O) {
        for attempt in 0..DELETE_ATTEMPTS {
            if self.deletes.is_empty() {
                return;
            }
            let batch: Vec<String> = self.deletes.drain(..self.deletes.len().min(10)).collect();
            match queue.delete(&batch).await {
                Ok(failed) => {
                    let deleted = batch.len() - failed.len();
                    self.summary.deleted += deleted as u64;
                    observer.deleted(deleted);
                    self.deletes.extend(
                        failed
                            .into_iter()
                            .filter_map(|index| batch.get(index).cloned()),
                    );
                }
                Err(error) => {
                    observer.failed(&error.kind(), &error.to_string());
                    if error.kind() == ErrorKind::Denied {
                        tracing::error!(queue = queue.name(), %error, "settled notices cannot be deleted");
                        self.pause.failed(now());
                        return;
                    }
                    self.deletes.extend(batch);
                }
            }
            if !self.deletes.is_empty() {
                tokio::time::sleep(DELETE_PAUSE * (1 << attempt)).await;
            }
        }
        self.deletes.clear();
    }

    async fn give_back<O: Observer>(
        &mut self,
        kind: &ErrorKind,
        handle: &str,
        queue: &Queue,
        observer: &O,
    ) {
        self.summary.returned += 1;
        observer.returned(kind);
        // Without the right, or if the call fails, the message comes back by itself a little later.
        let hidden = if *kind == ErrorKind::Stopping {
            Duration::ZERO
        } else {
            RETURN_DELAY
        };
        if let Err(error) = queue.hide(handle, hidden).await {
            tracing::debug!(queue = queue.name(), %error, "message not handed back at once");
        }
    }
}

/// A panic in a message's work is a defect: it must not look like a message that failed.
fn propagate(error: tokio::task::JoinError) {
    if error.is_panic() {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Back-off of the receive call, so that a failing environment is not flooded and no receive count is burnt.
struct Pause {
    longest: Duration,
    current: Duration,
    until: Option<Instant>,
}

impl Pause {
    fn new(longest: Duration) -> Self {
        Self {
            longest,
            current: Duration::ZERO,
            until: None,
        }
    }

    fn failed(&mut self, now: Instant) {
        let first = (self.longest / 64).max(Duration::from_millis(200));
        self.current = if self.current.is_zero() {
            first
        } else {
            (self.current * 2).min(self.longest)
        };
        self.until = Some(now + self.current);
    }

    fn succeeded(&mut self) {
        self.current = Duration::ZERO;
        self.until = None;
    }

    fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }
}

const DELETE_ATTEMPTS: u32 = 6;
const DELETE_PAUSE: Duration = Duration::from_millis(200);

/// A message that could not be finished is not offered again at once.
const RETURN_DELAY: Duration = Duration::from_secs(10);
