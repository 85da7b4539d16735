//! The demo's producer: a small invented company whose logs are numbered, so that every one can be accounted for.

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::Context;
use aws_sdk_kinesis::{primitives::Blob, types::PutRecordsRequestEntry};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use super::{
    ledger::{Expected, Ledger},
    world::{BUCKET, HOSTS, LOAD_BALANCER, STREAM, TRAIL_ACCOUNT, World},
};

/// Numbers and makes events, books them, puts them in.
#[derive(Debug)]
pub(super) struct Feed {
    world: World,
    ledger: Arc<Ledger>,
    next: u64,
    /// Wall-clock milliseconds at the start; event times count up from here.
    epoch_millis: i64,
}

/// Input that is broken on purpose, each once.
pub(super) const BROKEN: u64 = 4;

impl Feed {
    pub(super) fn new(world: World, ledger: Arc<Ledger>, epoch_millis: i64) -> Self {
        Self {
            world,
            ledger,
            next: 0,
            epoch_millis,
        }
    }

    /// Feeds for `length`, then returns.
    pub(super) async fn run(mut self, length: Duration) -> anyhow::Result<()> {
        self.control_message().await?;
        let begun = Instant::now();
        let mut tick = interval(TICK);
        let mut round = 0u64;
        while round == 0 || begun.elapsed() < length {
            tick.tick().await;
            self.logs(round).await?;
            if round.is_multiple_of(5) {
                self.trail(round).await?;
            }
            if round == 3 {
                self.broken().await?;
            }
            round += 1;
        }
        while round < 4 {
            round += 1;
            if round == 4 {
                self.broken().await?;
            }
        }
        Ok(())
    }

    /// Some flow logs in both formats and some application logs.
    async fn logs(&mut self, round: u64) -> anyhow::Result<()> {
        let flows = (0..FLOWS).map(|_| self.flow()).collect();
        let custom = (0..CUSTOM_FLOWS).map(|_| self.custom_flow()).collect();
        let texts = (0..TEXTS).map(|_| self.text()).collect();
        let payloads = [
            payload(FLOW_GROUP, "eni-0a1b2c3d-all", flows),
            payload(CUSTOM_GROUP, "eni-0a1b2c3d-all", custom),
            payload(APP_GROUP, "checkout/7f3a", texts),
        ];
        let records = payloads.into_iter().zip(["flow", "custom", "app"]);
        let records = records.map(|(payload, key)| Ok((format!("{key}-{round}"), gzip(&payload)?)));
        self.put(records.collect::<anyhow::Result<Vec<_>>>()?).await
    }

    /// A default-format line between two addresses of the world.
    fn flow(&mut self) -> Value {
        let (n, time) = self.number();
        let (source, destination) = (
            HOSTS[n as usize % HOSTS.len()],
            HOSTS[(n as usize + 1) % HOSTS.len()],
        );
        let destination_address = if n.is_multiple_of(3) {
            LOAD_BALANCER.address
        } else {
            destination.address
        };
        let (interface, from, start) = (source.interface, source.address, time / 1000);
        let port = 49_152 + n % 16_000;
        let (action, status) = if n.is_multiple_of(11) {
            ("REJECT", "OK")
        } else {
            ("ACCEPT", "OK")
        };
        let packets = 1 + n % 40;
        let line = format!(
            "2 {TRAIL_ACCOUNT} {interface} {from} {destination_address} {port} 443 6 {packets} {n} {start} {end} {action} {status}",
            end = start + 58,
        );
        let mut members = vec![
            ("host", json!("aws-flowlogs")),
            (
                "short_message",
                json!(format!(
                    "{interface} {action} TCP {from}:{port} -> {destination_address}:443"
                )),
            ),
            ("timestamp", seconds(time)),
            ("_account_id", json!(TRAIL_ACCOUNT)),
            ("_interface_id", json!(interface)),
            ("_src_addr", json!(from)),
            ("_dst_addr", json!(destination_address)),
            ("_src_port", json!(port)),
            ("_dst_port", json!(443)),
            ("_protocol_number", json!(6)),
            ("_protocol", json!("TCP")),
            ("_packets", json!(packets)),
            ("_bytes", json!(n)),
            ("_capture_window_duration_seconds", json!(58)),
            ("_action", json!(action)),
            ("_log_status", json!(status)),
            ("_aws_source", json!("true")),
            ("_aws_log_group", json!(FLOW_GROUP)),
            (
                "_src_addr_entity",
                json!(format!("ec2:{}", source.instance)),
            ),
            ("_src_addr_entity_description", json!(source.name)),
            ("_src_addr_entity_aws_type", json!("EC2")),
        ];
        if destination_address == LOAD_BALANCER.address {
            members.push((
                "_dst_addr_entity",
                json!(format!("elb:{}", LOAD_BALANCER.name)),
            ));
            members.push(("_dst_addr_entity_aws_type", json!("ELB")));
        } else {
            members.push((
                "_dst_addr_entity",
                json!(format!("ec2:{}", destination.instance)),
            ));
        }
        self.book("vpc-flow", n, members);
        event(n, time, &line)
    }

