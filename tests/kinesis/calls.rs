//! What workers ask of AWS in an hour, beside what the KCL asks.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_kinesis::Config;
use forebay_localaws::{Service, Settings};

use crate::bed::{Bed, Sink, config};

const KINESIS: [&str; 5] = [
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "DescribeStreamSummary",
    "SubscribeToShard",
];
const DYNAMODB: [&str; 5] = ["UpdateItem", "Scan", "GetItem", "PutItem", "DeleteItem"];
const KCL_SCAN: Duration = Duration::from_millis(20_050);

type Calls = BTreeMap<&'static str, u64>;

/// Calls an hour, counted over ten minutes once the load is shared, while the shards get a record a second in all.
async fn calls_of_an_hour(shards: u32, workers: &[&str], settings: &Config) -> Calls {
    let mut model = Settings::instant();
    model.call_log_capacity = 0;
    let bed = Bed::with(shards, model);
    let sink = Sink::default();
    let mut running = Vec::new();
    for worker in workers {
        running.push(bed.start_with(worker, &sink, settings.clone()).await);
    }
    let count = || -> Calls {
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
    for second in 0..780 {
        if second == 180 {
            before = count();
        }
        bed.put_numbers(second..second + 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut calls = count();
    for (name, calls) in &mut calls {
        *calls = (*calls - before[name]) * 6;
    }
    assert!(sink.len() >= 770, "the shards are read");
    for worker in running {
        worker.stop().await;
    }
    calls
}

/// What the KCL's documented defaults come to in an hour: a renewal of each lease every 3,308 ms and a checkpoint a minute;
/// a scan of each worker every 20,050 ms; a listing of shards a minute; reads every `idle`.
fn kcl(shards: u32, workers: usize, idle: Duration) -> Calls {
    let (shards, workers) = (u64::from(shards), workers as u64);
    let hour = 3_600_000;
    BTreeMap::from([
        ("GetRecords", shards * hour / idle.as_millis() as u64),
        ("GetShardIterator", 0),
        ("DescribeStreamSummary", 0),
        ("SubscribeToShard", 0),
        ("ListShards", 60),
        ("UpdateItem", shards * (hour / 3_308 + 60)),
        ("Scan", workers * hour / KCL_SCAN.as_millis() as u64),
        // 3.x reads the item of its version every minute, from two tables at worst.
        ("GetItem", workers * 120),
        ("PutItem", 0),
        ("DeleteItem", 0),
    ])
}

/// Prints both per shard and hour.
fn print(title: &str, shards: u32, ours: &Calls, theirs: &Calls) {
    println!("calls per shard and hour, {title}: ours, KCL");
    let per_shard = |calls: u64| calls as f64 / f64::from(shards);
    for (name, calls) in ours {
        let (ours, theirs) = (per_shard(*calls), per_shard(theirs[name]));
        println!("{name:>21} {ours:>8.1} {theirs:>8.1}");
    }
}

fn total(calls: &Calls, service: [&str; 5]) -> u64 {
    service.iter().filter_map(|name| calls.get(name)).sum()
}

#[tokio::test(start_paused = true)]
async fn a_worker_alone_makes_no_call_more_often_than_the_kcl() {
    for (version, idle) in [("1.x", 1_000), ("2.x and 3.x", 1_500)] {
        let mut settings = config();
        settings.idle = Duration::from_millis(idle);
        let ours = calls_of_an_hour(4, &["one"], &settings).await;
        let theirs = kcl(4, 1, settings.idle);
        let title = format!("alone with 4 shards, a read every {idle} ms, KCL {version}");
        print(&title, 4, &ours, &theirs);
        for name in DYNAMODB {
            assert!(ours[name] <= theirs[name], "{name}");
        }
        // Fleets differ in who lists and how; AWS limits and bills by service.
        assert!(total(&ours, KINESIS) <= total(&theirs, KINESIS));
    }
}

/// Every renewal of a peer has to be seen within two seconds, or a crash costs more than twelve: that is what the scans of
/// workers with peers pay for, with a whole scan being cheaper than reads of the rows. The KCL's pace is a setting.
#[tokio::test(start_paused = true)]
async fn workers_with_peers_scan_as_often_as_their_failover_asks() {
    let default = Config::default().watch_interval;
    for watch in [default, KCL_SCAN] {
        let mut settings = config();
        settings.watch_interval = watch;
        let ours = calls_of_an_hour(8, &["one", "two"], &settings).await;
        let theirs = kcl(8, 2, settings.idle);
        print(
            &format!("two workers, 8 shards, scans every {watch:?}"),
            8,
            &ours,
            &theirs,
        );
        assert!(total(&ours, KINESIS) <= total(&theirs, KINESIS));
        if watch == default {
            // The jitter shortens an interval by a tenth at most.
            let scans = 2 * 3_600_000 / (default.as_millis() as u64 * 9 / 10);
            assert!(ours["Scan"] <= scans, "{} of {scans}", ours["Scan"]);
            assert!(
                ours["UpdateItem"] + ours["GetItem"] <= theirs["UpdateItem"] + theirs["GetItem"]
            );
        } else {
            assert!(total(&ours, DYNAMODB) <= total(&theirs, DYNAMODB));
        }
    }
}
