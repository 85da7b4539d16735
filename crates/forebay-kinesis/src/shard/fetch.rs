use std::sync::Arc;
use std::time::{Duration, SystemTime};

use forebay_kpl::HashRange;
use forebay_lease::{Checkpoint, ChildShard, SequenceNumber, ShardFilter, ShardId};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::batch::Record;
use crate::budget::{Budget, Grant};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::observer::{Dropped, Gap};
use crate::pace::{Portion, RESUBSCRIBE_GAP};
use crate::report::Reporter;
use crate::shard::lineage::{Lineage, children_of_answer};
use crate::shard::number::issued_at;
use crate::shard::records::{Content, Filter, Reader};
use crate::shard::source::{Answer, Source};
use crate::stream::{KinesisStream, Position};

/// Reads one shard from a position to its end, within the limits of the service and of the byte budget.
///
/// Every failure is waited out here; nothing but the end of the shard ends the reading.
pub(crate) struct Fetcher {
    stream: KinesisStream,
    shard: ShardId,
    settings: Settings,
    budget: Budget,
    reporter: Arc<Reporter>,
    /// How long the stream keeps records, if that is known.
    retention: Option<Duration>,
    /// The share of the retention, in percent, that the log has heard of.
    warned: u8,
    position: Position,
    source: Source,
    /// Everything up to here was processed in an earlier life, or is handed over.
    done: Option<(SequenceNumber, u64)>,
    /// The stored number has not been seen yet, so records may be missing between it and the first answer.
    unverified: Option<SequenceNumber>,
    reader: Reader,
    backoff: Backoff,
    behind: bool,
    last_read: Option<Instant>,
    expired: Vec<Instant>,
    ended: Option<End>,
}

/// What a fetcher needs to know about its shard and the reader's share of it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_records: u16,
    pub(crate) calls_per_second: u32,
    pub(crate) idle: Duration,
    /// The ARN of the consumer that records are pushed to; `None` to ask for them.
    pub(crate) consumer: Option<Arc<str>>,
    pub(crate) deaggregate: bool,
    pub(crate) range: Option<HashRange>,
    pub(crate) seed: u64,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum Fetched {
    Records {
        records: Vec<Record>,
        /// A position behind the records that needs no processor.
        passed: Option<SequenceNumber>,
        millis_behind_latest: Option<u64>,
        grant: Grant,
    },
    /// Nothing more will ever come.
    Ended(End),
}

/// Why nothing more comes.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The last record was read. These shards continue it, unless the stream has forgotten them as well.
    Read(Vec<ChildShard>),
    /// The stream has forgotten the shard, and what was not read of it.
    Gone,
}

impl Fetcher {
    pub(crate) fn new(
        stream: KinesisStream,
        shard: ShardId,
        settings: Settings,
        shared: (Budget, Arc<Reporter>, Option<Duration>),
    ) -> Self {
        let (budget, reporter, retention) = shared;
        let source = match &settings.consumer {
            Some(consumer) => Source::fan_out(Arc::clone(consumer)),
            None => Source::polling(
                Portion::new(settings.max_records, budget.total()),
                settings.calls_per_second,
                settings.idle,
            ),
        };
        Self {
            stream,
            shard,
            source,
            backoff: Backoff::new(settings.seed),
            settings,
            budget,
            reporter,
            retention,
            warned: 0,
            position: Position::TrimHorizon,
            done: None,
            unverified: None,
            reader: Reader::default(),
            behind: true,
            last_read: None,
            expired: Vec::new(),
            ended: None,
        }
    }

    /// Starts at a position without history.
    pub(crate) fn start_at(&mut self, position: Position) {
        self.position = position;
    }

    /// Starts at a stored position: inclusive, because some user records of an aggregate may be open.
    pub(crate) fn resume_at(&mut self, number: SequenceNumber, sub_sequence: u64) {
        self.position = Position::At(number);
        self.unverified = Some(number);
        self.done = Some((number, sub_sequence));
    }