    /// A line of [`CUSTOM_FORMAT`].
    fn custom_flow(&mut self) -> Value {
        let (n, time) = self.number();
        let source = HOSTS[n as usize % HOSTS.len()];
        let line = format!("5 vpc-0a1b {} 198.51.100.7 {n} egress 8", source.address);
        let members = vec![
            ("host", json!("aws-flowlogs")),
            (
                "short_message",
                json!(format!("- - - {}:- -> 198.51.100.7:-", source.address)),
            ),
            ("timestamp", seconds(time)),
            ("_src_addr", json!(source.address)),
            ("_dst_addr", json!("198.51.100.7")),
            ("_bytes", json!(n)),
            ("_vpc_id", json!("vpc-0a1b")),
            ("_flow_direction", json!("egress")),
            ("_traffic_path", json!(8)),
            ("_src_addr_entity_description", json!(source.name)),
        ];
        self.book("vpc-flow custom", n, members);
        event(n, time, &line)
    }

    /// A line of application log, with the characters that JSON must escape.
    fn text(&mut self) -> Value {
        let (n, time) = self.number();
        let text = format!(
            "order {n} accepted: {{\"total\": \"{}.50 €\"}}\n\tat Checkout.submit(Checkout.java:42)",
            n % 90
        );
        let members = vec![
            ("host", json!("aws-raw-logs")),
            ("short_message", json!(text)),
            ("timestamp", seconds(time)),
            ("_aws_log_group", json!(APP_GROUP)),
            ("_aws_log_stream", json!("checkout/7f3a")),
        ];
        self.book("app-log", n, members);
        event(n, time, &text)
    }

    /// One CloudTrail file with its notice.
    async fn trail(&mut self, round: u64) -> anyhow::Result<()> {
        let records: Vec<Value> = (0..TRAIL_RECORDS).map(|_| self.trail_record()).collect();
        let key = trail_key(round);
        let content = gzip(&json!({ "Records": records }).to_string())?;
        self.object(&key, content).await?;
        self.notice(&key).await
    }

    fn trail_record(&mut self) -> Value {
        let (n, time) = self.number();
        // CloudTrail tells whole seconds.
        let seconds = time / 1000;
        let event_id = format!("{n:08x}-0000-4000-8000-{n:012x}");
        let (source, name) = [
            ("ec2.amazonaws.com", "RunInstances"),
            ("s3.amazonaws.com", "GetObject"),
            ("signin.amazonaws.com", "ConsoleLogin"),
        ][n as usize % 3];
        let when = jiff::Timestamp::from_second(seconds)
            .map(|time| time.to_string())
            .unwrap_or_default();
        let members = vec![
            ("host", json!("aws-cloudtrail")),
            (
                "short_message",
                json!(format!("{source}:{name} in eu-west-1 by 203.0.113.9 / mia")),
            ),
            ("timestamp", json!(seconds)),
            ("_event_source", json!(source)),
            ("_event_name", json!(name)),
            ("_user_name", json!("mia")),
            ("_source_address", json!("203.0.113.9")),
            ("_aws_source", json!("true")),
        ];
        self.ledger.expect(Expected {
            kind: "cloudtrail",
            id: event_id.clone(),
            members,
        });
        json!({
            "eventVersion": "1.11",
            "userIdentity": {"type": "IAMUser", "userName": "mia", "accountId": TRAIL_ACCOUNT, "principalId": "AIDAEXAMPLE"},
            "eventTime": when,
            "eventSource": source,
            "eventName": name,
            "awsRegion": "eu-west-1",
            "sourceIPAddress": "203.0.113.9",
            "userAgent": "aws-cli/2.31",
            "requestParameters": {"bucketName": "orders", "key": format!("2026/{n}.json")},
            "responseElements": null,
            "requestID": format!("req-{n}"),
            "eventID": event_id,
            "readOnly": n.is_multiple_of(2),
            "eventType": "AwsApiCall",
            "recipientAccountId": TRAIL_ACCOUNT,
        })
    }

