//! Every class of bad record that a stream can bring: its own dead letter, and its neighbours arrive.

use md5::{Digest, Md5};
use serde_json::Value;
use tokio::time::timeout;

use crate::bed::{self, Aws, Forebay, PATIENCE, flow_line, gzip, payload};

/// One bad record.
struct Case {
    name: &'static str,
    stream: &'static str,
    data: Vec<u8>,
    /// Class and a part of the reason of each letter, in order.
    letters: &'static [(&'static str, &'static str)],
    /// What arrives of the record itself: byte counts of flow logs, or beginnings of texts.
    arrives: &'static [&'static str],
}

fn case(
    name: &'static str,
    data: Vec<u8>,
    letters: &'static [(&'static str, &'static str)],
    arrives: &'static [&'static str],
) -> Case {
    let stream = "flow";
    Case {
        name,
        stream,
        data,
        letters,
        arrives,
    }
}

/// A log text on the other stream.
fn text(
    name: &'static str,
    message: &str,
    letters: &'static [(&'static str, &'static str)],
    arrives: &'static [&'static str],
) -> Case {
    Case {
        stream: "texts",
        ..case(name, payload(&[message]), letters, arrives)
    }
}

fn cases() -> Vec<Case> {
    let good = payload(&[&flow_line(7_001)]);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut data = good.clone();
        change(&mut data);
        data
    };
    let envelope =
        |inside: &str| format!(r#"{{"messageType":"DATA_MESSAGE",{inside}"logEvents":[]}}"#);
    let deep = "[".repeat(70) + &"]".repeat(70);
    // One part in a hundred does not repeat, so that the ratio stays that of real logs.
    let mut large = String::new();
    for number in 0_u64..3_600 {
        let mut random = number;
        for _ in 0..6 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            large += &format!("{random:016x}");
        }
        large += &" ".repeat(10_000);
    }
    vec![
        case("no payload", b"hello".to_vec(), &[("payload", "no CloudWatch Logs envelope")], &[]),
        case("nothing", b" ".to_vec(), &[("payload", "input is empty")], &[]),
        case("other JSON", gzip(br#"{"a":1}"#), &[("payload", "no CloudWatch Logs envelope")], &[]),
        case("JSON that breaks off", gzip(br#"{"messageType":"DATA_MESSAGE","logEvents":[{"#), &[("payload", "it ends too early")], &[]),
        case("bomb by ratio", gzip(&vec![b' '; 16 << 20]), &[("payload", "inflated bytes per compressed byte")], &[]),
        case("bomb by size", gzip(large.as_bytes()), &[("payload", "more than 33554432 inflated bytes")], &[]),
        case("too many members", gzip(b" ").repeat(1_025), &[("payload", "more than 1024 gzip members")], &[]),
        case("compressed twice", gzip(&good), &[("payload", "compressed layers")], &[]),
        case("gzip cut short", with(|data| data.truncate(data.len() - 9)), &[("payload", "ends too early")], &[]),
        case("checksum wrong", with(|data| *data.iter_mut().rev().nth(6).expect("a trailer") ^= 1), &[("payload", "checksum differs")], &[]),
        case("length wrong", with(|data| *data.last_mut().expect("a trailer") ^= 1), &[("payload", "length differs")], &[]),
        case("bytes after the end", with(|data| data.extend(b"more")), &[("payload", "other bytes follow")], &[]),
        case("deep JSON", gzip(envelope(&format!("\"x\":{deep},")).as_bytes()), &[("payload", "levels of nesting")], &[]),
        case("unknown message type", gzip(br#"{"messageType":"OTHER","logGroup":"g","logEvents":[]}"#), &[("payload", "is not known")], &[]),
        case(
            "one bad line of three",
            payload(&[&flow_line(7_002), "2 no flow log", &flow_line(7_003)]),
            &[("flow-log", "")],
            &["7002", "7003"],
        ),
        case(
            "one bad event of three",
            gzip(
                format!(
                    r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","logEvents":[{{"id":"1","timestamp":1,"message":"{}"}},7,{{"id":"3","timestamp":1,"message":"{}"}}]}}"#,
                    flow_line(7_004),
                    flow_line(7_005)
                )
                .as_bytes(),
            ),
            &[("event", "")],
            &["7004", "7005"],
        ),
        case(
            "aggregate with a bad index",
            aggregate(&[(0, &payload(&[&flow_line(7_006)])), (9, b"lost"), (0, &payload(&[&flow_line(7_007)]))]),
            &[("payload", "")],
            &["7006", "7007"],
        ),
        case("aggregate with a bad checksum", {
            let mut data = aggregate(&[(0, b"x")]);
            *data.last_mut().expect("a digest") ^= 1;
            data
        }, &[("payload", "KPL aggregate")], &[]),
        text("a message over 1 MiB", &"long ".repeat(220_000), &[("event", "`message` is too large")], &["long long"]),
        text("a message of 2 MiB in GELF", &"\u{1}x".repeat(300_000), &[("event", "the limit is 2097151")], &["\u{1}x\u{1}x"]),
    ]
}

/// A KPL aggregate with one partition key: records of index and data.
fn aggregate(records: &[(u8, &[u8])]) -> Vec<u8> {
    fn field(number: u8, data: &[u8], to: &mut Vec<u8>) {
        to.push(number << 3 | 2);
        let mut length = data.len();
        while length > 0x7f {
            to.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        to.push(length as u8);
        to.extend(data);
    }
    let mut message = Vec::new();
    field(1, b"key", &mut message);
    for (index, data) in records {
        let mut record = vec![1 << 3, *index];
        field(3, data, &mut record);
        field(3, &record, &mut message);
    }
    let digest = Md5::digest(&message);
    [&[0xf3, 0x89, 0x9a, 0xc2][..], &message, &digest].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_become_dead_letters_and_their_neighbours_arrive() {
    let aws = Aws::start().await;
    for stream in ["flow", "texts"] {
        let request = aws.kinesis().create_stream().stream_name(stream);
        request.shard_count(1).send().await.expect("a new stream");
    }
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = "[kinesis.texts]\nstream = \"texts\"\ndecode = \"cloudwatch\"\nstart = \"trim-horizon\"\nread_interval = \"200ms\"";
    let config = bed::config(folder.path(), &aws, address, texts);
    let forebay = Forebay::start(&config);
    let cases = cases();
    let mut wanted = Vec::new();
    let mut letters = Vec::new();
    for (number, case) in (1_u64..).zip(&cases) {
        let sequence = aws.put_record(case.stream, "key", case.data.clone()).await;
        letters.extend(
            case.letters
                .iter()
                .map(|letter| (case.name, sequence.clone(), letter)),
        );
        wanted.extend(case.arrives.iter().map(ToString::to_string));
        // The neighbour behind it.
        let line = flow_line(number);
        aws.put_record(case.stream, "key", payload(&[&line])).await;
        wanted.push(if case.stream == "flow" {
            number.to_string()
        } else {
            line
        });
    }
    let received = async {
        while !wanted.is_empty() {
            let arrived = messages.next().await.expect("the listener runs");
            let message: Value = serde_json::from_slice(&arrived.json).expect("GELF is JSON");
            let seen = match message["_bytes"].as_u64() {
                Some(bytes) => bytes.to_string(),
                None => match &message["full_message"] {
                    Value::String(text) => text.clone(),
                    _ => message["short_message"]
                        .as_str()
                        .expect("a text")
                        .to_owned(),
                },
            };
            // The one that tells most of it: `2` is also the beginning of every flow log.
            let known = (0..wanted.len())
                .filter(|&index| seen.starts_with(&wanted[index]))
                .max_by_key(|&index| wanted[index].len());
            let shown: String = seen.chars().take(100).collect();
            wanted.swap_remove(known.unwrap_or_else(|| panic!("nobody waits for `{shown}`")));
        }
    };
    if timeout(PATIENCE * 2, received).await.is_err() {
        panic!("{wanted:?} are missing: {}", forebay.log());
    }
    let mut kept = bed::letters(folder.path(), letters.len()).await;
    for (name, sequence, (class, reason)) in letters {
        let found = kept.iter().position(|letter| {
            let position = letter["position"].as_str().unwrap_or_default();
            position.starts_with(&sequence) && letter["class"] == *class
        });
        let found = found.unwrap_or_else(|| panic!("no letter of `{name}` ({class}): {kept:#?}"));
        let letter = kept.swap_remove(found);
        let told = letter["reason"].as_str().expect("a reason");
        assert!(
            !told.is_empty() && told.contains(reason),
            "`{name}`: {told}"
        );
    }
    assert_eq!(kept, [Value::Null; 0], "nothing else is a dead letter");
    let peak = forebay.peak_memory();
    assert!(peak <= (64 + 64) << 20, "{} MiB at most", peak >> 20);
    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    let checkpoints = aws.leases().await;
    assert!(
        checkpoints
            .iter()
            .all(|(_, at)| at.bytes().all(|byte| byte.is_ascii_digit())),
        "{checkpoints:?}"
    );
}
