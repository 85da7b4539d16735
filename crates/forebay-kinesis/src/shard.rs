use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forebay_lease::{Checkpoint, SequenceNumber, ShardId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::acknowledge::Ledger;
use crate::batch::{Batch, Content, LeaseToken, Record};
use crate::budget::Budget;
use crate::processor::{Outcome, Processor, Stopping};
use crate::progress::Progress;
use crate::report::Reporter;
use crate::stream::{KinesisStream, Position};

mod fetch;
mod lineage;
mod number;
mod records;
mod source;

pub(crate) use fetch::{End, Settings};
use fetch::{Fetched, Fetcher};
pub(crate) use source::Answer;

/// One time of holding one shard: reads it, hands it over, reports what is accepted.
pub(crate) struct Shard<P> {
    pub(crate) id: ShardId,
    pub(crate) token: LeaseToken,
    pub(crate) start: Start,
    pub(crate) settings: Settings,
    pub(crate) batches_ahead: usize,
    pub(crate) parts: Parts<P>,
    pub(crate) control: watch::Receiver<Control>,
    pub(crate) events: mpsc::UnboundedSender<ShardEvent>,
}

/// What all shards of a worker share.
pub(crate) struct Parts<P> {
    pub(crate) stream: KinesisStream,
    pub(crate) processor: Arc<P>,
    pub(crate) budget: Budget,
    pub(crate) progress: Progress,
    pub(crate) reporter: Arc<Reporter>,
    /// User records handed over since the start.
    pub(crate) handed_over: Arc<AtomicU64>,
    /// How long the stream keeps records, if that is known.
    pub(crate) retention: Option<Duration>,
    /// The ARN of the consumer that records are pushed to; `None` to ask for them.
    pub(crate) consumer: Option<Arc<str>>,
}

/// Where the reading starts.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// Nothing was processed yet.
    Fresh(Position),
    /// Everything up to this position was processed.
    Resume(SequenceNumber, u64),
}

/// What the worker wants of a shard. It only ever gets stricter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Control {
    /// Read on.
    Run,
    /// Read nothing more and report what is accepted until then.
    Drain(Instant),
    /// Forget everything.
    Drop,
}

/// What a shard tells the worker.
#[derive(Debug)]
pub(crate) enum ShardEvent {
    /// Everything up to here is accepted.
    Acknowledged {
        token: LeaseToken,
        checkpoint: Checkpoint,
    },
    /// Nothing more comes. With an end if the shard was read to it and everything of it is accepted.
    Done {
        token: LeaseToken,
        end: Option<End>,
        unaccepted: usize,
    },
}

/// How one reading of the shard ended.
enum Ending {
    /// Nothing more is read; the end as in [`ShardEvent::Done`].
    Finished(Option<End>),
    /// A batch was dropped unaccepted: read again from the last accepted position.
    Abandoned,
}

/// Why a shard task ends.
enum Exit {
    Dropped,
    OutOfTime,
    Read(Option<End>),
}

impl<P: Processor> Shard<P> {
    /// Runs until the shard ends, or the worker wants it no more.
    pub(crate) async fn run(mut self) {
        let mut dropped = self.control.clone();
        let mut deadline = self.control.clone();
        let mut unaccepted = 0;
        let exit = tokio::select! {
            biased;
            _ = dropped.wait_for(|control| *control == Control::Drop) => Exit::Dropped,
            () = over(&mut deadline) => Exit::OutOfTime,
            end = self.read(&mut unaccepted) => Exit::Read(end),
        };
        let is_read = matches!(exit, Exit::Read(_));
        let _ = self.events.send(ShardEvent::Done {
            token: self.token,
            end: match exit {
                Exit::Read(end) => end,
                Exit::Dropped | Exit::OutOfTime => None,
            },
            unaccepted,
        });
        if !is_read {
            self.parts
                .processor
                .shard_stopping(&self.id, Stopping::Lost)
                .await;
        }
    }

