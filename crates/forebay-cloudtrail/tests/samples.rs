//! Real public payloads and what must come out of them.
#![expect(clippy::print_stdout, reason = "says that the samples are not at hand")]

use std::path::PathBuf;

use forebay_cloudtrail::{
    Disposition, Event, EventIndex, FileKind, FileReader, Flattener, Form, Name, NothingReason,
    Notice, Value, View,
};
use serde_json::Value as Json;

/// The bytes of a sample, or `None` (and a line that says so) where the samples are not at hand.
fn sample(name: &str) -> Option<Vec<u8>> {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/samples"
    ));
    if !folder.is_dir() {
        println!("skipped: ../shared/samples is not here");
        return None;
    }
    Some(std::fs::read(folder.join(name)).expect("a sample"))
}

/// Reads a log file and compares it member by member with what serde_json makes of it.
fn check_file(name: &str, records: usize, kind: FileKind) {
    let Some(bytes) = sample(name) else { return };
    let whole: Json = serde_json::from_slice(&bytes).expect("JSON");
    let expected: Vec<Json> = match whole.get("Records") {
        Some(Json::Array(list)) => list.clone(),
        _ => vec![whole],
    };
    let mut reader = FileReader::new(bytes.as_slice());
    let mut found = 0;
    while let Some(record) = reader.next_record() {
        let record = record.expect("a good record");
        let expected = &expected[found];
        assert_eq!(
            &serde_json::from_str::<Json>(record.text()).expect("JSON"),
            expected
        );
        check_members(&record.event(), expected);
        check_nothing_lost(&record.event(), expected);
        found += 1;
    }
    assert_eq!(found, records, "{name}");
    assert_eq!(reader.summary().expect("verified").kind, kind, "{name}");
}

fn check_members(event: &Event<'_>, expected: &Json) {
    let members: serde_json::Map<String, Json> = event
        .members()
        .map(|member| {
            (
                member.name().to_string(),
                serde_json::from_str(member.json()).expect("JSON"),
            )
        })
        .collect();
    assert_eq!(&Json::Object(members), expected);
}

/// Every scalar of the record shows up in some field of the flattened view.
fn check_nothing_lost(event: &Event<'_>, expected: &Json) {
    let mut shown = String::new();
    Flattener::new(View::Complete).flatten(event, |name, value| {
        // The time is shown as a number.
        match value {
            Value::Text(text) => shown.push_str(&text.to_cow()),
            Value::Structure(json) => shown.push_str(json),
            Value::Bool(flag) => shown.push_str(&flag.to_string()),
            _ => assert_eq!(name, Name::Timestamp),
        }
        shown.push('\n');
    });
    let mut open = vec![expected];
    while let Some(value) = open.pop() {
        match value {
            Json::Object(members) => open.extend(
                members
                    .iter()
                    .filter(|(name, _)| *name != "eventTime")
                    .map(|(_, value)| value),
            ),
            Json::Array(elements) => open.extend(elements),
            Json::Null => {}
            Json::String(text) => assert!(shown.contains(text.as_str()), "{text} is lost"),
            other => assert!(shown.contains(&other.to_string()), "{other} is lost"),
        }
    }
}

#[test]
fn log_files_of_the_user_guide_lose_no_member() {
    check_file(
        "cloudtrail/awsdocs_cloudtrail-log-file-examples_12.json",
        1,
        FileKind::Records,
    );
    check_file(
        "cloudtrail/awsdocs_cloudtrail-log-file-examples_13.json",
        1,
        FileKind::Records,
    );
    check_file(
        "cloudtrail/awsdocs_cloudtrail-event-reference-aws-console-sign-in-events_01.json",
        1,
        FileKind::Records,
    );
}

#[test]
fn three_records_one_without_type_and_one_insight() {
    check_file(
        "cloudtrail/otel_identity_center_and_service_event.json",
        3,
        FileKind::Records,
    );
    let Some(bytes) = sample("cloudtrail/otel_identity_center_and_service_event.json") else {
        return;
    };
    let records: Vec<String> = FileReader::new(bytes.as_slice())
        .records()
        .map(|record| record.expect("good"))
        .collect();
    let mut index = EventIndex::new();
    let event = Event::parse(&records[1], &mut index).expect("a record");
    assert_eq!(event.user_type(), None);
    assert_eq!(event.user_invoked_by().expect("there"), "AWS Internal");
    let event = Event::parse(&records[2], &mut index).expect("a record");
    assert_eq!(event.event_category().expect("there"), "Insight");
    assert_eq!(event.timestamp_millis(), Some(1_672_627_860_000));
}

