//! CloudTrail: log files that are put into the bucket, and the notices that name them.

use forebay_tests::Ledger;
use serde_json::json;

use crate::{
    events::{BAD_ONE_IN, address, gzip},
    scene::Source,
};

pub(crate) const QUEUE: &str = "notices";
pub(crate) const BUCKET: &str = "trail";

/// Records in a second.
const RATE: u64 = 80;
const RECORDS_PER_FILE: u64 = 20;
/// A notice is deleted only when each of them is settled.
const FILES_PER_NOTICE: u64 = 2;
/// One notice in this many is followed by one that is none.
const BAD_NOTICE_ONE_IN: u64 = 20;

/// Puts log files and notices at a steady rate until production ends.
pub(crate) async fn produce(source: Source) {
    let mut notice = 0;
    let put = |source: &Source, due| {
        while (notice + 1) * FILES_PER_NOTICE * RECORDS_PER_FILE <= due {
            let now = (source.clock)();
            let mut keys = Vec::new();
            for number in notice * FILES_PER_NOTICE..(notice + 1) * FILES_PER_NOTICE {
                let (key, file) = log_file(&mut source.books.trail(), number);
                source.cloud().s3().put(BUCKET, &key, file, now);
                keys.push(key);
            }
            let mut bodies = vec![json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string()];
            if notice % BAD_NOTICE_ONE_IN == 0 {
                let number = source.books.trail().produce(true);
                bodies.push(format!("bad {number}"));
            }
            for body in bodies {
                let sent = source.cloud().sqs().send(QUEUE, &body, now);
                sent.expect("the queue exists");
            }
            notice += 1;
        }
    };
    source.at_rate(RATE, put).await;
}

/// A log file and its key as CloudTrail forms it. The first record of some is bad: JSON, but not an object.
pub(crate) fn log_file(books: &mut Ledger, file: u64) -> (String, Vec<u8>) {
    let mut records = Vec::new();
    for at in 0..RECORDS_PER_FILE {
        let is_bad = (file * RECORDS_PER_FILE + at).is_multiple_of(BAD_ONE_IN);
        let number = books.produce(is_bad);
        records.push(if is_bad {
            json!(format!("bad {number}"))
        } else {
            json!({
                "eventVersion": "1.11", "eventTime": "2026-11-26T12:00:00Z", "eventSource": "sts.amazonaws.com",
                "eventName": "AssumeRole", "awsRegion": "eu-west-1", "sourceIPAddress": address(number),
                "eventID": number.to_string(), "eventType": "AwsApiCall", "recipientAccountId": "000000000000",
            })
        });
    }
    let key = format!(
        "AWSLogs/000000000000/CloudTrail/eu-west-1/2026/11/26/000000000000_CloudTrail_eu-west-1_20261126T1200Z_{file:016}.json.gz"
    );
    (key, gzip(&json!({"Records": records})))
}
