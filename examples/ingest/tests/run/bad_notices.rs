//! Every class of bad notice and bad object that a queue can bring: its own dead letter, the queue empties, and what
//! comes behind arrives.

use base64::{Engine, prelude::BASE64_STANDARD};
use forebay_localaws::QueueAttributes;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bed::{self, Aws, Forebay, PATIENCE, PAUSE, gzip};

const BUCKET: &str = "trail";
const NOW: u64 = 1_795_000_000_000;

/// What is sent: a notice as it stands, or the content of an object that a good notice names.
enum Sent {
    Body(String),
    Object(Vec<u8>),
}

struct Case {
    name: &'static str,
    sent: Sent,
    /// Class and a part of the reason; none if it is no bad input but nothing to read.
    letter: Option<(&'static str, &'static str)>,
    /// Records of the object that arrive all the same, by event name.
    arrives: &'static [&'static str],
}

fn notice(bucket: &str, key: &str) -> String {
    json!({"s3Bucket": bucket, "s3ObjectKey": [key]}).to_string()
}

fn key(name: &str) -> String {
    format!(
        "AWSLogs/000000000000/CloudTrail/eu-west-1/2026/11/25/000000000000_CloudTrail_eu-west-1_20261125T1200Z_{name:0>16}.json.gz"
    )
}

fn record(event: &str) -> Value {
    json!({
        "eventVersion": "1.11", "eventTime": "2026-11-25T12:00:00Z", "eventSource": "iam.amazonaws.com",
        "eventName": event, "awsRegion": "eu-west-1", "eventID": event, "eventType": "AwsApiCall",
        "recipientAccountId": "000000000000",
    })
}

fn file(records: &[Value]) -> Vec<u8> {
    gzip(json!({"Records": records}).to_string().as_bytes())
}