    async fn read(&mut self, unaccepted: &mut usize) -> Option<End> {
        self.parts.processor.shard_started(&self.id).await;
        let mut pause = FIRST_PAUSE;
        loop {
            let from = match self.start {
                Start::Fresh(_) => Checkpoint::AtTimestamp,
                Start::Resume(number, sub_sequence) => Checkpoint::Sequence {
                    number,
                    sub_sequence,
                },
            };
            let ledger = Ledger::new(from, self.parts.progress.clone());
            let reading = Reading {
                ledger: Arc::clone(&ledger),
                token: self.token,
                events: self.events.clone(),
                unaccepted,
            };
            match self.session(&ledger).await {
                Ending::Finished(end) => return end,
                Ending::Abandoned => {
                    let records = ledger.abandoned_records();
                    tracing::warn!(
                        shard = %self.id, records,
                        "a batch was dropped unaccepted; the shard is read again from the last accepted record"
                    );
                    self.parts
                        .reporter
                        .observer()
                        .batch_abandoned(&self.id, records);
                }
            }
            drop(reading);
            tokio::select! {
                () = stopping(&mut self.control) => return None,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads from the last accepted position on.
    async fn session(&mut self, ledger: &Arc<Ledger>) -> Ending {
        let mut fetcher = Fetcher::new(
            self.parts.stream.clone(),
            self.id.clone(),
            self.settings.clone(),
            (
                self.parts.budget.clone(),
                Arc::clone(&self.parts.reporter),
                self.parts.retention,
            ),
        );
        match &self.start {
            Start::Fresh(position) => fetcher.start_at(position.clone()),
            Start::Resume(number, sub_sequence) => fetcher.resume_at(*number, *sub_sequence),
        }
        let (sender, receiver) = mpsc::channel(self.batches_ahead);
        let shard = &*self;
        let fetching = shard.fetch(fetcher, sender);
        let handing = shard.hand_over(receiver, ledger);
        let (finished, is_finished) = watch::channel(None);
        let working = async {
            let ((), end) = tokio::join!(fetching, handing);
            let reason = if end.is_some() {
                Stopping::Ended
            } else {
                Stopping::Released
            };
            shard
                .parts
                .processor
                .shard_stopping(&shard.id, reason)
                .await;
            finished.send_replace(Some(end));
            std::future::pending().await
        };
        let mut accepted = None;
        let ending = tokio::select! {
            ending = working => ending,
            ending = shard.forward(ledger, is_finished, &mut accepted) => ending,
        };
        if let Some((number, sub_sequence)) = accepted {
            self.start = Start::Resume(number, sub_sequence);
        }
        ending
    }

    /// Reads ahead into the queue. A place in it and room in the budget come before each read.
    async fn fetch(&self, mut fetcher: Fetcher, queue: mpsc::Sender<Fetched>) {
        let mut control = self.control.clone();
        let all = async {
            while let Ok(place) = fetcher.unhurried(queue.reserve()).await {
                let fetched = fetcher.next().await;
                let ended = matches!(fetched, Fetched::Ended(_));
                place.send(fetched);
                if ended {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = stopping(&mut control) => {}
            () = all => {}
        }
    }

    /// Hands batches over one after another. Returns the end of the shard if it came to that.
    async fn hand_over(
        &self,
        mut queue: mpsc::Receiver<Fetched>,
        ledger: &Arc<Ledger>,
    ) -> Option<End> {
        let control = self.control.clone();
        while let Some(fetched) = queue.recv().await {
            if *control.borrow() != Control::Run {
                return None;
            }
            match fetched {
                Fetched::Ended(end) => return Some(end),
                Fetched::Records {
                    records,
                    passed,
                    millis_behind_latest,
                    grant,
                } => {
                    if !records.is_empty() {
                        let acknowledgement =
                            ledger.deliver(records.iter().map(position_of), grant);
                        self.parts
                            .handed_over
                            .fetch_add(records.len() as u64, Ordering::Relaxed);
                        let content = Content {
                            stream: self.parts.stream.name().shared(),
                            shard: self.id.clone(),
                            token: self.token,
                            records,
                            millis_behind_latest,
                        };
                        if self
                            .process(Batch::new(content, acknowledgement))
                            .await
                            .is_break()
                        {
                            return None;
                        }
                    }
                    if let Some(number) = passed {
                        ledger.pass(Checkpoint::Sequence {
                            number,
                            sub_sequence: 0,
                        });
                    }
                }
            }
        }
        None
    }

    async fn process(&self, batch: Batch) -> ControlFlow<()> {
        let mut control = self.control.clone();
        loop {
            match self.parts.processor.process(batch.clone()).await {
                Outcome::Pending => return ControlFlow::Continue(()),
                Outcome::Accepted => {
                    batch.accept_all();
                    return ControlFlow::Continue(());
                }
                Outcome::Retry { after } => tokio::select! {
                    biased;
                    () = stopping(&mut control) => return ControlFlow::Break(()),
                    () = tokio::time::sleep(after) => {}
                },
            }
        }
    }

    /// Tells the worker what is accepted, until everything is.
    async fn forward(
        &self,
        ledger: &Ledger,
        mut finished: watch::Receiver<Option<Option<End>>>,
        last: &mut Option<(SequenceNumber, u64)>,
    ) -> Ending {
        let mut changes = ledger.changes();
        loop {
            if let Some(checkpoint) = ledger.take_watermark() {
                if let Checkpoint::Sequence {
                    number,
                    sub_sequence,
                } = &checkpoint
                {
                    *last = Some((*number, *sub_sequence));
                }
                let token = self.token;
                let _ = self
                    .events
                    .send(ShardEvent::Acknowledged { token, checkpoint });
            }
            let finished_reading = finished.borrow_and_update().clone();
            let (open, abandoned) = (ledger.open(), ledger.abandoned_records());
            if abandoned > 0 && *self.control.borrow() == Control::Run {
                return Ending::Abandoned;
            }
            if let Some(end) = finished_reading
                && open <= abandoned
            {
                return Ending::Finished(end.filter(|_| open == 0));
            }
            tokio::select! {
                _ = changes.changed() => {}
                Ok(()) = finished.changed() => {}
            }
        }
    }
}

/// Retires its ledger when the reading ends, however it ends, and tells the last position accepted.
struct Reading<'a> {
    ledger: Arc<Ledger>,
    token: LeaseToken,
    events: mpsc::UnboundedSender<ShardEvent>,
    unaccepted: &'a mut usize,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        *self.unaccepted = self.ledger.retire();
        if let Some(checkpoint) = self.ledger.take_watermark() {
            let token = self.token;
            let _ = self
                .events
                .send(ShardEvent::Acknowledged { token, checkpoint });
        }
    }
}

fn position_of(record: &Record) -> Checkpoint {
    Checkpoint::Sequence {
        number: record.sequence_number,
        sub_sequence: record.sub_sequence,
    }
}

async fn stopping(control: &mut watch::Receiver<Control>) {
    // An error means that the worker itself is gone, which is as good as a stop.
    let _ = control.wait_for(|control| *control != Control::Run).await;
}

/// Waits for the end of the grace period.
async fn over(control: &mut watch::Receiver<Control>) {
    loop {
        let current = *control.borrow_and_update();
        match current {
            Control::Run => {
                if control.changed().await.is_err() {
                    return;
                }
            }
            Control::Drain(deadline) => return tokio::time::sleep_until(deadline).await,
            Control::Drop => std::future::pending().await,
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
