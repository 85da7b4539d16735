//! A worker with a lease store of its own, and batches pulled from a stream instead of pushed into a processor.
//! Runs without an AWS account.
//!
//! `cargo run -p forebay-examples --example own_lease_store`

#![expect(clippy::print_stdout, reason = "an example talks on the terminal")]

use std::collections::BTreeMap;
use std::error::Error;

use forebay_kinesis::{
    Config, InitialPosition, KinesisStream, Lease, LeaseKey, LeaseTable, Scan, StreamName, Worker,
    Written, pull,
};
use forebay_lease::{LeaseCounter, Update};
use forebay_localaws::{Cloud, LocalAws, Settings};
use tokio::sync::{Mutex, oneshot};

/// Leases in a map. A real store (a row in a database, a key in etcd) makes each of these a transaction.
///
/// The feature `testing` has the suite that a store must pass: `lease_table_suite(&table)`.
#[derive(Default)]
struct MapTable {
    leases: Mutex<BTreeMap<LeaseKey, Lease>>,
}

impl LeaseTable for MapTable {
    async fn open(&self) -> Result<Vec<forebay_kinesis::Error>, forebay_kinesis::Error> {
        Ok(Vec::new())
    }

    async fn scan(&self) -> Result<Scan, forebay_kinesis::Error> {
        let leases = self.leases.lock().await.values().cloned().collect();
        Ok(Scan::new(leases, Vec::new()))
    }

    async fn read(&self, key: &LeaseKey) -> Result<Option<Lease>, forebay_kinesis::Error> {
        Ok(self.leases.lock().await.get(key).cloned())
    }

    async fn create(&self, lease: &Lease) -> Result<Written, forebay_kinesis::Error> {
        let mut leases = self.leases.lock().await;
        if leases.contains_key(&lease.key) {
            return Ok(Written::Refused);
        }
        leases.insert(lease.key.clone(), lease.clone());
        Ok(Written::Applied)
    }

    async fn update(&self, update: &Update) -> Result<Written, forebay_kinesis::Error> {
        let mut leases = self.leases.lock().await;
        // The condition is what keeps two workers from holding one shard.
        if !update.condition.allows(leases.get(&update.key)) {
            return Ok(Written::Refused);
        }
        let Some(lease) = leases.get_mut(&update.key) else {
            return Ok(Written::Refused);
        };
        update.apply(lease);
        println!("{} is at {:?}", lease.key, lease.checkpoint);
        Ok(Written::Applied)
    }

    async fn delete(
        &self,
        key: &LeaseKey,
        counter: LeaseCounter,
    ) -> Result<Written, forebay_kinesis::Error> {
        let mut leases = self.leases.lock().await;
        if leases.get(key).is_none_or(|lease| lease.counter != counter) {
            return Ok(Written::Refused);
        }
        leases.remove(key);
        Ok(Written::Applied)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
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

    let (processor, mut batches) = pull();
    let mut config = Config::default();
    config.initial_position = InitialPosition::TrimHorizon;
    let stream = KinesisStream::new(
        aws_sdk_kinesis::Client::new(&sdk),
        StreamName::new("greetings")?,
    );
    let worker =
        Worker::new("own-1".parse()?, stream, MapTable::default(), processor).with_config(config);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));
    let mut seen = 0;
    while seen < 6 {
        let Some(batch) = batches.next().await else {
            break;
        };
        for record in batch.records() {
            println!("{}", String::from_utf8_lossy(&record.data));
        }
        seen += batch.records().len();
        // Only what is accepted moves the checkpoint.
        batch.accept_all();
    }
    let _ = stop.send(());
    println!("{:?}", running.await??);
    Ok(())
}
