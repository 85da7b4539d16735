//! End to end: `forebay run` from Kinesis to a GELF receiver that throws everything away, beside a forwarder in Python
//! as people run it in Lambda, on the same records.
//!
//! `FOREBAY_SPEED_MESSAGES` sets how many (20,000), `FOREBAY_BINARY` another binary than the one just built; figures
//! that mean something come from `tests/speed.sh`, which builds it for release.
#![allow(clippy::print_stdout, reason = "the figures go to the terminal")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use forebay_localaws::{Cloud, Settings};
use forebay_tests::{Process, Signal};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Lines of one subscription record.
const LINES: u64 = 200;
/// Records that Lambda hands to one invocation, its default.
const BATCH: usize = 100;
const SHARDS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forebay_and_a_python_forwarder_deliver_the_same_records() {
    let wanted: u64 = match std::env::var("FOREBAY_SPEED_MESSAGES") {
        Ok(messages) => messages
            .parse()
            .expect("FOREBAY_SPEED_MESSAGES is a number"),
        Err(_) => 20_000,
    };
    let records: Vec<Vec<u8>> = (0..wanted.div_ceil(LINES)).map(record).collect();
    let messages = records.len() as u64 * LINES;
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("{messages} messages in {} records", records.len());
    println!("| | messages/s | CPU seconds per million | memory at most |");
    println!("|---|---|---|---|");
    println!(
        "| forebay | {} |",
        forebay(&records, messages, folder.path()).await
    );
    match python(&records, messages, folder.path()) {
        Some(figures) => println!("| Python forwarder | {figures} |"),
        None => println!("skipped: the Python forwarder (no python3)"),
    }
}

/// What one of them needed, as cells of the table.
fn cells(messages: u64, seconds: f64, cpu: f64, memory: Option<u64>) -> String {
    let million = cpu * 1e6 / messages as f64;
    let memory = memory.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    format!("{:.0} | {million:.1} | {memory}", messages as f64 / seconds)
}