#[test]
fn a_bare_record_is_read() {
    check_file(
        "cloudtrail/lambda_rust_eventbridge_cloudtrail-assumed-role.json",
        1,
        FileKind::Lines,
    );
}

#[test]
fn a_digest_is_recognised_and_is_no_error() {
    check_file(
        "cloudtrail/awsdocs_cloudtrail-log-file-validation-digest-file-structure_19.json",
        0,
        FileKind::Digest,
    );
}

#[test]
fn s3_events_give_bucket_and_decoded_key() {
    for name in [
        "notifications/aws_lambda_go_s3-event.json",
        "notifications/aws_lambda_go_s3-event-with-decoded.json",
    ] {
        let Some(bytes) = sample(name) else { return };
        let notice = Notice::parse(&bytes).expect("a notice");
        assert_eq!((notice.form, notice.objects.len()), (Form::S3, 1));
        assert_eq!(notice.objects[0].bucket.as_str(), "sourcebucket");
        assert_eq!(notice.objects[0].key.as_str(), "Happy Face.jpg");
        assert_eq!(notice.objects[0].size, Some(1024));
        assert_eq!(notice.objects[0].event_millis, Some(123));
    }
}

#[test]
fn lambda_wrappers_of_other_things_are_unknown_and_not_fatal() {
    for name in [
        "notifications/aws_lambda_go_sns-event.json",
        "notifications/aws_lambda_go_sqs-event.json",
    ] {
        let Some(bytes) = sample(name) else { return };
        assert_eq!(
            Notice::parse(&bytes).expect("no error").disposition(),
            Disposition::Unknown
        );
        let notices = Notice::from_lambda_event(&bytes).expect("an event");
        assert_eq!(notices.len(), 1);
        assert_eq!(
            notices[0].as_ref().expect("no error").disposition(),
            Disposition::Unknown
        );
    }
}

#[test]
fn sqs_records_of_lambda_hold_notices() {
    let Some(bytes) = sample("notifications/powertools_s3SqsEvent.json") else {
        return;
    };
    let notices = Notice::from_lambda_event(&bytes).expect("an event");
    let notice = notices[0].as_ref().expect("a notice");
    assert_eq!((notice.form, notice.envelopes), (Form::S3, 0));
    let object = &notice.objects[0];
    assert_eq!(
        (object.bucket.as_str(), object.key.as_str(), object.size),
        ("xxx", "test.pdf", Some(104_681))
    );
    assert_eq!(
        object.version_id.as_deref(),
        Some("yd3d4HaWOT2zguDLvIQLU6ptDTwKBnQV")
    );

    let Some(bytes) = sample("notifications/powertools_snsSqsEvent.json") else {
        return;
    };
    let notices = Notice::from_lambda_event(&bytes).expect("an event");
    let notice = notices[0].as_ref().expect("an envelope");
    assert_eq!(
        (notice.disposition(), notice.envelopes),
        (Disposition::Unknown, 1)
    );
    assert_eq!(
        notice.topic_arn.as_deref(),
        Some("arn:aws:sns:eu-west-1:231436140809:powertools265")
    );
}

#[test]
fn event_bridge_tells_creation_from_removal() {
    let Some(bytes) =
        sample("notifications/powertools_s3EventBridgeNotificationObjectCreatedEvent.json")
    else {
        return;
    };
    let notice = Notice::parse(&bytes).expect("a notice");
    assert_eq!((notice.form, notice.objects.len()), (Form::EventBridge, 1));
    assert_eq!(notice.objects[0].key.as_str(), "IMG_m7fzo3.jpg");
    assert_eq!(
        notice.objects[0].etag.as_deref(),
        Some("4e68adba0abe2dc8653dc3354e14c01d")
    );
    assert_eq!(notice.objects[0].region.as_deref(), Some("eu-west-1"));

    let Some(bytes) =
        sample("notifications/powertools_s3EventBridgeNotificationObjectDeletedEvent.json")
    else {
        return;
    };
    let notice = Notice::parse(&bytes).expect("a notice");
    assert_eq!(
        notice.disposition(),
        Disposition::Nothing(NothingReason::NoLogFiles)
    );
    assert_eq!(notice.ignored.not_created, 1);
}