    /// Waits for the next records or the end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing that was not returned: the position moves only together with a return, and
    /// reserved bytes go back. A request in flight still counts for the service.
    pub(crate) async fn next(&mut self) -> Fetched {
        loop {
            if let Some(end) = self.ended.take() {
                return Fetched::Ended(end);
            }
            if let Some(at) = self.source.ready_at() {
                tokio::time::sleep_until(at).await;
            }
            let grant = self.make_room().await;
            let started = Instant::now();
            match self
                .source
                .read(&self.stream, &self.shard, &self.position)
                .await
            {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    self.backoff.succeeded(Instant::now());
                    if answer.ended && !self.settle_end(&answer, started).await {
                        continue;
                    }
                    if let Some(fetched) = self.take(answer, grant, started) {
                        return fetched;
                    }
                }
                Err(error) => {
                    drop(grant);
                    self.failed(&error, started).await;
                }
            }
        }
    }

    /// Waits for something that has nothing to do with the stream, for as long as it takes.
    pub(crate) async fn unhurried<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut wait).await {
            return done;
        }
        self.source.let_go();
        wait.await
    }

    async fn make_room(&mut self) -> Grant {
        let since = self.last_read.map_or(Duration::MAX, |last| last.elapsed());
        let (bytes, is_kept) = self.source.reservation(self.behind, since);
        let budget = self.budget.clone();
        let mut grant = self.unhurried(budget.reserve(bytes)).await;
        if !is_kept {
            grant.resize(0);
        }
        grant
    }

    /// Finds the children of a shard that seems to have ended; false if the answer cannot be believed.
    async fn settle_end(&mut self, answer: &Answer, started: Instant) -> bool {
        if let Some(children) = children_of_answer(&answer.children) {
            self.ended = Some(End::Read(children));
            return true;
        }
        // No children, or half of them: ask the stream itself before ending a shard for good.
        match self.stream.shards(ShardFilter::All).await {
            Ok(shards) => match Lineage::of(&self.shard, &shards) {
                Lineage::Ended(children) => {
                    self.ended = Some(End::Read(children));
                    true
                }
                Lineage::Open => {
                    let error = Error::new(
                        ErrorKind::Unavailable,
                        self.shard.to_string(),
                        "the answer was the last one although the shard is open; the read is repeated",
                    );
                    self.wait_after(&error, started);
                    false
                }
            },
            Err(error) => {
                self.wait_after(&error, started);
                false
            }
        }
    }

    /// Turns an answer into something to hand over; `None` if nothing is left of it.
    fn take(&mut self, answer: Answer, mut grant: Grant, started: Instant) -> Option<Fetched> {
        let first = answer.records.first().map(|first| {
            let arrival = first
                .approximate_arrival_timestamp
                .and_then(|time| time.to_millis().ok());
            (
                first.sequence_number.parse::<SequenceNumber>().ok(),
                arrival,
            )
        });
        let filter = Filter {
            deaggregate: self.settings.deaggregate,
            range: self.settings.range,
            done: self.done.as_ref(),
        };
        let records = answer.records.len();
        let content = self.reader.read(answer.records, &filter);
        let behind = answer
            .millis_behind_latest
            .and_then(|millis| u64::try_from(millis).ok());
        self.behind = behind.is_none_or(|millis| millis > 0);
        self.last_read = Some(started);
        let answered = (records, content.answered);
        self.source.answered(started, answered, self.behind);
        grant.resize(content.bytes);
        if let Some((Some(number), arrival)) = first {
            self.check_gap(&number, arrival);
        }
        self.observe(&content, behind);
        if let Some(malformed) = &content.malformed {
            // What came before it is sound. The rest is asked for again; without a number it has no position.
            self.source.restart();
            self.ended = None;
            let error = Error::new(
                ErrorKind::Corrupt,
                self.shard.to_string(),
                format!(
                    "the sequence number `{malformed}` is not a decimal number; the read is repeated"
                ),
            );
            self.wait_after(&error, started);
        }
        let passed = content.passed;
        if let Some(last) = content.last {
            self.position = Position::After(last);
            // Whatever the service repeats is left out.
            self.done = Some((last, u64::MAX));
        }
        if let (Some(continuation), None) = (answer.continuation, &content.malformed)
            && content.last.is_none_or(|last| continuation >= last)
        {
            self.position = Position::After(continuation);
        }
        if content.records.is_empty() && passed.is_none() {
            return None;
        }
        Some(Fetched::Records {
            records: content.records,
            passed,
            millis_behind_latest: behind,
            grant,
        })
    }

    fn observe(&mut self, content: &Content, behind: Option<u64>) {
        let observer = self.reporter.observer();
        observer.records_read(&self.shard, content.records.len(), content.answered);
        observer.bytes_in_flight(self.budget.in_flight());
        if let Some(millis) = behind {
            let lag = Duration::from_millis(millis);
            observer.lag(&self.shard, lag);
            self.warned = warn_of_loss(&self.shard, lag, self.retention.as_ref(), self.warned);
        }
        if content.other_shard > 0 {
            observer.records_dropped(&self.shard, content.other_shard, Dropped::OtherShard);
        }
    }

    /// Compares the first record after a resume with the stored number. The read was inclusive, so the stored record
    /// itself comes first, unless the stream has dropped it and possibly more behind it.
    fn check_gap(&mut self, first: &SequenceNumber, arrival: Option<i64>) {
        let Some(stored) = self.unverified.take() else {
            return;
        };
        if *first <= stored {
            return;
        }
        let arrival = arrival
            .and_then(|millis| u64::try_from(millis).ok())
            .and_then(|millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
        let missing = arrival
            .zip(issued_at(&stored))
            .and_then(|(arrival, stored)| arrival.duration_since(stored).ok());
        tracing::error!(
            shard = %self.shard, %stored, found = %first, ?missing,
            "records were dropped by the stream before they were read"
        );
        self.reporter.observer().gap(&Gap {
            shard: self.shard.clone(),
            stored: Checkpoint::at(stored),
            found: Some(*first),
            missing,
        });
    }

    async fn failed(&mut self, error: &Error, started: Instant) {
        match error.kind() {
            ErrorKind::Expired => {
                self.source.restart();
                let now = Instant::now();
                self.expired
                    .retain(|at| now.duration_since(*at) < EXPIRY_WINDOW);
                self.expired.push(now);
                self.reporter.error(error);
                if self.expired.len() >= 3 {
                    tracing::warn!(shard = %self.shard, "iterators expire: reads are more than five minutes apart");
                    let delay = self.backoff.failed(now, ErrorKind::Expired);
                    self.source.failed(started, now, delay);
                } else {
                    self.source.failed(started, now, Duration::ZERO);
                }
            }
            ErrorKind::Gone => self.confirm_gone(error, started).await,
            _ => self.wait_after(error, started),
        }
    }

    /// A shard is believed to be gone when the stream is there and does not list it.
    async fn confirm_gone(&mut self, error: &Error, started: Instant) {
        self.source.restart();
        match self.stream.shards(ShardFilter::All).await {
            Ok(shards) if !shards.iter().any(|shard| shard.id == self.shard) => {
                tracing::warn!(shard = %self.shard, "the stream does not list the shard any more; it counts as ended");
                self.reporter.error(error);
                self.ended = Some(End::Gone);
            }
            Ok(_) => {
                // A passing fault of the service, or a right that was just taken away.
                let error = Error::new(
                    ErrorKind::Unavailable,
                    self.shard.to_string(),
                    "the service denied knowing a shard that it lists",
                );
                self.wait_after(&error, started);
            }
            Err(error) => self.wait_after(&error, started),
        }
    }

    fn wait_after(&mut self, error: &Error, started: Instant) {
        self.reporter.error(error);
        let now = Instant::now();
        let mut delay = self.backoff.failed(now, error.kind());
        if error.call() == Some(Call::SubscribeToShard) && error.kind() == ErrorKind::Busy {
            // The subscription of the last holder stands in the way for no longer than this.
            delay = delay.min(RESUBSCRIBE_GAP);
        }
        self.source.failed(started, now, delay);
    }
}

/// Says once at half of the retention, and once more at four fifths, that records will expire unread.
fn warn_of_loss(shard: &ShardId, lag: Duration, retention: Option<&Duration>, warned: u8) -> u8 {
    let Some(retention) = retention else {
        return warned;
    };
    if lag * 5 >= *retention * 4 {
        if warned < 80 {
            tracing::error!(%shard, ?lag, ?retention, "records are about to expire unread");
        }
        80
    } else if lag * 2 >= *retention {
        if warned < 50 {
            tracing::warn!(%shard, ?lag, ?retention, "the shard lags by half of the retention");
        }
        warned.max(50)
    } else {
        0
    }
}

const EXPIRY_WINDOW: Duration = Duration::from_secs(300);
/// How long a subscription is kept while its shard waits for the processor or for bytes.
const PATIENCE: Duration = Duration::from_secs(5);