/// From the start of the process until the last message is at the receiver.
async fn forebay(records: &[Vec<u8>], messages: u64, folder: &Path) -> String {
    let started = Instant::now();
    let clock = Arc::new(move || {
        1_795_000_000_000 + u64::try_from(started.elapsed().as_millis()).unwrap_or(0)
    });
    let mut settings = Settings::instant();
    settings.kinesis.enforce_rates = false;
    let mut cloud = Cloud::new(settings, 1);
    let kinesis = cloud.kinesis();
    kinesis
        .create_stream("flow", SHARDS, clock())
        .expect("a new stream");
    for (number, record) in records.iter().enumerate() {
        let put = kinesis.put_record("flow", &number.to_string(), record.clone(), clock());
        put.expect("within the limits of the stream");
    }
    let server = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let endpoint = format!("http://{}", server.local_addr().expect("an address"));
    let cloud = Arc::new(Mutex::new(cloud));
    let serving = tokio::spawn(async move {
        forebay_localaws::serve(server, cloud, clock, std::future::pending()).await
    });
    let (address, arrived) = receiver();
    let config = folder.join("forebay.toml");
    let text = format!(
        r#"
[aws.default]
region = "eu-west-1"
access_key = "AKIAEXAMPLE"
secret_key = {{ env = "TEST_AWS_SECRET" }}
endpoints = {{ kinesis = "{endpoint}", dynamodb = "{endpoint}" }}
[kinesis.flow]
stream = "flow"
decode = "flowlog"
start = "trim-horizon"
[output.null]
address = ["{address}"]
[dead_letter]
path = {:?}
"#,
        folder.join("dead")
    );
    std::fs::write(&config, text).expect("written");
    let mut command = Command::new(binary());
    command
        .args(["run", "--config"])
        .arg(&config)
        .env("TEST_AWS_SECRET", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let begun = Instant::now();
    let mut process = Process::start(&mut command, &folder.join("log")).expect("it starts");
    while arrived.load(Ordering::Relaxed) < messages {
        let log = || process.log().unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "{arrived:?} arrived: {}", log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(process.id());
    let memory = process.memory().map(|memory| memory.most);
    process.signal(Signal::Terminate).expect("it runs");
    let ended = process.ended(Duration::from_secs(30)).await;
    let code = ended
        .expect("it is waited for")
        .and_then(|status| status.code());
    assert_eq!(code, Some(0), "{}", process.log().unwrap_or_default());
    assert_eq!(arrived.load(Ordering::Relaxed), messages, "nothing twice");
    assert!(!folder.join("dead").exists(), "no dead letters");
    serving.abort();
    cells(messages, seconds, cpu, memory)
}

/// The same records as Lambda hands them over; `None` without Python.
fn python(records: &[Vec<u8>], messages: u64, folder: &Path) -> Option<String> {
    Command::new("python3").arg("--version").output().ok()?;
    let events = folder.join("events");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&events).expect("a file"));
    for batch in records.chunks(BATCH) {
        let records: Vec<Value> = batch
            .iter()
            .map(|record| json!({"eventSource": "aws:kinesis", "kinesis": {"data": BASE64_STANDARD.encode(record)}}))
            .collect();
        writeln!(file, "{}", json!({"Records": records})).expect("written");
    }
    drop(file);
    let (address, arrived) = receiver();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/speed/forwarder.py");
    let begun = Instant::now();
    let ended = Command::new("python3")
        .arg(script)
        .arg(address.to_string())
        .arg(&events)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    while arrived.load(Ordering::Relaxed) < messages {
        assert!(begun.elapsed() < PATIENCE, "{arrived:?} arrived");
        std::thread::yield_now();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (count, cpu) = told.trim().split_once(' ').expect("two numbers");
    assert_eq!(count.parse(), Ok(messages));
    Some(cells(
        messages,
        seconds,
        cpu.parse().expect("seconds"),
        None,
    ))
}

/// A GELF receiver over TCP that only counts the frames.
fn receiver() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let arrived = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&arrived);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                let mut buffer = vec![0; 256 * 1_024];
                while let Ok(length @ 1..) = connection.read(&mut buffer) {
                    let frames = memchr::memchr_iter(0, &buffer[..length]).count();
                    count.fetch_add(frames as u64, Ordering::Relaxed);
                }
            });
        }
    });
    (address, arrived)
}

/// User and system time of a process, from `/proc`; Linux counts it in hundredths.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    // Behind the name, which may contain anything: state is the third field, the times are the 14th and 15th.
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    let ticks: u64 = rest
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    ticks as f64 / 100.0
}

/// One subscription record of flow logs that differ as real ones do.
fn record(number: u64) -> Vec<u8> {
    let events: Vec<Value> = (number * LINES..(number + 1) * LINES)
        .map(|line| {
            let random = line.wrapping_mul(6_364_136_223_846_793_005) >> 20;
            let (host, port) = (random % 65_000, random / 65_000 % 60_000 + 1_024);
            let message = format!(
                "2 123456789012 eni-0a1b2c3d4e5f{:04x} 10.0.{}.{} 172.31.{}.{} {port} 443 6 {} {} 1795000000 1795000060 ACCEPT OK",
                number % 64,
                host >> 8,
                host & 0xff,
                random >> 8 & 0xff,
                random >> 16 & 0xff,
                random % 40 + 1,
                random % 60_000 + 40,
            );
            json!({"id": format!("{line:056}"), "timestamp": 1_795_000_000_000_u64 + line, "message": message})
        })
        .collect();
    let payload = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "flow", "logStream": "eni-0a1b2c3d-all",
        "subscriptionFilters": ["f"], "logEvents": events,
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(payload.to_string().as_bytes())
        .expect("memory");
    gzip.finish().expect("memory")
}

fn binary() -> PathBuf {
    std::env::var_os("FOREBAY_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_forebay").into(), PathBuf::from)
}

const PATIENCE: Duration = Duration::from_secs(300);
