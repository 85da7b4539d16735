//! AWS is not there when the process starts.

use forebay_localaws::{Fault, FaultRule, QueueAttributes, Service, ServiceError};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bed::{self, Aws, Forebay, PATIENCE, bytes_of, gzip};

const NOW: u64 = 1_795_000_000_000;
const KEY: &str = "AWSLogs/000000000000/CloudTrail/eu-west-1/2026/11/25/000000000000_CloudTrail_eu-west-1_20261125T1200Z_0000000000000001.json.gz";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sqs_that_fails_at_the_start_holds_up_its_own_input_only() {
    let aws = Aws::with_stream().await;
    aws.put(1).await;
    let expired = ServiceError::new("ExpiredToken", 403, "The security token is expired");
    {
        let mut cloud = aws.cloud.lock().expect("nobody panicked");
        cloud
            .sqs()
            .create_queue("notices", QueueAttributes::default(), NOW);
        let notice = json!({"s3Bucket": "trail", "s3ObjectKey": [KEY]}).to_string();
        cloud.sqs().send("notices", &notice, NOW).expect("a queue");
        let record = json!({
            "eventVersion": "1.11", "eventTime": "2026-11-25T12:00:00Z", "eventSource": "iam.amazonaws.com",
            "eventName": "Test", "awsRegion": "eu-west-1", "eventID": "1", "eventType": "AwsApiCall",
        });
        let file = gzip(json!({"Records": [record]}).to_string().as_bytes());
        cloud.s3().put("trail", KEY, file, NOW);
        // The SDK tries three times what may go away by itself.
        for (fault, times) in [(Fault::ServerError, 3), (Fault::Error(expired), 1)] {
            let rule = FaultRule::new(fault).service(Service::Sqs);
            cloud
                .faults()
                .push(rule.operation("GetQueueUrl").times(times));
        }
    }
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trail = "[cloudtrail.trail]\nqueue = \"notices\"\n";
    let forebay = Forebay::start(&bed::config(folder.path(), &aws, address, trail));
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);
    let arrived = timeout(PATIENCE, messages.next()).await;
    let arrived = arrived.unwrap_or_else(|_| panic!("{}", forebay.log()));
    let arrived = arrived.expect("the listener runs");
    let message: Value = serde_json::from_slice(&arrived.json).expect("GELF is JSON");
    assert_eq!(message["_event_name"], "Test");
    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("unreachable") && log.contains("ExpiredToken"),
        "too soft: {log}"
    );
}
