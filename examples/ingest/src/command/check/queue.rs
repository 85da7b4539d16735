//! The rights on a queue, and on what its notices announce.

use std::future::Future;

use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};

use forebay_s3::{ObjectId, ObjectSource};

use super::{Findings, Level, NOBODY, ask, told, within};
use crate::{aws::Account, config::S3, trail_input::source};

/// The rights on the queue, and on one object if a notice may be received.
pub(super) async fn queue(
    name: &str,
    queue: &str,
    input: &S3,
    account: &Account,
    receive: bool,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let client = account.sqs(input.sqs_region.as_deref());
    let Some((url, resource)) = find(name, queue, &client, findings).await? else {
        return Ok(());
    };
    // A handle of no message: who may delete is told that it is none.
    let delete = client.delete_message().queue_url(&url);
    let delete = delete.receipt_handle(NOBODY).send();
    let delete = attempt(delete, "sqs:DeleteMessage", &resource).await;
    findings.right(name, delete, None)?;
    let extend = client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(NOBODY)
        .visibility_timeout(30)
        .send();
    let extend = attempt(extend, "sqs:ChangeMessageVisibility", &resource).await;
    findings.right(name, extend, Some("long objects may be read twice"))?;
    if !receive {
        return findings.tell(name, Level::Note, format!("queue {resource}: `sqs:ReceiveMessage` and `s3:GetObject` were not tried, see --receive"));
    }
    let request = client
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(1)
        .visibility_timeout(0)
        .wait_time_seconds(1)
        .send();
    let answer = ask(request, "sqs:ReceiveMessage", &resource).await;
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
    let object = ObjectId::new(object.bucket.as_str(), object.key.as_str());
    match within(source(input, account).open(&object, None)).await {
        Ok(_) => findings.tell(
            name,
            Level::Ok,
            format!("queue {resource}: a notice and its object {object} can be read"),
        ),
        Err(error) => findings.right(name, Err(error), None),
    }
}

/// The right to send to the queue of dead letters.
pub(super) async fn letters(
    queue: &str,
    client: &Client,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let name = "dead_letter";
    let Some((url, resource)) = find(name, queue, client, findings).await? else {
        return Ok(());
    };
    // A batch of nothing: who may send is told that it is empty.
    let send = client.send_message_batch().queue_url(&url);
    let send = send.set_entries(Some(Vec::new())).send();
    match attempt(send, "sqs:SendMessage", &resource).await {
        Ok(()) => findings.tell(name, Level::Ok, format!("queue {resource} takes letters")),
        Err(error) => findings.right(name, Err(error), None),
    }
}

/// URL and name of a queue; none if that is a failure.
async fn find(
    name: &str,
    queue: &str,
    client: &Client,
    findings: &mut Findings,
) -> anyhow::Result<Option<(String, String)>> {
    let resource = queue
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default()
        .to_owned();
    if queue.contains("://") {
        return Ok(Some((queue.to_owned(), resource)));
    }
    let request = client.get_queue_url().queue_name(&resource).send();
    Ok(match ask(request, "sqs:GetQueueUrl", &resource).await {
        Ok(found) => Some((found.queue_url.unwrap_or_default(), resource)),
        Err(error) if error.contains("not granted") => {
            findings.tell(name, Level::Warn, format!("{error}: give the queue as URL"))?;
            Some((resource.clone(), resource))
        }
        Err(error) => {
            findings.tell(name, Level::Fail, error)?;
            None
        }
    })
}

/// Sends a request that cannot do anything: all is well unless the right or the queue is missing.
async fn attempt<T, E, R>(
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
    action: &str,
    resource: &str,
) -> Result<(), String>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let answered = async {
        let Err(error) = request.await else {
            return Ok(());
        };
        let text = told(&error, action, resource);
        let no_queue = text.contains("NonExistentQueue") || text.contains("QueueDoesNotExist");
        if no_queue || text.contains("not granted") || error.as_service_error().is_none() {
            Err(text)
        } else {
            Ok(())
        }
    };
    within(answered).await
}
