//! The loop: receive, work, delete.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
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
            settled: Vec::new(),
            work: JoinSet::new(),
            calls: JoinSet::new(),
            summary: Summary::default(),
            receiving: Pause::new(parts.config.pause),
            working: Pause::new(parts.config.pause),
        };
        let (stop, stopping) = watch::channel(false);
        let mut shutdown = std::pin::pin!(shutdown);
        let mut poll: Option<Poll> = None;
        loop {
            let stopped = *stopping.borrow();
            state.delete_settled(&queue, &parts);
            let free = parts
                .config
                .concurrency
                .get()
                .saturating_sub(state.work.len());
            let paused = state.paused_until(now());
            if poll.is_none() && !stopped && free > 0 && paused.is_none() {
                poll = Some(receive(&queue, free, &parts.config));
            }
            if stopped && poll.is_none() && state.work.is_empty() && state.calls.is_empty() {
                return state.summary;
            }
            tokio::select! {
                () = &mut shutdown, if !stopped => {
                    // Nobody listens any more only if no work runs: nothing to tell then.
                    let _ = stop.send(true);
                }
                answer = ready(&mut poll), if poll.is_some() => {
                    poll = None;
                    state.received(answer, &queue, &parts, &stopping);
                }
                Some(done) = state.work.join_next() => state.finished(done, &queue, &parts),
                Some(done) = state.calls.join_next() => state.called(done),
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

/// What the loop knows. Nothing here waits: calls to the queue run beside the work, so that neither polling nor the
/// stop signal waits for them.
struct Loop {
    /// Handles of settled messages, deleted together.
    settled: Vec<String>,
    work: JoinSet<(Outcome, String)>,
    /// Deletes and hand-backs under way.
    calls: JoinSet<Called>,
    summary: Summary,
    /// Back-off after failed receives.
    receiving: Pause,
    /// Back-off after messages that could not be worked on for want of a right or a service.
    working: Pause,
}

/// What a call beside the work did.
#[derive(Clone, Copy, Debug)]
enum Called {
    /// This many messages were deleted; with `denied` the right is missing.
    Deleted { count: u64, denied: bool },
    /// A message was handed back, or will come back by itself.
    Returned,
}

impl Loop {
    fn received<S: ObjectSource, P: Processor, O: Observer>(
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
                self.receiving.failed(now());
                return;
            }
        };
        self.receiving.succeeded();
        if messages.is_empty() {
            return;
        }
        self.summary.received += messages.len() as u64;
        parts.observer.received(messages.len());
        for message in messages {
            if *stopping.borrow() {
                self.give_back(ErrorKind::Stopping, message.handle, queue, &parts.observer);
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

    fn finished<S: ObjectSource, P: Processor, O: Observer>(
        &mut self,
        done: Result<(Outcome, String), JoinError>,
        queue: &Queue,
        parts: &Parts<S, P, O>,
    ) {
        let mut next = Some(done);
        // Others that ended in the same instant share the delete call.
        while let Some(done) = next {
            match done {
                Ok((Outcome::Settled, handle)) => {
                    self.working.succeeded();
                    self.settled.push(handle);
                }
                Ok((Outcome::Left(kind), handle)) => {
                    if kind.is_environment() {
                        self.working.failed(now());
                    }
                    self.give_back(kind, handle, queue, &parts.observer);
                }
                Err(error) => propagate(error),
            }
            next = self.work.try_join_next();
        }
    }

    fn delete_settled<S: ObjectSource, P: Processor, O: Observer>(
        &mut self,
        queue: &Queue,
        parts: &Arc<Parts<S, P, O>>,
    ) {
        for batch in self.settled.chunks(10) {
            self.calls
                .spawn(delete(queue.clone(), Arc::clone(parts), batch.to_vec()));
        }
        self.settled.clear();
    }

    fn give_back<O: Observer>(
        &mut self,
        kind: ErrorKind,
        handle: String,
        queue: &Queue,
        observer: &O,
    ) {
        self.summary.returned += 1;
        observer.returned(&kind);
        // A message that cannot be worked on is not offered again before receiving goes on: each receive counts
        // towards the queue's own redrive.
        let hidden = match kind {
            ErrorKind::Stopping => Duration::ZERO,
            _ => RETURN_DELAY.max(self.working.current),
        };
        let queue = queue.clone();
        self.calls.spawn(async move {
            // Without the right, or if the call fails, the message comes back by itself a little later.
            if let Err(error) = queue.hide(&handle, hidden).await {
                tracing::debug!(queue = queue.name(), %error, "message not handed back at once");
            }
            Called::Returned
        });
    }

    fn called(&mut self, done: Result<Called, JoinError>) {
        match done {
            Ok(Called::Deleted { count, denied }) => {
                self.summary.deleted += count;
                if denied {
                    self.working.failed(now());
                }
            }
            Ok(Called::Returned) => {}
            Err(error) => propagate(error),
        }
    }

    fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.receiving.until(now).max(self.working.until(now))
    }
}

/// Deletes settled messages. What cannot be deleted comes back, and is recognised as settled.
async fn delete<S: ObjectSource, P: Processor, O: Observer>(
    queue: Queue,
    parts: Arc<Parts<S, P, O>>,
    mut handles: Vec<String>,
) -> Called {
    let mut count = 0;
    for attempt in 0..DELETE_ATTEMPTS {
        match queue.delete(&handles).await {
            Ok(undeleted) => {
                let deleted = handles.len() - undeleted.again.len() - undeleted.gone;
                parts.observer.deleted(deleted);
                count += deleted as u64;
                handles = undeleted
                    .again
                    .into_iter()
                    .filter_map(|index| handles.get(index).cloned())
                    .collect();
            }
            Err(error) => {
                parts.observer.failed(&error.kind(), &error.to_string());
                if error.kind() == ErrorKind::Denied {
                    tracing::error!(queue = queue.name(), %error, "settled notices cannot be deleted and come again");
                    return Called::Deleted {
                        count,
                        denied: true,
                    };
                }
            }
        }
        if handles.is_empty() {
            break;
        }
        tokio::time::sleep(DELETE_PAUSE * (1 << attempt)).await;
    }
    Called::Deleted {
        count,
        denied: false,
    }
}

/// A panic in a message's work is a defect: it must not look like a message that failed.
fn propagate(error: JoinError) {
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
        if self.until(now).is_some() {
            // Several messages that fail of one cause are one failure.
            return;
        }
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
