use std::sync::Arc;
use std::time::SystemTime;

use forebay_lease::{CallId, Event, Failure, Outcome, Request, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::call::Call;
use crate::clock::WallClock;
use crate::error::{Error, ErrorKind};
use crate::report::Reporter;
use crate::stream::KinesisStream;
use crate::table::{LeaseTable, Written};

/// The calls the lease machine asked for. They end with this value.
pub(crate) struct Calls<T> {
    table: Arc<T>,
    stream: KinesisStream,
    clock: WallClock,
    reporter: Arc<Reporter>,
    running: JoinSet<Called>,
    places: Arc<Semaphore>,
}

/// What came of a call.
pub(crate) struct Called {
    pub(crate) event: Event,
    /// The stream does not exist, as far as this call can tell.
    pub(crate) stream_gone: Option<Error>,
}

impl<T: LeaseTable> Calls<T> {
    pub(crate) fn new(
        table: Arc<T>,
        stream: KinesisStream,
        clock: WallClock,
        reporter: Arc<Reporter>,
    ) -> Self {
        Self {
            table,
            stream,
            clock,
            reporter,
            running: JoinSet::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Sends a request as soon as fewer than [`AT_ONCE`] are under way. The lease machine counts from now on, so a
    /// request that waits only makes it more careful.
    pub(crate) fn start(&mut self, id: CallId, request: Request) {
        let table = Arc::clone(&self.table);
        let stream = self.stream.clone();
        let reporter = Arc::clone(&self.reporter);
        let places = Arc::clone(&self.places);
        let asked_at = timestamp(self.clock.now());
        self.running.spawn(async move {
            let call = call_of(&request);
            let place = places.acquire().await;
            let _place = place.expect("the semaphore is never closed");
            let started = Instant::now();
            let result = perform(&*table, &stream, &reporter, (request, asked_at)).await;
            // The stream reports its own calls.
            if call != Call::ListShards {
                reporter
                    .observer()
                    .call(call, started.elapsed(), result.is_err());
            }
            let mut stream_gone = None;
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(error) => {
                    reporter.error(&error);
                    let failure = failure_of(error.kind(), call);
                    if call == Call::ListShards && error.kind() == ErrorKind::Gone {
                        stream_gone = Some(error);
                    }
                    Outcome::Failed(failure)
                }
            };
            Called {
                event: Event::Answer { id, outcome },
                stream_gone,
            }
        });
    }

    /// Waits for the next answer; never returns while nothing is under way.
    ///
    /// # Errors
    /// [`ErrorKind::Panicked`] if the table did.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Called, Error> {
        match self.running.join_next().await {
            Some(Ok(called)) => Ok(called),
            Some(Err(error)) => {
                Err(
                    Error::new(ErrorKind::Panicked, "lease table", "a call panicked")
                        .with_source(error),
                )
            }
            None => std::future::pending().await,
        }
    }
}

async fn perform<T: LeaseTable>(
    table: &T,
    stream: &KinesisStream,
    reporter: &Reporter,
    (request, asked_at): (Request, Timestamp),
) -> Result<Outcome, Error> {
    let written = |written| match written {
        Written::Applied => Outcome::Applied,
        // The row in the way is read when the machine wants it, with the consistency it needs.
        Written::Refused => Outcome::Refused(None),
    };
    Ok(match request {
        Request::Scan => {
            let scan = table.scan().await?;
            for skipped in &scan.skipped {
                reporter.error(skipped);
            }
            Outcome::Scanned {
                leases: scan.leases,
                asked_at,
            }
        }
        Request::Read { key } => Outcome::Row(table.read(&key).await?.map(Box::new)),
        Request::Create(lease) => written(table.create(&lease).await?),
        Request::Update(update) => written(table.update(&update).await?),
        Request::Delete { key, counter } => written(table.delete(&key, counter).await?),
        Request::ListShards { filter } => Outcome::Shards {
            shards: stream.shards(filter).await?,
            asked_at,
        },
        Request::ReadClientVersion => Outcome::ClientVersion(table.client_version().await?),
        other => {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{other:?}"),
                "this driver does not know the request",
            ));
        }
    })
}

fn call_of(request: &Request) -> Call {
    match request {
        Request::Scan => Call::Scan,
        Request::Create(_) => Call::PutItem,
        Request::Update(_) => Call::UpdateItem,
        Request::Delete { .. } => Call::DeleteItem,
        Request::ListShards { .. } => Call::ListShards,
        _ => Call::GetItem,
    }
}

fn failure_of(kind: ErrorKind, call: Call) -> Failure {
    match kind {
        ErrorKind::Throttled | ErrorKind::Busy => Failure::Throttled,
        ErrorKind::Denied => Failure::Denied,
        ErrorKind::Gone if call != Call::ListShards => Failure::TableMissing,
        ErrorKind::Unknown => Failure::Unknown,
        _ => Failure::Unavailable,
    }
}

/// Milliseconds since 1970.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let millis = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis)
        }
    };
    Timestamp(millis)
}

/// Most calls under way: each has a connection of its own. All leases of a worker are renewed at the same time, so
/// without a bound their number would be that of the connections. The KCL renews on 20 threads.
const AT_ONCE: usize = 32;
