//! The loop: receive, work, delete.

use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::{JoinError, JoinSet},
    time::sleep_until,
};

use crate::{
    config::Config,
    error::{ConfigError, Error, ErrorKind},
    message::{Outcome, Work, now},
    observer::Observer,
    parts::Parts,
    pause::Pause,
    processor::Processor,
    queue::{Queue, Received},
    source::ObjectSource,
};

/// Reads the objects that a queue's notices announce, and deletes each notice when all of it is settled.
///
/// See the crate documentation for the contract.
#[derive(Debug)]
pub struct Reader<S, P> {
    queue: Queue,
    parts: Parts<S, P>,
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
        let parts = Parts::new(source, processor, config)?;
        Ok(Self { queue, parts })
    }

    /// Tells `observer` about the work.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.parts.observer = observer;
        self
    }

    /// Reads until `shutdown` completes, then lets running work end, hands back what is left and returns.
    ///
    /// After `shutdown` no message is received. A poll that is under way runs out (at most
    /// [`Config::wait`]); what it brings is handed back at once. Work under way goes on for [`Config::stop_grace`]; what is not
    /// finished then is given up, and its messages become visible at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future at any point loses nothing: what was not deleted comes back after its visibility
    /// timeout, and records that were accepted meanwhile come twice.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Summary {
        let Self { queue, parts } = self;
        let parts = Arc::new(parts);
        let mut state = Loop {
            settled: Vec::new(),
            work: JoinSet::new(),
            running: HashSet::new(),
            calls: JoinSet::new(),
            summary: Summary::default(),
            polled: now(),
            receiving: Pause::new(parts.config.pause),
        };
        let mut shutdown = std::pin::pin!(shutdown);
        let mut poll: Option<Poll> = None;
        let mut give_up: Option<Instant> = None;
        loop {
            let stopped = parts.is_stopping();
            state.delete_settled(&queue, &parts);
            let (free, paused) = state.room(&parts);
            if poll.is_none() && !stopped && free > 0 && paused.is_none() {
                state.polled = now();
                poll = Some(receive(&queue, free, &parts.config));
            }
            if stopped && poll.is_none() && state.work.is_empty() && state.calls.is_empty() {
                return state.summary;
            }
            tokio::select! {
                () = &mut shutdown, if !stopped => {
                    parts.stop();
                    give_up = Some(now() + parts.config.stop_grace);
                }
                answer = ready(&mut poll), if poll.is_some() => {
                    poll = None;
                    state.received(answer, &queue, &parts);
                }
                Some(done) = state.work.join_next() => state.finished(done, &queue, &parts),
                Some(done) = state.calls.join_next() => state.called(done),
                () = parts.places.freed(), if poll.is_none() && !stopped => {}
                () = sleep_until(paused.unwrap_or_else(now).into()), if paused.is_some() && !stopped => {}
                () = sleep_until(give_up.unwrap_or_else(now).into()), if give_up.is_some() => {
                    give_up = None;
                    state.give_up(&queue, &parts);
                }
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
    /// Handles of the messages that are being worked on.
    running: HashSet<String>,
    /// Deletes and hand-backs under way.
    calls: JoinSet<Called>,
    summary: Summary,
    /// When the last receive call left.
    polled: Instant,
    /// Back-off after failed receives and denied deletes.
    receiving: Pause,
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
    /// How many messages may be received now, and when to look again if none.
    fn room<S, P>(&self, parts: &Parts<S, P>) -> (usize, Option<Instant>) {
        let now = now();
        let free = parts.places.free(self.work.len(), now);
        let full = (parts.budget.available_permits() == 0).then(|| now + BUDGET_PAUSE);
        let paused = self.receiving.until(now).max(full);
        match parts.outage() {
            None => (free, paused),
            // As long as objects cannot be read, now and then one message tries whether that is true for all.
            Some(pause) => {
                let next = Some(self.polled + pause).filter(|&next| next > now);
                (free.min(1), paused.max(next))
            }
        }
    }

    fn received<S: ObjectSource, P: Processor>(
        &mut self,
        (sent, answer): (Instant, Result<Vec<Received>, Error>),
        queue: &Queue,
        parts: &Arc<Parts<S, P>>,
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
            if parts.is_stopping() {
                self.give_back(ErrorKind::Stopping, message.handle, queue, &*parts.observer);
                continue;
            }
            let work = Work {
                parts: Arc::clone(parts),
                queue: queue.clone(),
            };
            self.running.insert(message.handle.clone());
            self.work.spawn(async move {
                let handle = message.handle.clone();
                (work.run(message, sent).await, handle)
            });
        }
        parts.observer.in_flight(self.running.len());
    }

    fn finished<S: ObjectSource, P: Processor>(
        &mut self,
        done: Result<(Outcome, String), JoinError>,
        queue: &Queue,
        parts: &Parts<S, P>,
    ) {
        let mut next = Some(done);
        // Others that ended in the same instant share the delete call.
        while let Some(done) = next {
            match done {
                Ok((outcome, handle)) => {
                    self.running.remove(&handle);
                    match outcome {
                        Outcome::Settled => self.settled.push(handle),
                        Outcome::Left(kind) => {
                            self.give_back(kind, handle, queue, &*parts.observer);
                        }
                    }
                }
                Err(error) => propagate(error),
            }
            next = self.work.try_join_next();
        }
        parts.observer.in_flight(self.running.len());
    }

    /// The stop takes too long: what is still worked on is somebody else's.
    fn give_up<S: ObjectSource, P: Processor>(&mut self, queue: &Queue, parts: &Parts<S, P>) {
        if let Some(done) = self.work.try_join_next() {
            self.finished(done, queue, parts);
        }
        self.work.abort_all();
        for handle in std::mem::take(&mut self.running) {
            self.give_back(ErrorKind::Stopping, handle, queue, &*parts.observer);
        }
    }

    fn delete_settled<S: ObjectSource, P: Processor>(
        &mut self,
        queue: &Queue,
        parts: &Arc<Parts<S, P>>,
    ) {
        for batch in self.settled.chunks(10) {
            self.calls
                .spawn(delete(queue.clone(), Arc::clone(parts), batch.to_vec()));
        }
        self.settled.clear();
    }

    fn give_back(
        &mut self,
        kind: ErrorKind,
        handle: String,
        queue: &Queue,
        observer: &dyn Observer,
    ) {
        self.summary.returned += 1;
        observer.returned(&kind);
        // Each receive counts towards the queue's own redrive: what cannot be worked on is not offered again soon.
        let hidden = match kind {
            ErrorKind::Stopping => Duration::ZERO,
            ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::NoSuchResource => DENIED_DELAY,
            _ => RETURN_DELAY,
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
                    self.receiving.failed(now());
                }
            }
            Ok(Called::Returned) => {}
            Err(error) => propagate(error),
        }
    }
}

/// Deletes settled messages. What cannot be deleted comes back, and is recognised as settled.
async fn delete<S: ObjectSource, P: Processor>(
    queue: Queue,
    parts: Arc<Parts<S, P>>,
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

const DELETE_ATTEMPTS: u32 = 6;
const DELETE_PAUSE: Duration = Duration::from_millis(200);

/// A message that could not be finished is not offered again at once.
const RETURN_DELAY: Duration = Duration::from_secs(10);

/// An object that stayed denied or out of reach is tried again this much later.
const DENIED_DELAY: Duration = Duration::from_secs(15 * 60);

/// How soon a full budget is looked at again.
const BUDGET_PAUSE: Duration = Duration::from_millis(250);
