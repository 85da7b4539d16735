//! The smallest worker: reads a stream and prints what it holds. Runs without an AWS account.
//!
//! `cargo run -p forebay-examples --example minimal_consumer`

#![expect(clippy::print_stdout, reason = "an example talks on the terminal")]

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_kinesis::{
    Batch, Config, DynamoLeaseTable, InitialPosition, KinesisStream, Outcome, Processor,
    StreamName, Worker,
};
use forebay_localaws::{Cloud, LocalAws, Settings};
use tokio::sync::Notify;

/// Prints every record and tells when it has seen enough.
#[derive(Default)]
struct Print {
    seen: AtomicUsize,
    enough: std::sync::Arc<Notify>,
}

impl Processor for Print {
    async fn process(&self, batch: Batch) -> Outcome {
        for record in batch.records() {
            println!(
                "{}: {}",
                batch.shard(),
                String::from_utf8_lossy(&record.data)
            );
        }
        if self
            .seen
            .fetch_add(batch.records().len(), Ordering::Relaxed)
            + batch.records().len()
            >= 6
        {
            self.enough.notify_one();
        }
        // The records are done for good. Answer `Pending` to accept them later, through `batch.acknowledger()`.
        Outcome::Accepted
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // An AWS inside the process. With an account, leave `http_client` and the credentials out.
    let aws = LocalAws::new(Cloud::new(Settings::instant(), 1), 1_795_564_800_000);
    aws.with(|cloud, now| cloud.kinesis().create_stream("greetings", 2, now))?;
    for (key, text) in ["hello", "hei", "hallo", "salut", "ciao", "hola"]
        .iter()
        .enumerate()
    {
        aws.with(|cloud, now| {
            cloud
                .kinesis()
                .put_record("greetings", &key.to_string(), *text, now)
        })?;
    }
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .test_credentials()
        .http_client(aws.http_client())
        .load()
        .await;

    let processor = Print::default();
    let enough = std::sync::Arc::clone(&processor.enough);
    let mut config = Config::default();
    config.initial_position = InitialPosition::TrimHorizon;
    let worker = Worker::new(
        "minimal-1".parse()?,
        KinesisStream::new(
            aws_sdk_kinesis::Client::new(&sdk),
            StreamName::new("greetings")?,
        ),
        DynamoLeaseTable::new(aws_sdk_dynamodb::Client::new(&sdk), "minimal-consumer"),
        processor,
    )
    .with_config(config);

    // A real program stops on a signal: `async { tokio::signal::ctrl_c().await.ok(); }`.
    let summary = worker.run(async move { enough.notified().await }).await?;
    println!(
        "{} records, {} checkpoints",
        summary.records, summary.checkpoints
    );
    Ok(())
}