    /// What a real feed contains now and then: each becomes one report and one dead letter.
    async fn broken(&mut self) -> anyhow::Result<()> {
        // A gzip member with a flipped bit in its checksum, and one event that is lost with it.
        let mut corrupt = gzip(&payload(
            APP_GROUP,
            "checkout/7f3a",
            vec![event(0, self.epoch_millis, "never seen")],
        ))?;
        let checksum = corrupt.len() - 8;
        corrupt[checksum] ^= 0x55;
        // A payload that ends in the middle of its second event: the first is delivered.
        let whole = self.text();
        let text = payload(
            APP_GROUP,
            "checkout/7f3a",
            vec![whole, event(0, self.epoch_millis, "cut here")],
        );
        let cut = text.find("cut here").unwrap_or(text.len());
        let truncated = gzip(text.get(..cut).unwrap_or(&text))?;
        // A line with thirteen fields, between two good ones.
        let (before, after) = (self.flow(), self.flow());
        let short = event(
            0,
            self.epoch_millis,
            "2 123456789012 eni-0a1b2c3d 10.0.0.5 10.0.0.6 49152 443 6 1 1 1 ACCEPT OK",
        );
        let line = gzip(&payload(
            FLOW_GROUP,
            "eni-0a1b2c3d-all",
            vec![before, short, after],
        ))?;
        self.put(vec![
            ("bad-gzip".into(), corrupt),
            ("bad-json".into(), truncated),
            ("bad-line".into(), line),
        ])
        .await?;
        // An object that is announced as CloudTrail log and is none.
        let key = trail_key(999);
        self.object(&key, b"this is no log file".to_vec()).await?;
        self.notice(&key).await
    }

