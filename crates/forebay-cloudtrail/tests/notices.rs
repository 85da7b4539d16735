//! Every form in which a notice arrives, and the forged ones.

use forebay_cloudtrail::{
    Disposition, Form, KeyKind, NothingReason, Notice, NoticeError, NoticeLimit,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2024/07/10/123456789012_CloudTrail_eu-west-1_20240710T1645Z_Ab12Cd34Ef56Gh78.json.gz";
const DIGEST: &str = "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/2024/07/10/123456789012_CloudTrail-Digest_eu-west-1_trail_eu-west-1_20240710T164500Z.json.gz";

fn sns(message: &str) -> String {
    json!({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:trail", "Subject": null,
        "Message": message, "Timestamp": "2024-07-10T16:48:26.000Z", "SignatureVersion": "1", "Signature": "s",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem", "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/", "NewMember": {}})
    .to_string()
}

fn s3_record(name: &str, bucket: &str, key: &str) -> Value {
    json!({"eventVersion": "2.5", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": "2024-07-10T16:48:26.123Z", "eventName": name,
        "s3": {"bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": key, "size": 1024, "eTag": "\"abc\"", "versionId": "v1", "sequencer": "00AB"}}})
}

fn s3(bucket: &str, key: &str) -> String {
    json!({"Records": [s3_record("ObjectCreated:Put", bucket, key)]}).to_string()
}

fn event_bridge(bucket: &str, key: &str) -> Value {
    json!({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "account": "123456789012", "time": "2024-07-10T16:48:26Z",
        "region": "eu-west-1", "detail": {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "size": 9, "etag": "e", "version-id": "v"},
        "reason": "PutObject"}})
}

fn cloudtrail(bucket: &str, keys: &[&str]) -> String {
    json!({"s3Bucket": bucket, "s3ObjectKey": keys}).to_string()
}

/// Form, envelopes and keys of a body.
fn check(body: &str, form: Form, envelopes: u8, keys: &[&str]) {
    let notice = Notice::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_eq!((notice.form, notice.envelopes), (form, envelopes), "{body}");
    assert_eq!(
        notice
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect::<Vec<_>>(),
        keys,
        "{body}"
    );
    assert_eq!(notice.topic_arn.is_some(), envelopes > 0);
    if !keys.is_empty() {
        assert_eq!(notice.disposition(), Disposition::Objects);
        assert!(
            notice
                .objects
                .iter()
                .all(|object| object.bucket.as_str() == "trail-logs")
        );
    }
}

fn check_nothing(body: &str, reason: NothingReason) {
    let notice = Notice::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_eq!(notice.disposition(), Disposition::Nothing(reason), "{body}");
}

#[test]
fn form_1_cloudtrail_over_sns() {
    check(
        &sns(&cloudtrail("trail-logs", &[KEY, "a+b%20c"])),
        Form::CloudTrail,
        1,
        &[KEY, "a+b%20c"],
    );
}

#[test]
fn form_2_cloudtrail_with_raw_delivery() {
    check(
        &cloudtrail("trail-logs", &[KEY]),
        Form::CloudTrail,
        0,
        &[KEY],
    );
    check(
        &json!({"s3Bucket": "trail-logs", "s3ObjectKey": KEY}).to_string(),
        Form::CloudTrail,
        0,
        &[KEY],
    );
    check(
        &json!({"s3Bucket": "trail-logs", "s3ObjectKey": []}).to_string(),
        Form::CloudTrail,
        0,
        &[],
    );
}

#[test]
fn form_3_s3_event() {
    check(
        &s3("trail-logs", "a+b%2Bc%20d%C3%A9"),
        Form::S3,
        0,
        &["a b+c d\u{e9}"],
    );
    let notice = Notice::parse(s3("trail-logs", KEY).as_bytes()).expect("a notice");
    let object = &notice.objects[0];
    assert_eq!(
        (
            object.size,
            object.etag.as_deref(),
            object.version_id.as_deref()
        ),
        (Some(1024), Some("abc"), Some("v1"))
    );
    assert_eq!(
        (object.sequencer.as_deref(), object.region.as_deref()),
        (Some("00AB"), Some("eu-west-1"))
    );
    assert_eq!(object.event_millis, Some(1_720_630_106_123));
    assert_eq!(object.key.kind(), KeyKind::CloudTrail);
}

#[test]
fn form_4_s3_event_over_sns() {
    check(&sns(&s3("trail-logs", "a+b")), Form::S3, 1, &["a b"]);
}

#[test]
fn form_5_event_bridge() {
    check(
        &event_bridge("trail-logs", "a+b%20c").to_string(),
        Form::EventBridge,
        0,
        &["a+b%20c"],
    );
}

#[test]
fn form_6_event_bridge_over_sns() {
    check(
        &sns(&event_bridge("trail-logs", "a+b").to_string()),
        Form::EventBridge,
        1,
        &["a+b"],
    );
}

#[test]
fn form_7_security_lake() {
    let mut event = event_bridge("trail-logs", "a+b");
    event.as_object_mut().expect("object").remove("detail-type");
    check(&event.to_string(), Form::SecurityLake, 0, &["a+b"]);
}

#[test]
fn form_8_test_event() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2024-07-10T16:48:26Z", "Bucket": "trail-logs", "RequestId": "r", "HostId": "h"});
    check_nothing(&test.to_string(), NothingReason::TestEvent);
    check_nothing(&sns(&test.to_string()), NothingReason::TestEvent);
}

