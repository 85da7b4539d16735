use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::ChildShard as RawChild;
use forebay_kpl::HashRange;
use forebay_lease::{ChildShard, SequenceNumber, Shard, ShardFilter, ShardId};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::batch::Record;
use crate::budget::{Budget, Grant};
use crate::error::{Error, ErrorKind};
use crate::observer::{Dropped, Gap};
use crate::pace::{Pacer, reservation};
use crate::report::Reporter;
use crate::shard::number::issued_at;
use crate::shard::records::{Content, Filter, Reader};
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
    /// How long the stream keeps records, once that is known.
    retention: Arc<OnceLock<Duration>>,
    /// The share of the retention, in percent, that the log has heard of.
    warned: u8,
    position: Position,
    iterator: Option<String>,
    /// Everything up to here was processed in an earlier life.
    done: Option<(SequenceNumber, u64)>,
    /// The stored number has not been seen yet, so records may be missing between it and the first answer.
    unverified: Option<SequenceNumber>,
    reader: Reader,
    pacer: Pacer,
    backoff: Backoff,
    behind: bool,
    last_read: Option<Instant>,
    expired: Vec<Instant>,
    ended: Option<Vec<ChildShard>>,
}

/// What a fetcher needs to know about its shard and the reader's share of it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_records: u16,
    pub(crate) calls_per_second: u32,
    pub(crate) idle: Duration,
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
    Ended(Vec<ChildShard>),
}