fn cases() -> Vec<Case> {
    let body = |name, body: String, reason| Case {
        name,
        sent: Sent::Body(body),
        letter: Some(("notice", reason)),
        arrives: &[],
    };
    let object = |name, content, class, reason, arrives| Case {
        name,
        sent: Sent::Object(content),
        letter: Some((class, reason)),
        arrives,
    };
    let mut large = record("Large");
    large["requestParameters"] = json!({"x": "y".repeat(1_100_000)});
    let mut deep = json!(1);
    for _ in 0..70 {
        deep = json!([deep]);
    }
    let mut nested = record("Deep");
    nested["requestParameters"] = deep;
    let good = file(&[record("Cut1"), record("Cut2")]);
    let cut = good[..good.len() - 9].to_vec();
    let mut changed = good.clone();
    *changed.iter_mut().rev().nth(6).expect("a trailer") ^= 1;
    let mut bomb = b"{\"Records\":[".to_vec();
    bomb.resize(16 << 20, b' ');
    vec![
        body("no JSON", "hello".to_owned(), ""),
        body("other JSON", json!({"a": 1}).to_string(), ""),
        body("wrong bucket", notice("stranger", &key("1")), "bucket"),
        body(
            "access point",
            notice("arn:aws:s3:eu-west-1:1:accesspoint/x", &key("1")),
            "bucket",
        ),
        body("upper case", notice("Trail", &key("1")), "bucket"),
        body(
            "another prefix",
            notice(BUCKET, "secrets/passwords.json.gz"),
            "key",
        ),
        body(
            "upwards",
            notice(BUCKET, "AWSLogs/../secrets.json.gz"),
            "key",
        ),
        body(
            "too many objects",
            json!({"s3Bucket": BUCKET, "s3ObjectKey": vec![key("1"); 1_001]}).to_string(),
            "1001",
        ),
        Case {
            name: "test notice of S3",
            sent: Sent::Body(
                json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET})
                    .to_string(),
            ),
            letter: None,
            arrives: &[],
        },
        object("gzip cut short", cut, "object", "", &["Cut1", "Cut2"]),
        object("checksum wrong", changed, "object", "", &["Cut1", "Cut2"]),
        object(
            "no log file",
            gzip(b"hello"),
            "object",
            "not a CloudTrail log file",
            &[],
        ),
        Case {
            name: "empty object",
            sent: Sent::Object(Vec::new()),
            letter: None,
            arrives: &[],
        },
        object("bomb by ratio", gzip(&bomb), "object", "", &[]),
        object(
            "record over 1 MiB",
            file(&[record("Before"), large, record("Behind")]),
            "record",
            "longer than 1048576 bytes",
            &["Before", "Behind"],
        ),
        object(
            "deep record",
            file(&[record("Above"), nested, record("Below")]),
            "record",
            "nested deeper",
            &["Above", "Below"],
        ),
        object(
            "no record",
            file(&[record("Left"), json!(7), record("Right")]),
            "record",
            "not an object",
            &["Left", "Right"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_notices_and_objects_become_dead_letters_and_the_queue_empties() {
    let aws = Aws::with_stream().await;
    let cases = cases();
    let mut wanted = Vec::new();
    {
        let mut cloud = aws.cloud.lock().expect("nobody panicked");
        cloud
            .sqs()
            .create_queue("notices", QueueAttributes::default(), NOW);
        cloud.s3().create_bucket(BUCKET, NOW);
        for (number, case) in cases.iter().enumerate() {
            let body = match &case.sent {
                Sent::Body(body) => body.clone(),
                Sent::Object(content) => {
                    let key = key(&number.to_string());
                    cloud.s3().put(BUCKET, &key, content.clone(), NOW);
                    notice(BUCKET, &key)
                }
            };
            cloud.sqs().send("notices", &body, NOW).expect("a queue");
            wanted.extend(case.arrives.iter().map(ToString::to_string));
            // What comes behind it.
            let event = format!("Good{number}");
            let key = key(&event);
            cloud.s3().put(BUCKET, &key, file(&[record(&event)]), NOW);
            cloud
                .sqs()
                .send("notices", &notice(BUCKET, &key), NOW)
                .expect("a queue");
            wanted.push(event);
        }
    }
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trail = format!(
        "[cloudtrail.trail]\nqueue = \"notices\"\nobject_retry = \"100ms\"\nbuckets = [{{ name = \"{BUCKET}\", prefix = \"AWSLogs/\" }}]"
    );
    let config = bed::config(folder.path(), &aws, address, &trail);
    let forebay = Forebay::start(&config);
    let received = async {
        while !wanted.is_empty() {
            let arrived = messages.next().await.expect("the listener runs");
            let message: Value = serde_json::from_slice(&arrived.json).expect("GELF is JSON");
            let event = message["_event_name"]
                .as_str()
                .expect("an event")
                .to_owned();
            match wanted.iter().position(|wanted| *wanted == event) {
                Some(found) => drop(wanted.swap_remove(found)),
                None => panic!("nobody waits for {message}"),
            }
        }
    };
    if timeout(PATIENCE * 2, received).await.is_err() {
        panic!("{wanted:?} are missing: {}", forebay.log());
    }
    let expected = cases.iter().filter(|case| case.letter.is_some()).count();
    let mut kept = bed::letters(folder.path(), expected).await;
    for (number, case) in cases.iter().enumerate() {
        let Some((class, reason)) = case.letter else {
            continue;
        };
        let found = kept.iter().position(|letter| match &case.sent {
            Sent::Body(body) => {
                let payload = BASE64_STANDARD.encode(body);
                letter["payload"] == payload && letter["class"] == class
            }
            Sent::Object(_) => {
                let origin = letter["origin"].as_str().unwrap_or_default();
                origin.contains(&key(&number.to_string())) && letter["class"] == class
            }
        });
        let found = found.unwrap_or_else(|| panic!("no letter of `{}`: {kept:#?}", case.name));
        let letter = kept.swap_remove(found);
        let told = letter["reason"].as_str().expect("a reason");
        assert!(
            !told.is_empty() && told.contains(reason),
            "`{}`: {told}",
            case.name
        );
    }
    assert_eq!(kept, [Value::Null; 0], "nothing else is a dead letter");
    let empty = async {
        while !aws
            .cloud
            .lock()
            .expect("nobody panicked")
            .sqs()
            .bodies("notices")
            .is_empty()
        {
            tokio::time::sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, empty)
        .await
        .expect("every notice is deleted");
    let peak = forebay.peak_memory();
    assert!(peak <= (64 + 64) << 20, "{} MiB at most", peak >> 20);
    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
}

/// One rule for lines: what is longer than 1 MiB is a dead letter and no message; its neighbours arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_over_1_mib_is_a_dead_letter_with_its_place_and_no_message() {
    let aws = Aws::with_stream().await;
    let text = format!("before\n{}\nbehind\n", "x".repeat(1_100_000));
    {
        let mut cloud = aws.cloud.lock().expect("nobody panicked");
        cloud
            .s3()
            .put("logs", "app/1.log.gz", gzip(&gzip(text.as_bytes())), NOW);
    }
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let positions = folder.path().join("positions.redb");
    let polled = format!(
        "[s3.app]\nobjects = [{{ bucket = \"logs\", prefix = \"app/\", decode = \"lines\" }}]\npoll = {{ positions = {positions:?}, interval = \"1s\", start = \"trim-horizon\" }}"
    );
    let config = bed::config(folder.path(), &aws, address, &polled);
    let forebay = Forebay::start(&config);
    let mut arrived = Vec::new();
    for _ in 0..2 {
        let message = timeout(PATIENCE, messages.next()).await.expect("a message");
        let message = message.expect("the listener runs");
        let message: Value = serde_json::from_slice(&message.json).expect("GELF is JSON");
        arrived.push(message["short_message"].clone());
    }
    assert_eq!(arrived, ["before", "behind"]);
    let letters = bed::letters(folder.path(), 1).await;
    for (key, expected) in [
        ("class", "record"),
        ("origin", "s3://logs/app/1.log.gz"),
        ("position", "record 1, byte 7"),
        (
            "reason",
            "the line is longer than 1048576 bytes, of which the first 1048576 are kept",
        ),
    ] {
        assert_eq!(letters[0][key], expected);
    }
    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
}