#[test]
fn form_9_cloudtrail_validation() {
    check_nothing(
        &sns("CloudTrail validation message."),
        NothingReason::Validation,
    );
    check_nothing("CloudTrail validation message.", NothingReason::Validation);
}

#[test]
fn form_10_aws_config() {
    check_nothing(
        &sns(r#"{"configurationItem":{},"messageType":"ConfigurationItemChangeNotification"}"#),
        NothingReason::AwsConfig,
    );
    check_nothing(
        &sns(r#"{"messageType":"ComplianceChangeNotification"}"#),
        NothingReason::AwsConfig,
    );
}

#[test]
fn form_11_subscription_confirmation() {
    let body = json!({"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?x", "Message": "You have chosen"});
    check_nothing(&body.to_string(), NothingReason::SubscriptionConfirmation);
}

#[test]
fn form_12_cloudtrail_through_event_bridge() {
    for kind in [
        "AWS API Call via CloudTrail",
        "AWS Console Sign In via CloudTrail",
        "AWS Service Event via CloudTrail",
    ] {
        let body = json!({"detail-type": kind, "source": "aws.ec2", "detail": {"eventVersion": "1.08", "eventName": "X"}}).to_string();
        for body in [body.clone(), sns(&body)] {
            let notice = Notice::parse(body.as_bytes()).expect("a notice");
            assert_eq!(
                (notice.form, notice.disposition()),
                (Form::CloudTrailEvent, Disposition::Record)
            );
            let payload = notice.payload.expect("the record");
            let mut reader = forebay_cloudtrail::FileReader::new(payload.as_bytes());
            let record = reader.next_record().expect("one").expect("good");
            assert_eq!(record.event().event_name().expect("there"), "X");
        }
    }
}

#[test]
fn wrappings_inside_wrappings_are_unwrapped_once_each() {
    check(
        &sns(&sns(&cloudtrail("trail-logs", &[KEY]))),
        Form::CloudTrail,
        2,
        &[KEY],
    );
    let object = json!({"Type": "Notification", "TopicArn": "t", "Message": {"s3Bucket": "trail-logs", "s3ObjectKey": [KEY]}});
    check(&object.to_string(), Form::CloudTrail, 1, &[KEY]);
    check(
        &format!("\u{feff}\n {} \n", cloudtrail("trail-logs", &[KEY])),
        Form::CloudTrail,
        0,
        &[KEY],
    );
}

#[test]
fn what_is_no_log_file_is_counted_and_left_out() {
    let records = json!({"Records": [
        s3_record("ObjectCreated:Put", "trail-logs", KEY), s3_record("ObjectRemoved:Delete", "trail-logs", KEY),
        s3_record("ObjectCreated:Copy", "trail-logs", DIGEST), s3_record("ObjectCreated:Put", "trail-logs", "AWSLogs/123456789012/"),
        s3_record("s3:ObjectCreated:CompleteMultipartUpload", "trail-logs", "b"), s3_record("ObjectRestore:Completed", "trail-logs", KEY)]});
    let notice = Notice::parse(records.to_string().as_bytes()).expect("a notice");
    assert_eq!(
        notice
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect::<Vec<_>>(),
        [KEY, "b"]
    );
    assert_eq!(
        (
            notice.ignored.not_created,
            notice.ignored.digests,
            notice.ignored.folders,
            notice.ignored.total()
        ),
        (2, 1, 1, 4)
    );

    let mut empty = s3_record("ObjectCreated:Put", "trail-logs", KEY);
    empty["s3"]["object"]["size"] = json!(0);
    let notice =
        Notice::parse(json!({"Records": [empty]}).to_string().as_bytes()).expect("a notice");
    assert_eq!(
        (notice.ignored.empty, notice.disposition()),
        (1, Disposition::Nothing(NothingReason::NoLogFiles))
    );
}

#[test]
fn other_bodies_are_unknown_and_no_error() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "1",
        "\"x\"",
        "hello",
        "{\"Records\":[]}",
        "{\"Records\":null}",
        "{\"a\":{\"b\":[1]}}",
        "\u{0}",
        "{",
    ] {
        assert_eq!(
            Notice::parse(body.as_bytes())
                .expect("no error")
                .disposition(),
            Disposition::Unknown,
            "{body}"
        );
    }
    assert_eq!(
        Notice::parse(b"\xff\xfe").expect("no error").disposition(),
        Disposition::Unknown
    );
    assert_eq!(
        Notice::parse(sns("hello").as_bytes())
            .expect("no error")
            .disposition(),
        Disposition::Unknown
    );
}

