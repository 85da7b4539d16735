//! What a worker asks of AWS in an hour, beside what the KCL asks.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_kinesis::Config;
use forebay_localaws::{Service, Settings};

use crate::bed::{Bed, Sink, config};

const SHARDS: u32 = 4;
const KINESIS: [&str; 5] = [
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "DescribeStreamSummary",
    "SubscribeToShard",
];
const DYNAMODB: [&str; 5] = ["UpdateItem", "Scan", "GetItem", "PutItem", "DeleteItem"];

/// Calls an hour, counted over ten minutes, of a worker whose shards get a record a second in all.
async fn calls_of_an_hour(settings: Config) -> BTreeMap<&'static str, u64> {
    let mut model = Settings::instant();
    model.call_log_capacity = 0;
    let bed = Bed::with(SHARDS, model);
    let sink = Sink::default();
    let worker = bed.start_with("one", &sink, settings).await;
    let count = || -> BTreeMap<&'static str, u64> {
        bed.aws.with(|cloud, _| {
            assert!(cloud.calls().unknown_operations().is_empty());
            let of = |service, names: [&'static str; 5]| {
                names.map(|name| (name, cloud.calls().count(service, name)))
            };
            of(Service::Kinesis, KINESIS)
                .into_iter()
                .chain(of(Service::DynamoDb, DYNAMODB))
                .collect()
        })
    };
    let mut before = BTreeMap::new();
    for second in 0..660 {
        if second == 60 {
            before = count();
        }
        bed.put_numbers(second..second + 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut calls = count();
    for (name, calls) in &mut calls {
        *calls = (*calls - before[name]) * 6;
    }
    assert!(sink.len() >= 650, "the shards are read");
    worker.stop().await;
    calls
}

/// What the KCL's documented defaults come to in an hour for a worker with as many shards: a renewal of each lease every
/// 3,308 ms and a checkpoint a minute; a scan every 20,050 ms; a listing of shards a minute; reads every `idle`.
fn kcl(idle: Duration) -> BTreeMap<&'static str, u64> {
    let shards = u64::from(SHARDS);
    let hour = 3_600_000;
    BTreeMap::from([
        ("GetRecords", shards * hour / idle.as_millis() as u64),
        ("GetShardIterator", 0),
        ("DescribeStreamSummary", 0),
        ("SubscribeToShard", 0),
        ("ListShards", 60),
        ("UpdateItem", shards * (hour / 3_308 + 60)),
        ("Scan", hour / 20_050),
        // 3.x reads the item of its version every minute, from two tables at worst.
        ("GetItem", 120),
        ("PutItem", 0),
        ("DeleteItem", 0),
    ])
}

#[tokio::test(start_paused = true)]
async fn no_call_is_made_more_often_than_by_the_kcl() {
    let seconds = Duration::from_secs;
    for (version, idle, watch) in [
        ("1.x", seconds(1), seconds(20)),
        ("2.x and 3.x", Duration::from_millis(1_500), seconds(20)),
        // By default the table is scanned more often, so that a crash costs 12 s instead of 40.
        ("1.x", seconds(1), Config::default().watch_interval),
    ] {
        let mut settings = config();
        settings.idle = idle;
        settings.watch_interval = watch;
        let ours = calls_of_an_hour(settings).await;
        println!(
            "calls an hour, {SHARDS} shards, a read every {idle:?}, a scan every {watch:?}: ours, KCL {version}"
        );
        let theirs = kcl(idle);
        for (name, calls) in &ours {
            println!("{name:>17} {calls:>6} {:>6}", theirs[name]);
        }
        // Fleets differ in who lists and who scans; AWS bills and limits by service.
        let total = |calls: &BTreeMap<&str, u64>, service: [&str; 5]| -> u64 {
            service.iter().filter_map(|name| calls.get(name)).sum()
        };
        for service in [KINESIS, DYNAMODB] {
            let (ours, theirs) = (total(&ours, service), total(&theirs, service));
            let is_default = watch == Config::default().watch_interval;
            assert!(ours <= theirs || is_default, "{ours} of {service:?}");
        }
    }
}
