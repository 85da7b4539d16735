//! The rights on a queue, and on what its notices announce.

use super::{Findings, Level, NOBODY, told, within};
use crate::aws::Account;

/// A queue and where it and its objects are.
pub(super) struct Noticed<'a> {
    pub(super) queue: &'a str,
    pub(super) sqs_region: Option<&'a str>,
    pub(super) s3_region: Option<&'a str>,
}

/// The rights on the queue, and on one object if a notice may be received.
pub(super) async fn queue(
    name: &str,
    input: &Noticed<'_>,
    account: &Account,
    receive: bool,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let client = account.sqs(input.sqs_region);
    let resource = input
        .queue
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default()
        .to_owned();
    let url = match input.queue.contains("://") {
        true => input.queue.to_owned(),
        false => {
            let asked = client.get_queue_url().queue_name(&resource).send();
            match within(async {
                asked
                    .await
                    .map_err(|error| told(&error, "sqs:GetQueueUrl", &resource))
            })
            .await
            {
                Ok(found) => found.queue_url.unwrap_or_default(),
                Err(error) if error.contains("not granted") => {
                    findings.tell(name, Level::Warn, format!("{error}: give the queue as URL"))?;
                    resource.clone()
                }
                Err(error) => return findings.tell(name, Level::Fail, error),
            }
        }
    };
    // A handle of no message: who may delete is told that it is none.
    let delete = client
        .delete_message()
        .queue_url(&url)
        .receipt_handle(NOBODY)
        .send();
    let delete = within(async {
        delete
            .await
            .map(drop)
            .or_else(|error| handle(&error, "sqs:DeleteMessage", &resource))
    });
    findings.right(name, delete.await, None)?;
    let extend = client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(NOBODY)
        .visibility_timeout(30)
        .send();
    let extend = within(async {
        extend
            .await
            .map(drop)
            .or_else(|error| handle(&error, "sqs:ChangeMessageVisibility", &resource))
    });
    findings.right(name, extend.await, Some("long objects may be read twice"))?;
    if !receive {
        return findings.tell(name, Level::Note, format!("queue {resource}: `sqs:ReceiveMessage` and `s3:GetObject` were not tried, see --receive"));
    }
    let asked = client
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(1)
        .visibility_timeout(0)
        .wait_time_seconds(1)
        .send();
    let answer = within(async {
        asked
            .await
            .map_err(|error| told(&error, "sqs:ReceiveMessage", &resource))
    })
    .await;
    let messages = match answer {
        Ok(answer) => answer.messages.unwrap_or_default(),
        Err(error) => return findings.right(name, Err(error), None),
    };
    let Some(body) = messages.first().and_then(|message| message.body.as_deref()) else {
        return findings.tell(
            name,
            Level::Note,
            format!("queue {resource} may be read and is empty"),
        );
    };
    let notices = match forebay_cloudtrail::Notice::from_lambda_event(body.as_bytes()) {
        Ok(notices) => notices,
        Err(error) => {
            return findings.tell(
                name,
                Level::Warn,
                format!("queue {resource}: a message is no notice: {error}"),
            );
        }
    };
    let Some(object) = notices
        .into_iter()
        .flatten()
        .find_map(|notice| notice.objects.into_iter().next())
    else {
        return findings.tell(
            name,
            Level::Note,
            format!("queue {resource} may be read; the notice received names no object"),
        );
    };
    let place = format!("{}/{}", object.bucket, object.key);
    let head = account
        .s3(input.s3_region)
        .get_object()
        .bucket(object.bucket.as_str())
        .key(object.key.as_str())
        .range("bytes=0-0")
        .send();
    let head = within(async {
        head.await
            .map(drop)
            .map_err(|error| told(&error, "s3:GetObject", &place))
    })
    .await;
    match head {
        Ok(()) => findings.tell(
            name,
            Level::Ok,
            format!("queue {resource}: a notice and its object {place} can be read"),
        ),
        Err(error) => findings.right(name, Err(error), None),
    }
}

/// An answer to a handle that is none: anything but a missing right is what was hoped for.
fn handle<E, R>(
    error: &aws_sdk_sqs::error::SdkError<E, R>,
    action: &str,
    resource: &str,
) -> Result<(), String>
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let text = told(error, action, resource);
    if text.contains("not granted") || error.as_service_error().is_none() {
        Err(text)
    } else {
        Ok(())
    }
}