#[test]
fn sizes_are_limited() {
    let limit = |body: &str| match Notice::parse(body.as_bytes()) {
        Err(NoticeError::Limit { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(&" ".repeat((1 << 20) + 1)), NoticeLimit::BodyBytes);
    assert_eq!(
        limit(&sns(&" ".repeat((256 << 10) + 1))),
        NoticeLimit::MessageBytes
    );
    assert_eq!(
        limit(&cloudtrail("trail-logs", &["k"; 1001])),
        NoticeLimit::Objects
    );
    assert_eq!(limit(&sns(&sns(&sns(&sns("x"))))), NoticeLimit::Envelopes);
    check(
        &cloudtrail("trail-logs", &["k"; 1000]),
        Form::CloudTrail,
        0,
        &["k"; 1000],
    );
    let many = format!(
        r#"{{"s3Bucket":"trail-logs","s3ObjectKey":[{}""]}}"#,
        r#""k","#.repeat(200_000)
    );
    assert_eq!(limit(&many), NoticeLimit::Objects);
}

/// A forged notice is refused as it is read, or by the checks that the caller makes with what this crate gives: the key's own form, the
/// expected bucket and account.
#[test]
fn forged_notices_are_refused_in_every_form() {
    let good = Notice::parse(cloudtrail("trail-logs", &[KEY]).as_bytes()).expect("a notice");
    assert!(is_taken(&good));
    let buckets = [
        "other-bucket",
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/x",
        "arn:aws:s3:::trail-logs",
        "trail-logs/other",
        "Trail-Logs",
        "trail-logs%2f",
        "trail%2dlogs",
        "",
        "..",
        "trail-logs.",
        "169.254.169.254",
        "trail-logs@evil.example",
        "trail-logs?x",
        "trail-logs#",
        "s3://trail-logs",
        "trail_logs",
        "trail-logs\u{0}",
        " trail-logs",
        "tr\u{430}il-logs",
        "mrap.accesspoint.s3-global.amazonaws.com:x",
    ];
    let keys = [
        "secret.txt",
        "AWSLogs/../secret",
        "../../etc/passwd",
        "AWSLogs/123456789012/CloudTrail/../../secret.json.gz",
        &KEY.replace("123456789012", "999999999999"),
        &KEY.replacen("123456789012", "999999999999", 1),
        &KEY.replace("AWSLogs", "awslogs"),
        &KEY.replace("/CloudTrail/", "/Config/"),
        &format!("x%2f..%2f{KEY}"),
        &format!("%252e%252e/{KEY}"),
        &KEY.replace("eu-west-1", "EU"),
        "",
        "\u{0}",
        "a\nb",
        &format!("{}{KEY}", "p/".repeat(600)),
        &format!("/{KEY}"),
        &format!("{KEY}?versionId=x"),
        &format!("{KEY}%00"),
        &KEY.replace(".json.gz", ".json.gz/x"),
        "AWSLogs",
        &KEY.replace("2024/07/10", "2024/7/10"),
    ];
    let mut refused = 0;
    let mut refuse = |body: String| {
        let taken = Notice::parse(body.as_bytes()).is_ok_and(|notice| is_taken(&notice));
        assert!(!taken, "{body}");
        refused += 1;
    };
    for bucket in buckets {
        refuse(cloudtrail(bucket, &[KEY]));
        refuse(sns(&cloudtrail(bucket, &[KEY])));
        refuse(s3(bucket, KEY));
        refuse(event_bridge(bucket, KEY).to_string());
    }
    for key in keys {
        refuse(cloudtrail("trail-logs", &[key]));
        refuse(sns(&cloudtrail("trail-logs", &[KEY, key])));
        refuse(s3("trail-logs", key));
        refuse(event_bridge("trail-logs", key).to_string());
    }
    refuse(s3("trail-logs", "AWSLogs%2F..%2Fsecret"));
    refuse(s3("trail-logs", "%2e%2e%2fsecret"));
    refuse(s3("trail-logs", "AWSLogs/%FF"));
    refuse(json!({"s3Bucket": ["trail-logs"], "s3ObjectKey": [KEY]}).to_string());
    refuse(json!({"s3Bucket": "trail-logs", "s3ObjectKey": {"0": KEY}}).to_string());
    refuse(json!({"s3Bucket": "trail-logs", "s3ObjectKey": [[KEY]]}).to_string());
    refuse(json!({"Records": [s3_record("ObjectCreated:Put", "trail-logs", KEY), {"eventSource": "aws:ses"}]}).to_string());
    refuse(
        json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]})
            .to_string(),
    );
    assert!(refused >= 60, "{refused}");
    println!("{refused} forged notices refused");
}

