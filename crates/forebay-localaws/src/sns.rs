use serde_json::json;

use crate::wire::time::iso;

/// The body that SNS puts on a queue for one published message, without raw delivery.
///
/// `id` must be new for each message; `now` is in Unix milliseconds. The signature is made up.
pub fn notification(topic_arn: &str, id: &str, message: &str, now: u64) -> String {
    json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic_arn,
        "Message": message,
        "Timestamp": iso(now),
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-example.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    })
    .to_string()
}
