use super::*;
use crate::event::EventIndex;

fn fields(view: View, record: &str) -> Vec<(String, String)> {
    let mut index = EventIndex::new();
    let event = Event::parse(record, &mut index).expect("a record");
    let mut fields = Vec::new();
    Flattener::new(view).flatten(&event, |name, value| {
        let value = match value {
            Value::Text(text) => {
                let json = text.as_json().expect("content of a string");
                serde_json::from_str(&format!("\"{json}\"")).expect("valid content")
            }
            Value::Structure(json) => json.to_owned(),
            Value::Bool(flag) => format!("bool {flag}"),
            Value::Millis(millis) => millis.to_string(),
        };
        fields.push((name.to_string(), value));
    });
    fields
}

fn check(record: &str, field: &str, expected: Option<&str>) {
    let fields = fields(View::Complete, record);
    let found: Vec<_> = fields
        .iter()
        .filter(|(name, _)| name == field)
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(
        found,
        expected.into_iter().collect::<Vec<_>>(),
        "{field} of {record}: {fields:#?}"
    );
}

#[test]
fn every_kind_of_value_has_its_field() {
    let cases = [
        (
            r#"{}"#,
            "message",
            Some("null:null in null by null / <unknown user_name>"),
        ),
        (
            r#"{"eventSource":"a\"b","eventName":"N"}"#,
            "message",
            Some("a\"b:N in null by null / <unknown user_name>"),
        ),
        (
            r#"{"insightDetails":{"eventSource":"s","eventName":"n"},"awsRegion":"r"}"#,
            "message",
            Some("s:n in r by null / <unknown user_name>"),
        ),
        (
            r#"{"eventSource":"s"}"#,
            "message",
            Some("s:null in null by null / <unknown user_name>"),
        ),
        (r#"{"eventSource":7}"#, "event_source", Some("7")),
        (
            r#"{"eventSource":{"a":1}}"#,
            "event_source",
            Some(r#"{"a":1}"#),
        ),
        (r#"{"eventSource":null}"#, "event_source", None),
        (r#"{"eventSource":"  "}"#, "event_source", None),
        (
            r#"{"eventSource":"\ud800x"}"#,
            "event_source",
            Some("\u{fffd}x"),
        ),
        (r#"{}"#, "source", Some("aws-cloudtrail")),
        (r#"{}"#, "aws_source", Some("bool true")),
        (r#"{}"#, "timestamp", None),
        (
            r#"{"eventTime":"2024-07-10T16:48:26Z"}"#,
            "timestamp",
            Some("1720630106000"),
        ),
        (
            r#"{"eventTime":"2024-07-10T16:48:26Z"}"#,
            "event_time",
            None,
        ),
        (r#"{"eventTime":"noon"}"#, "event_time", Some("noon")),
        (
            r#"{"timeWindow":{"windowStart":"2024-07-10T16:43:26Z","windowEnd":"2024-07-10T16:48:26Z"}}"#,
            "timestamp",
            Some("1720630106000"),
        ),
        (
            r#"{"timeWindow":{"windowSize":"PT5M"}}"#,
            "window_size",
            Some("PT5M"),
        ),
        (r#"{"eventId":"x"}"#, "event_id", Some("x")),
        (
            r#"{"requestParameters":{"a":"b","c":{"d":null,"e":[1,"f",{}]}, "g h": true}}"#,
            "full_message",
            Some("[a=b, c={d=null, e=[1, f, {}]}, g h=true]"),
        ),
        (
            r#"{"requestParameters":{"q":"x\"y\n,:{"}}"#,
            "full_message",
            Some("[q=x\"y\n,:{]"),
        ),
        (r#"{"requestParameters":{ }}"#, "full_message", None),
        (r#"{"requestParameters":null}"#, "full_message", None),
        (
            r#"{"requestParameters":"text"}"#,
            "request_parameters",
            Some("text"),
        ),
        (
            r#"{"requestParameters":[1,2]}"#,
            "request_parameters",
            Some("[1,2]"),
        ),
        (
            r#"{"additionalEventData":{"MFAUsed":"No","n":{"a":1}}}"#,
            "additional_event_data",
            Some("{MFAUsed=No, n={a=1}}"),
        ),
        (
            r#"{"additionalEventData":{}}"#,
            "additional_event_data",
            Some("{}"),
        ),
        (
            r#"{"additionalEventData":"text"}"#,
            "additional_event_data",
            Some("text"),
        ),
        (r#"{"errorMessage":"no"}"#, "errorMessage", Some("no")),
        (r#"{"errorCode":"Denied"}"#, "error_code", Some("Denied")),
        (r#"{"readOnly":true}"#, "read_only", Some("bool true")),
        (r#"{"readOnly":"False"}"#, "read_only", Some("bool false")),
        (r#"{"readOnly":"maybe"}"#, "read_only", Some("maybe")),
        (
            r#"{"resources":[{"ARN":"a"}]}"#,
            "resources",
            Some(r#"[{"ARN":"a"}]"#),
        ),
        (r#"{"resources":[]}"#, "resources", None),
        (
            r#"{"tlsDetails":{"tlsVersion":"TLSv1.3","newThing":"n"}}"#,
            "tls_version",
            Some("TLSv1.3"),
        ),
        (
            r#"{"tlsDetails":{"tlsVersion":"TLSv1.3","newThing":"n"}}"#,
            "tls_new_thing",
            Some("n"),
        ),
        (r#"{"tlsDetails":"text"}"#, "tls_details", Some("text")),
        (
            r#"{"insightDetails":{"insightContext":{"a":[1]}}}"#,
            "insight_context",
            Some(r#"{"a":[1]}"#),
        ),
        (
            r#"{"responseElements":{"ConsoleLogin":"Success"}}"#,
            "consoleLogin",
            Some("Success"),
        ),
        (
            r#"{"responseElements":{"ConsoleLogin":"Success"}}"#,
            "response_elements",
            None,
        ),
        (
            r#"{"responseElements":{"status":{"a":1},"x":2}}"#,
            "status",
            Some(r#"{"a":1}"#),
        ),
        (
            r#"{"responseElements":{"status":{"a":1},"x":2}}"#,
            "response_elements",
            Some(r#"{"status":{"a":1},"x":2}"#),
        ),
        (
            r#"{"responseElements":{"_return":true}}"#,
            "returnValue",
            Some("true"),
        ),
        (
            r#"{"responseElements":"text"}"#,
            "response_elements",
            Some("text"),
        ),
        (
            r#"{"userIdentity":{"accessKeyId":""}}"#,
            "user_access_key_id",
            None,
        ),
        (r#"{"userIdentity":"text"}"#, "user_identity", Some("text")),
        (
            r#"{"userIdentity":{"userName":"own"}}"#,
            "user_name",
            Some("own"),
        ),
        (
            r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"userName":"role"}}}}"#,
            "user_name",
            Some("role"),
        ),
        (
            r#"{"userIdentity":{"userName":"own","sessionContext":{"sessionIssuer":{"userName":"role"}}}}"#,
            "user_name",
            Some("role"),
        ),
        (
            r#"{"userIdentity":{"userName":"own","sessionContext":{"sessionIssuer":{"userName":"role"}}}}"#,
            "user_identity_user_name",
            Some("own"),
        ),
        (
            r#"{"userIdentity":{"userName":"own","sessionContext":{"sessionIssuer":{"userName":" "}}}}"#,
            "user_name",
            Some("own"),
        ),
        (
            r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"arn":"a"}}}}"#,
            "session_issuer_user_principal_arn",
            Some("a"),
        ),
        (
            r#"{"userIdentity":{"sessionContext":{"attributes":{}}}}"#,
            "user_session_mfa_authenticated",
            Some("bool false"),
        ),
        (
            r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"TRUE"}}}}"#,
            "user_session_mfa_authenticated",
            Some("bool true"),
        ),
        (
            r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":true}}}}"#,
            "user_session_mfa_authenticated",
            Some("bool true"),
        ),
        (
            r#"{"userIdentity":{"sessionContext":{}}}"#,
            "user_session_mfa_authenticated",
            None,
        ),
        (
            r#"{"userIdentity":{"onBehalfOf":{"userId":"u","identityStoreArn":"s"}}}"#,
            "user_on_behalf_of_identity_store_arn",
            Some("s"),
        ),
        (
            r#"{"userIdentity":{"inScopeOf":{"issuerType":"t"}}}"#,
            "user_in_scope_of_issuer_type",
            Some("t"),
        ),
        (
            r#"{"userIdentity":{"brandNew":{"a":1}}}"#,
            "user_brand_new",
            Some(r#"{"a":1}"#),
        ),
        (r#"{"brandNewID":"x"}"#, "brand_new_id", Some("x")),
        (r#"{"message":"x"}"#, "cloudtrail_message", Some("x")),
        (r#"{"user_name":"x"}"#, "cloudtrail_user_name", Some("x")),
        (
            r#"{"gl2_source_node":"x"}"#,
            "cloudtrail_gl2_source_node",
            Some("x"),
        ),
        (r#"{"_id":"x"}"#, "cloudtrail_id", Some("x")),
        (r#"{"we ird.$näme":"x"}"#, "we_ird_n_me", Some("x")),
        (
            r#"{"eventSource":"first","eventSource":"last"}"#,
            "event_source",
            Some("last"),
        ),
        (r#"{"event\u0053ource":"x"}"#, "event_source", Some("x")),
    ];
    for (record, field, expected) in cases {
        check(record, field, expected);
    }
}

#[test]
fn the_plugins_view_has_only_the_plugins_fields() {
    let record = r#"{"eventName":"N","errorCode":"E","readOnly":true,"x":1,"tlsDetails":{"tlsVersion":"1"},"responseElements":{"y":1},
        "userIdentity":{"userName":"o","invokedBy":"i","sessionContext":{"sessionIssuer":{"userName":"r","type":"Role"}}}}"#;
    let names: Vec<_> = fields(View::Plugin, record)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "message",
            "source",
            "aws_source",
            "user_name",
            "event_name",
            "session_issuer_user_type"
        ]
    );
}
