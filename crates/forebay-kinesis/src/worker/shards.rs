use std::collections::HashMap;
use std::sync::Arc;

use forebay_kpl::HashRange;
use forebay_lease::ShardId;
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
    events: (mpsc::UnboundedSender<ShardEvent>, mpsc::UnboundedReceiver<ShardEvent>),
}

struct Running {
    id: ShardId,
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

    /// Starts to read a shard under a lease token.
    pub(crate) fn start(&mut self, id: ShardId, token: LeaseToken, start: Start, range: Option<HashRange>) {
        let (control, controlled) = watch::channel(Control::Run);
        let shard = Shard {
            id: id.clone(),
            token,
            start,
            settings: Settings {
                max_records: self.config.max_records.get(),
                calls_per_second: self.config.reads_per_second.get(),
                idle: self.config.idle,
                deaggregate: self.config.deaggregate,
                range,
                seed: self.seeds.next(),
            },
            batches_ahead: self.config.batches_ahead.get(),
            parts: self.parts.clone(),
            control: controlled,
            events: self.events.0.clone(),
        };
        self.running.insert(token, Running { id, control });
        self.tasks.spawn(shard.run());
    }

    /// Tells a shard what is wanted of it; a weaker wish than the last one is ignored.
    pub(crate) fn control(&mut self, token: LeaseToken, wish: Control) {
        let Some(running) = self.running.get(&token) else { return };
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
        if wish == Control::Drop {
            self.running.remove(&token);
        }
    }

    pub(crate) fn forget(&mut self, token: LeaseToken) {
        self.running.remove(&token);
    }

    pub(crate) fn id(&self, token: LeaseToken) -> Option<&ShardId> {
        self.running.get(&token).map(|running| &running.id)
    }

    pub(crate) fn tokens(&self) -> Vec<LeaseToken> {
        self.running.keys().copied().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
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
            retention: Arc::clone(&self.retention),
        }
    }
}
