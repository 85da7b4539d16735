use std::collections::HashMap;
use std::sync::Arc;

use forebay_kpl::{HashKey, HashRange};
use forebay_lease::{Grant, LeaseKey};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::backoff::Random;
use crate::batch::LeaseToken;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::processor::Processor;
use crate::shard::{Control, Parts, Settings, Shard, ShardEvent, Start};

/// The tasks that read shards. They end with this value.
pub(crate) struct Shards<P> {
    parts: Parts<P>,
    config: Config,
    seeds: Random,
    tasks: JoinSet<()>,
    running: HashMap<LeaseToken, Running>,
    events: (
        mpsc::UnboundedSender<ShardEvent>,
        mpsc::UnboundedReceiver<ShardEvent>,
    ),
}

struct Running {
    key: LeaseKey,
    control: watch::Sender<Control>,
}

impl<P: Processor> Shards<P> {
    pub(crate) fn new(parts: Parts<P>, config: Config, seed: u64) -> Self {
        Self {
            parts,
            config,
            seeds: Random::new(seed),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            events: mpsc::unbounded_channel(),
        }
    }

    /// Starts to read what was granted.
    pub(crate) fn start(&mut self, grant: &Grant, start: Start) {
        let token = LeaseToken(grant.token);
        let range = grant.hash_range.and_then(|range| {
            HashRange::new(HashKey::new(range.start()), HashKey::new(range.end()))
        });
        let (control, controlled) = watch::channel(Control::Run);
        let shard = Shard {
            id: grant.shard.clone(),
            token,
            start,
            settings: Settings {
                max_records: self.config.max_records.get(),
                calls_per_second: self.config.reads_per_second.get(),
                idle: self.config.idle,
                consumer: self.parts.consumer.clone(),
                deaggregate: self.config.deaggregate,
                range,
                seed: self.seeds.next(),
            },
            batches_ahead: self.config.batches_ahead.get(),
            parts: self.parts.clone(),
            control: controlled,
            events: self.events.0.clone(),
        };
        let key = grant.key.clone();
        self.running.insert(token, Running { key, control });
        self.tasks.spawn(shard.run());
    }

    /// Tells a shard what is wanted of it; a weaker wish than the last one is ignored.
    pub(crate) fn control(&mut self, token: LeaseToken, wish: Control) {
        let Some(running) = self.running.get(&token) else {
            return;
        };
        running.control.send_if_modified(|current| {
            let stricter = match (*current, wish) {
                (Control::Run, wish) => wish != Control::Run,
                (Control::Drain(old), Control::Drain(new)) => new < old,
                (Control::Drain(_), wish) => wish == Control::Drop,
                (Control::Drop, _) => false,
            };
            if stricter {
                *current = wish;
            }
            stricter
        });
    }

    /// Whether a task for this token has not told its end yet.
    pub(crate) fn is_running(&self, token: LeaseToken) -> bool {
        self.running.contains_key(&token)
    }

    pub(crate) fn key(&self, token: LeaseToken) -> Option<&LeaseKey> {
        self.running.get(&token).map(|running| &running.key)
    }

    /// Forgets a task that told its end.
    pub(crate) fn ended(&mut self, token: LeaseToken) -> Option<LeaseKey> {
        self.running.remove(&token).map(|running| running.key)
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Waits for the next thing a shard tells.
    ///
    /// # Errors
    /// [`ErrorKind::Panicked`] if one of the tasks did.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<ShardEvent, Error> {
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.1.recv() => return Ok(event),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        return Err(Error::new(ErrorKind::Panicked, "processor", "a shard task panicked").with_source(error));
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}

impl<P> Clone for Parts<P> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            processor: Arc::clone(&self.processor),
            budget: self.budget.clone(),
            progress: self.progress.clone(),
            reporter: Arc::clone(&self.reporter),
            handed_over: Arc::clone(&self.handed_over),
            retention: self.retention,
            consumer: self.consumer.clone(),
        }
    }
}