/// What a careful caller asks: our bucket, CloudTrail's own form, our account.
fn is_taken(notice: &Notice) -> bool {
    !notice.objects.is_empty()
        && notice.objects.iter().all(|object| {
            object.bucket.as_str() == "trail-logs"
                && object
                    .key
                    .cloudtrail_form()
                    .is_some_and(|form| form.account == "123456789012")
        })
}

#[test]
fn a_region_is_a_hint_only_if_it_looks_like_one() {
    for (region, expected) in [
        ("eu-west-1", true),
        ("us-gov-west-1", true),
        ("http://evil.example", false),
        ("eu-west-1.evil.example", false),
        ("", false),
    ] {
        let mut event = event_bridge("trail-logs", KEY);
        event["region"] = json!(region);
        let notice = Notice::parse(event.to_string().as_bytes()).expect("a notice");
        assert_eq!(notice.objects[0].region.is_some(), expected, "{region}");
    }
}

#[test]
fn lambda_events_give_one_notice_per_record() {
    let event = json!({"Records": [
        {"eventSource": "aws:sqs", "body": cloudtrail("trail-logs", &[KEY])},
        {"eventSource": "aws:sqs", "body": cloudtrail("x", &[KEY])},
        {"EventSource": "aws:sns", "Sns": {"TopicArn": "t", "Message": s3("trail-logs", "b")}}]});
    let notices = Notice::from_lambda_event(event.to_string().as_bytes()).expect("an event");
    assert_eq!(
        notices
            .iter()
            .map(|notice| notice.as_ref().map(|notice| notice.form).ok())
            .collect::<Vec<_>>(),
        [Some(Form::CloudTrail), None, Some(Form::S3)]
    );
    let single =
        Notice::from_lambda_event(cloudtrail("trail-logs", &[KEY]).as_bytes()).expect("a notice");
    assert_eq!(single.len(), 1);
}

#[test]
fn errors_say_what_to_do_and_never_repeat_the_message() {
    let error =
        Notice::parse(cloudtrail("arn:aws:s3:::SECRET", &[KEY]).as_bytes()).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "notice refused: bucket of object 0 is an ARN; only plain bucket names are read"
    );
    let error = Notice::parse(br#"{"s3ObjectKey":["SECRET"]}"#).expect_err("malformed");
    assert_eq!(
        error.to_string(),
        "CloudTrail notice without a usable `s3Bucket`; check who else may send to the queue"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Notice::parse(&bytes);
        let _ = Notice::from_lambda_event(&bytes);
    }

    #[test]
    fn a_damaged_notice_never_panics(form in 0..4usize, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let body = [cloudtrail("trail-logs", &[KEY]), sns(&s3("trail-logs", KEY)), event_bridge("trail-logs", KEY).to_string(), s3("trail-logs", DIGEST)];
        let mut body = body[form].clone().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = Notice::parse(&body);
    }

    #[test]
    fn encoding_a_key_as_s3_does_and_decoding_it_gives_the_key(key in "[ -~é中]{1,60}") {
        prop_assume!(key.split('/').all(|part| part != "." && part != ".."));
        let encoded: String = key.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'*' => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            byte => format!("%{byte:02X}"),
        }).collect();
        let decoded = forebay_cloudtrail::ObjectKey::from_encoded(&encoded).expect("a key");
        prop_assert_eq!(decoded.as_str(), key);
    }
}
