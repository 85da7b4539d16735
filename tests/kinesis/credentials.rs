//! Credentials that end while a worker runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_async::time::TimeSource;
use forebay_kinesis::{DynamoLeaseTable, ErrorKind, KinesisStream, StreamName, Worker};
use forebay_localaws::{Fault, FaultRule, LocalAws, ServiceError};
use forebay_tests::scale;

use crate::bed::{Bed, Running, STREAM, Sink, TABLE, config};
use crate::faults::Errors;

/// The model's time for signatures and for the expiry of credentials.
#[derive(Clone, Debug)]
struct ModelTime(LocalAws);

impl TimeSource for ModelTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.now())
    }
}

/// Gives out `session-0`, `session-1`, ..., each good for `lifetime`.
#[derive(Clone, Debug)]
struct Sessions {
    time: ModelTime,
    given: Arc<AtomicU64>,
    lifetime: Option<Duration>,
}

impl ProvideCredentials for Sessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let expiry = self.lifetime.map(|lifetime| self.time.now() + lifetime);
        let key = format!("session-{number}");
        future::ProvideCredentials::ready(Ok(Credentials::new(key, "secret", None, expiry, "test")))
    }
}

async fn sdk(bed: &Bed, sessions: &Sessions) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(sessions.clone())
        .time_source(sessions.time.clone())
        .http_client(bed.aws.http_client())
        .load()
        .await
}

/// Refuses what is signed by a session from the moment on at which it ends.
fn expire(bed: &Bed, session: u64, code: &str, at: u64) {
    let error = ServiceError::new(
        code,
        400,
        "The security token included in the request is expired",
    );
    bed.aws.with(|cloud, _| {
        let rule = FaultRule::new(Fault::Error(error)).caller(format!("session-{session}"));
        cloud.faults().push(rule.between(at, u64::MAX));
    });
}

async fn start(bed: &Bed, sessions: &Sessions, sink: &Sink, errors: &Errors) -> Running {
    let sdk = sdk(bed, sessions).await;
    let stream = KinesisStream::new(
        aws_sdk_kinesis::Client::new(&sdk),
        StreamName::new(STREAM).expect("a name"),
    );
    let table = DynamoLeaseTable::new(aws_sdk_dynamodb::Client::new(&sdk), TABLE);
    let id = "one".parse().expect("an id");
    let time = sessions.time.clone();
    // Few calls, because many hours pass.
    let mut settings = config();
    settings.idle = Duration::from_secs(30);
    settings.failover_time = Duration::from_secs(60);
    settings.watch_interval = Duration::from_secs(60);
    let worker = Worker::new(id, stream, table, sink.processor("one"))
        .with_config(settings)
        .with_observer(errors.clone())
        .with_wall_clock(move || time.now());
    Running::spawn(worker)
}

fn sessions(bed: &Bed, lifetime: Option<Duration>) -> Sessions {
    Sessions {
        time: ModelTime(bed.aws.clone()),
        given: Arc::default(),
        lifetime,
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_of_fifteen_minutes_carry_a_worker_through_hours() {
    let bed = Bed::new(2);
    let lifetime = Duration::from_secs(900);
    let sessions = sessions(&bed, Some(lifetime));
    let begin = bed.aws.now();
    for session in 0..200 {
        // No session lives longer than from the end of the one before: each is asked for when one ends.
        let end = begin + (session + 1) * 900_000 + 1_000;
        expire(&bed, session, "ExpiredTokenException", end);
    }
    let (sink, errors) = (Sink::default(), Errors::default());
    let worker = start(&bed, &sessions, &sink, &errors).await;
    let minutes: u32 = scale(180, 720, 720);
    for minute in 0..minutes {
        bed.put_numbers(minute..minute + 1);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    sink.wait_for(minutes as usize).await;
    assert_eq!(sink.counts().len(), minutes as usize);
    assert_eq!(sink.len(), minutes as usize, "nothing came twice");
    assert_eq!(sink.started().len(), 2, "no lease changed hands");
    assert_eq!(errors.all(), []);
    assert!(sessions.given.load(Ordering::Relaxed) >= u64::from(minutes / 15));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_end_without_notice_are_fetched_again() {
    let codes = ["ExpiredTokenException", "InvalidClientTokenId"];
    for code in codes {
        let bed = Bed::new(2);
        // The SDK believes that they are good for ever.
        let sessions = sessions(&bed, None);
        let (sink, errors) = (Sink::default(), Errors::default());
        let worker = start(&bed, &sessions, &sink, &errors).await;
        bed.put_numbers(0..10);
        sink.wait_for(10).await;
        let used = sessions.given.load(Ordering::Relaxed);
        for session in 0..used {
            expire(&bed, session, code, 0);
        }
        bed.put_numbers(10..20);
        let start = tokio::time::Instant::now();
        sink.wait_for(20).await;
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(40),
            "{took:?}, of which 30 s are the pause between reads"
        );
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(sink.len(), 20);
        assert_eq!(sink.started().len(), 2, "no lease changed hands");
        let kinds = errors.all();
        assert!(
            kinds
                .iter()
                .all(|(kind, _)| *kind == ErrorKind::Credentials),
            "{kinds:?}"
        );
        worker.stop().await;
    }
}
