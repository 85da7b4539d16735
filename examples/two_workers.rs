//! Two workers share a stream through one lease table; when the first stops, the second takes over what it had, at its
//! last checkpoint. Runs without an AWS account.
//!
//! `cargo run -p forebay-examples --example two_workers`

#![expect(clippy::print_stdout, reason = "an example talks on the terminal")]

use std::error::Error;
use std::time::Duration;

use forebay_kinesis::{
    Batch, Config, DynamoLeaseTable, InitialPosition, KinesisStream, Outcome, Processor, ShardId,
    Stopping, StreamName, Summary, Worker,
};
use forebay_localaws::{Cloud, LocalAws, Settings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Tells who reads which shard.
struct Tell {
    worker: &'static str,
}

impl Processor for Tell {
    async fn process(&self, batch: Batch) -> Outcome {
        for record in batch.records() {
            let text = String::from_utf8_lossy(&record.data);
            println!("{} read {text} from {}", self.worker, batch.shard());
        }
        Outcome::Accepted
    }

    async fn shard_started(&self, shard: &ShardId) {
        println!("{} takes {shard}", self.worker);
    }

    async fn shard_stopping(&self, shard: &ShardId, reason: Stopping) {
        println!("{} leaves {shard}: {reason:?}", self.worker);
    }
}

/// Starts a worker; the sender stops it.
async fn start(
    aws: &LocalAws,
    name: &'static str,
) -> Result<
    (
        oneshot::Sender<()>,
        JoinHandle<Result<Summary, forebay_kinesis::Error>>,
    ),
    Box<dyn Error>,
> {
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .test_credentials()
        .http_client(aws.http_client())
        .load()
        .await;
    let mut config = Config::default();
    config.initial_position = InitialPosition::TrimHorizon;
    // Short, so that the example does not take minutes. All workers of a table must agree on it.
    config.failover_time = Duration::from_secs(2);
    let worker = Worker::new(
        // Unique among all live processes.
        name.parse()?,
        KinesisStream::new(
            aws_sdk_kinesis::Client::new(&sdk),
            StreamName::new("greetings")?,
        ),
        // The same table for all of them.
        DynamoLeaseTable::new(aws_sdk_dynamodb::Client::new(&sdk), "two-workers"),
        Tell { worker: name },
    )
    .with_config(config);
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));
    Ok((stop, running))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let aws = LocalAws::new(Cloud::new(Settings::instant(), 1), 1_795_564_800_000);
    aws.with(|cloud, now| cloud.kinesis().create_stream("greetings", 4, now))?;
    let put = |number: u32| {
        aws.with(|cloud, now| {
            let key = number.to_string();
            cloud
                .kinesis()
                .put_record("greetings", &key, format!("greeting {number}"), now)
        })
    };
    let (stop_one, one) = start(&aws, "one").await?;
    for number in 0..4 {
        put(number)?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (stop_two, two) = start(&aws, "two").await?;
    // The second worker takes its half.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for number in 4..12 {
        put(number)?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _ = stop_one.send(());
    println!("one stopped: {:?}", one.await??);
    for number in 12..16 {
        put(number)?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _ = stop_two.send(());
    println!("two stopped: {:?}", two.await??);
    Ok(())
}