    /// What CloudWatch Logs sends when a subscription is made: no log data.
    async fn control_message(&self) -> anyhow::Result<()> {
        let message = json!({
            "messageType": "CONTROL_MESSAGE",
            "owner": "CloudwatchLogs",
            "logGroup": "",
            "logStream": "",
            "subscriptionFilters": [],
            "logEvents": [{"id": "", "timestamp": self.epoch_millis, "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}],
        });
        self.put(vec![("control".into(), gzip(&message.to_string())?)])
            .await
    }

    async fn put(&self, records: Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
        let mut waiting = records
            .into_iter()
            .map(|(key, data)| {
                PutRecordsRequestEntry::builder()
                    .partition_key(key)
                    .data(Blob::new(data))
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()?;
        // A record that was throttled or failed is put again, as any producer must.
        for attempt in 0..PUT_ATTEMPTS {
            let request = self
                .world
                .kinesis
                .put_records()
                .stream_name(STREAM)
                .set_records(Some(waiting.clone()));
            if let Ok(answer) = request.send().await {
                let failed = answer
                    .records
                    .iter()
                    .map(|record| record.error_code.is_some());
                waiting = waiting
                    .into_iter()
                    .zip(failed)
                    .filter_map(|(record, failed)| failed.then_some(record))
                    .collect();
                if waiting.is_empty() {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        anyhow::bail!(
            "the demo's feeder could not put {} records on the stream",
            waiting.len()
        )
    }

    async fn object(&self, key: &str, content: Vec<u8>) -> anyhow::Result<()> {
        let body = content.into();
        self.world
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .body(body)
            .send()
            .await
            .context("the demo's bucket")?;
        Ok(())
    }

    /// CloudTrail's own notice, as SNS wraps it for a queue.
    async fn notice(&self, key: &str) -> anyhow::Result<()> {
        let envelope = json!({
            "Type": "Notification",
            "MessageId": format!("m-{key}"),
            "TopicArn": format!("arn:aws:sns:eu-west-1:{TRAIL_ACCOUNT}:trail"),
            "Message": json!({"s3Bucket": BUCKET, "s3ObjectKey": [key]}).to_string(),
            "Timestamp": "2026-11-25T12:00:00.000Z",
            "SignatureVersion": "1",
        });
        let request = self
            .world
            .sqs
            .send_message()
            .queue_url(&self.world.queue_url)
            .message_body(envelope.to_string());
        request.send().await.context("the demo's queue")?;
        Ok(())
    }

    fn number(&mut self) -> (u64, i64) {
        self.next += 1;
        // 3 ms apart, so that milliseconds matter.
        (
            self.next,
            self.epoch_millis + i64::try_from(self.next).unwrap_or(0) * 3,
        )
    }

    fn book(&self, kind: &'static str, n: u64, members: Vec<(&'static str, Value)>) {
        self.ledger.expect(Expected {
            kind,
            id: n.to_string(),
            members,
        });
    }
}

/// Tells which booked event a received message is.
pub(super) fn identify(message: &serde_json::Map<String, Value>) -> Option<(&'static str, String)> {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    if let Some(id) = text("_event_id") {
        return Some(("cloudtrail", id.to_owned()));
    }
    let number = || message.get("_bytes").map(Value::to_string);
    match text("_aws_log_group")? {
        FLOW_GROUP => Some(("vpc-flow", number()?)),
        CUSTOM_GROUP => Some(("vpc-flow custom", number()?)),
        APP_GROUP => Some((
            "app-log",
            text("short_message")?.split(' ').nth(1)?.to_owned(),
        )),
        _ => None,
    }
}

/// A subscription payload with its members in the order in which CloudWatch Logs writes them.
fn payload(group: &str, stream: &str, events: Vec<Value>) -> String {
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"{TRAIL_ACCOUNT}","logGroup":"{group}","logStream":"{stream}","subscriptionFilters":["forebay"],"logEvents":{}}}"#,
        Value::Array(events)
    )
}

fn event(n: u64, time: i64, message: &str) -> Value {
    json!({"id": format!("{n:056}"), "timestamp": time, "message": message})
}

fn trail_key(n: u64) -> String {
    format!(
        "AWSLogs/{TRAIL_ACCOUNT}/CloudTrail/eu-west-1/2026/11/25/{TRAIL_ACCOUNT}_CloudTrail_eu-west-1_20261125T1200Z_{n:016}.json.gz"
    )
}

fn gzip(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?)
}

/// Seconds with milliseconds, as GELF has them: whole seconds have no fraction.
fn seconds(millis: i64) -> Value {
    if millis % 1000 == 0 {
        json!(millis / 1000)
    } else {
        json!(millis as f64 / 1000.0)
    }
}

/// The fields of the custom format, as one would give them to AWS.
pub(super) const CUSTOM_FORMAT: &str =
    "${version} ${vpc-id} ${srcaddr} ${dstaddr} ${bytes} ${flow-direction} ${traffic-path}";
pub(super) const FLOW_GROUP: &str = "/vpc/flow-logs";
pub(super) const CUSTOM_GROUP: &str = "/vpc/flow-logs-custom";
pub(super) const APP_GROUP: &str = "/app/checkout";

const TICK: Duration = Duration::from_millis(100);
const FLOWS: u64 = 20;
const CUSTOM_FLOWS: u64 = 8;
const TEXTS: u64 = 6;
const TRAIL_RECORDS: u64 = 12;
const PUT_ATTEMPTS: u32 = 8;