impl Fetcher {
    pub(crate) fn new(
        stream: KinesisStream,
        shard: ShardId,
        settings: Settings,
        shared: (Budget, Arc<Reporter>, Arc<OnceLock<Duration>>),
    ) -> Self {
        let (budget, reporter, retention) = shared;
        Self {
            stream,
            shard,
            pacer: Pacer::new(settings.calls_per_second, settings.idle),
            backoff: Backoff::new(settings.seed),
            settings,
            budget,
            reporter,
            retention,
            warned: 0,
            position: Position::TrimHorizon,
            iterator: None,
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
        self.iterator = None;
    }

    /// Starts at a stored position: inclusive, because some user records of an aggregate may be open.
    pub(crate) fn resume_at(&mut self, number: SequenceNumber, sub_sequence: u64) {
        self.position = Position::At(number);
        self.unverified = Some(number);
        self.done = Some((number, sub_sequence));
        self.iterator = None;
        self.behind = true;
    }

    /// Waits for the next records or the end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing that was not returned: the position moves only together with a return, and
    /// reserved bytes go back. A request in flight still counts for the service.
    pub(crate) async fn next(&mut self) -> Fetched {
        loop {
            if let Some(children) = self.ended.take() {
                return Fetched::Ended(children);
            }
            if let Some(at) = self.pacer.next() {
                tokio::time::sleep_until(at).await;
            }
            let since = self.last_read.map_or(Duration::MAX, |last| last.elapsed());
            let grant = self.budget.reserve(reservation(self.behind, since)).await;
            let started = Instant::now();
            match self.read().await {
                Ok(answer) => {
                    self.backoff.succeeded(Instant::now());
                    if answer.next_shard_iterator.is_none()
                        && !self.settle_end(&answer, started).await
                    {
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

    async fn read(&mut self) -> Result<GetRecordsOutput, Error> {
        let iterator = match &self.iterator {
            Some(iterator) => iterator.clone(),
            None => {
                let iterator = self.stream.iterator(&self.shard, &self.position).await?;
                self.iterator = Some(iterator.clone());
                iterator
            }
        };
        self.stream
            .records(&iterator, self.settings.max_records)
            .await
    }

    /// Finds the children of a shard that seems to have ended; false if the answer cannot be believed.
    async fn settle_end(&mut self, answer: &GetRecordsOutput, started: Instant) -> bool {
        let children: Option<Vec<ChildShard>> =
            answer.child_shards().iter().map(child_of_answer).collect();
        let parents_known =
            |children: &Vec<ChildShard>| children.iter().all(|child| !child.parents.is_empty());
        if let Some(children) =
            children.filter(|children| !children.is_empty() && parents_known(children))
        {
            self.ended = Some(children);
            return true;
        }
        // No children, or half of them: ask the stream itself before ending a shard for good.
        match self.stream.shards(ShardFilter::All).await {
            Ok(shards) => match lineage(&self.shard, &shards) {
                Lineage::Ended(children) => {
                    self.ended = Some(children);
                    true
                }
                Lineage::Open => {
                    let error = Error::new(
                        ErrorKind::Unavailable,
                        self.shard.to_string(),
                        "the answer had no next iterator although the shard is open; the read is repeated",
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
    fn take(
        &mut self,
        answer: GetRecordsOutput,
        mut grant: Grant,
        started: Instant,
    ) -> Option<Fetched> {
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
        let content = self.reader.read(answer.records, &filter);
        let behind = answer
            .millis_behind_latest
            .and_then(|millis| u64::try_from(millis).ok());
        self.behind = behind.is_none_or(|millis| millis > 0);
        self.last_read = Some(started);
        self.pacer.answered(started, content.bytes, self.behind);
        grant.resize(content.bytes);
        self.iterator = answer.next_shard_iterator;
        if let Some((Some(number), arrival)) = first {
            self.check_gap(&number, arrival);
        }
        self.observe(&content, behind);
        if let Some(malformed) = &content.malformed {
            // What came before it is sound. The rest is asked for again; without a number it has no position.
            self.iterator = None;
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
        observer.records_read(&self.shard, content.records.len(), content.bytes);
        observer.bytes_in_flight(self.budget.in_flight());
        if let Some(millis) = behind {
            let lag = Duration::from_millis(millis);
            observer.lag(&self.shard, lag);
            self.warned = warn_of_loss(&self.shard, lag, self.retention.get(), self.warned);
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
            stored,
            found: *first,
            missing,
        });
    }

    async fn failed(&mut self, error: &Error, started: Instant) {
        match error.kind() {
            ErrorKind::Expired => {
                self.iterator = None;
                let now = Instant::now();
                self.expired
                    .retain(|at| now.duration_since(*at) < EXPIRY_WINDOW);
                self.expired.push(now);
                self.reporter.error(error);
                if self.expired.len() >= 3 {
                    tracing::warn!(shard = %self.shard, "iterators expire: reads are more than five minutes apart");
                    let delay = self.backoff.failed(now, ErrorKind::Expired);
                    self.pacer.failed(started, now, delay);
                } else {
                    self.pacer.failed(started, now, Duration::ZERO);
                }
            }
            ErrorKind::Gone => self.confirm_gone(error, started).await,
            _ => self.wait_after(error, started),
        }
    }

    /// A shard is believed to be gone when the stream is there and does not list it.
    async fn confirm_gone(&mut self, error: &Error, started: Instant) {
        self.iterator = None;
        match self.stream.shards(ShardFilter::All).await {
            Ok(shards) if !shards.iter().any(|shard| shard.id == self.shard) => {
                tracing::warn!(shard = %self.shard, "the stream does not list the shard any more; it counts as ended");
                self.reporter.error(error);
                self.ended = Some(Vec::new());
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
        let delay = self.backoff.failed(now, error.kind());
        self.pacer.failed(started, now, delay);
    }
}

/// A child as the last answer of its parent names it; `None` if the answer leaves something out.
fn child_of_answer(child: &RawChild) -> Option<ChildShard> {
    let range = child.hash_key_range.as_ref()?;
    Some(ChildShard {
        id: child.shard_id.parse().ok()?,
        parents: child
            .parent_shards
            .iter()
            .map(|parent| parent.parse().ok())
            .collect::<Option<_>>()?,
        hash_range: forebay_lease::HashRange::parse(
            &range.starting_hash_key,
            &range.ending_hash_key,
        )
        .ok()?,
    })
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

enum Lineage {
    Ended(Vec<ChildShard>),
    Open,
}

/// What a listing says about a shard. One that is not listed has been forgotten by the stream, children and all.
fn lineage(shard: &ShardId, listing: &[Shard]) -> Lineage {
    let children: Vec<ChildShard> = listing
        .iter()
        .filter(|child| child.parents.contains(shard))
        .map(|child| ChildShard {
            id: child.id.clone(),
            parents: child.parents.clone(),
            hash_range: child.hash_range,
        })
        .collect();
    let open = listing
        .iter()
        .any(|listed| listed.id == *shard && listed.is_open);
    if children.is_empty() && open {
        Lineage::Open
    } else {
        Lineage::Ended(children)
    }
}

const EXPIRY_WINDOW: Duration = Duration::from_secs(300);
