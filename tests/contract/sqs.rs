use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use tokio::time::Instant;

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Visibility, receive counts, long polls, batches and the dead-letter queue.
pub async fn sqs_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    vec![
        case(
            "sqs/a-message-comes-back-until-deleted",
            redelivery(&client),
        )
        .await,
        case(
            "sqs/visibility-can-be-extended-and-ended",
            visibility(&client),
        )
        .await,
        case("sqs/a-long-poll-waits-and-wakes", long_poll(&client)).await,
        case("sqs/batches-answer-entry-by-entry", batches(&client)).await,
        case(
            "sqs/received-too-often-goes-to-the-dead-letter-queue",
            redrive(&client),
        )
        .await,
        case("sqs/a-mebibyte-passes", large_message(&client)).await,
        case("sqs/errors-have-their-types", errors(&client)).await,
    ]
}

async fn redelivery(client: &Client) -> Check {
    let url = queue(
        client,
        "contract-redelivery",
        &[(QueueAttributeName::VisibilityTimeout, "1")],
    )
    .await?;
    client
        .send_message()
        .queue_url(&url)
        .message_body("hello <&> \u{20ac}")
        .send()
        .await?;
    let first = receive(client, &url, 5).await?.ok_or("nothing came")?;
    ensure(first.body() == Some("hello <&> \u{20ac}"), || {
        format!("{first:?}")
    })?;
    ensure(receive(client, &url, 0).await?.is_none(), || {
        "visible while in flight".to_owned()
    })?;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = receive(client, &url, 5).await?.ok_or("not redelivered")?;
    ensure(second.message_id() == first.message_id(), || {
        "another message".to_owned()
    })?;
    ensure(second.receipt_handle() != first.receipt_handle(), || {
        "the same handle".to_owned()
    })?;
    ensure(count(&second) == Some("2"), || format!("{second:?}"))?;
    let handle = second.receipt_handle().ok_or("no handle")?;
    client
        .delete_message()
        .queue_url(&url)
        .receipt_handle(handle)
        .send()
        .await?;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    ensure(receive(client, &url, 0).await?.is_none(), || {
        "deleted and still there".to_owned()
    })
}

async fn visibility(client: &Client) -> Check {
    let url = queue(
        client,
        "contract-visibility",
        &[(QueueAttributeName::VisibilityTimeout, "1")],
    )
    .await?;
    client
        .send_message()
        .queue_url(&url)
        .message_body("x")
        .send()
        .await?;
    let message = receive(client, &url, 5).await?.ok_or("nothing came")?;
    let hide = |seconds| {
        client
            .change_message_visibility()
            .queue_url(&url)
            .set_receipt_handle(message.receipt_handle().map(str::to_owned))
            .visibility_timeout(seconds)
            .send()
    };
    hide(30).await?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    ensure(receive(client, &url, 0).await?.is_none(), || {
        "extended and still visible".to_owned()
    })?;
    hide(0).await?;
    ensure(receive(client, &url, 3).await?.is_some(), || {
        "set to 0 and still hidden".to_owned()
    })
}

async fn long_poll(client: &Client) -> Check {
    let url = queue(client, "contract-poll", &[]).await?;
    let start = Instant::now();
    ensure(receive(client, &url, 2).await?.is_none(), || {
        "a message from nowhere".to_owned()
    })?;
    ensure(start.elapsed() >= Duration::from_millis(1_800), || {
        format!("waited {:?}", start.elapsed())
    })?;
    let start = Instant::now();
    let send = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client
            .send_message()
            .queue_url(&url)
            .message_body("late")
            .send()
            .await
    };
    let (received, sent) = futures_util::future::join(receive(client, &url, 20), send).await;
    sent?;
    ensure(received?.is_some(), || {
        "the long poll missed the message".to_owned()
    })?;
    ensure(start.elapsed() < Duration::from_secs(10), || {
        format!("woke after {:?}", start.elapsed())
    })
}

async fn batches(client: &Client) -> Check {
    let url = queue(client, "contract-batch", &[]).await?;
    let entries = (0..3)
        .map(|number| {
            SendMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .message_body(format!("body {number}"))
                .build()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let sent = client
        .send_message_batch()
        .queue_url(&url)
        .set_entries(Some(entries))
        .send()
        .await?;
    ensure(
        sent.successful().len() == 3 && sent.failed().is_empty(),
        || format!("{sent:?}"),
    )?;
    let received = client
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(10)
        .wait_time_seconds(2)
        .send()
        .await?;
    ensure(received.messages().len() == 3, || {
        format!("{} came", received.messages().len())
    })?;
    let handles: Vec<&str> = received
        .messages()
        .iter()
        .filter_map(Message::receipt_handle)
        .collect();
    let hide = ChangeMessageVisibilityBatchRequestEntry::builder()
        .id("hide")
        .receipt_handle(*handles.first().ok_or("no handle")?)
        .visibility_timeout(60)
        .build()?;
    let hidden = client
        .change_message_visibility_batch()
        .queue_url(&url)
        .entries(hide)
        .send()
        .await?;
    ensure(hidden.successful().len() == 1, || format!("{hidden:?}"))?;
    let mut entries = handles
        .iter()
        .enumerate()
        .map(|(number, handle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .receipt_handle(*handle)
                .build()
        })
        .collect::<Result<Vec<_>, _>>()?;
    entries.push(
        DeleteMessageBatchRequestEntry::builder()
            .id("bad")
            .receipt_handle("made-up")
            .build()?,
    );
    let deleted = client
        .delete_message_batch()
        .queue_url(&url)
        .set_entries(Some(entries))
        .send()
        .await?;
    let failed: Vec<&str> = deleted.failed().iter().map(|entry| entry.id()).collect();
    ensure(deleted.successful().len() == 3 && failed == ["bad"], || {
        format!("{deleted:?}")
    })
}

async fn redrive(client: &Client) -> Check {
    let dead = queue(client, "contract-dead", &[]).await?;
    let attributes = client
        .get_queue_attributes()
        .queue_url(&dead)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await?;
    let arn = attributes
        .attributes()
        .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
        .ok_or("no ARN")?;
    let policy = format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":\"2\"}}");
    let url = queue(
        client,
        "contract-redrive",
        &[(QueueAttributeName::RedrivePolicy, &policy)],
    )
    .await?;
    client
        .send_message()
        .queue_url(&url)
        .message_body("poison")
        .send()
        .await?;
    for _ in 0..3 {
        client
            .receive_message()
            .queue_url(&url)
            .visibility_timeout(0)
            .send()
            .await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let moved = receive(client, &dead, 3).await?;
    ensure(
        moved.is_some_and(|message| message.body() == Some("poison")),
        || "not in the dead-letter queue".to_owned(),
    )
}

async fn large_message(client: &Client) -> Check {
    let url = queue(client, "contract-large", &[]).await?;
    let body = "x".repeat(1 << 20);
    client
        .send_message()
        .queue_url(&url)
        .message_body(&body)
        .send()
        .await?;
    let message = receive(client, &url, 3).await?.ok_or("nothing came")?;
    ensure(message.body() == Some(body.as_str()), || {
        "the body differs".to_owned()
    })?;
    let larger = client
        .send_message()
        .queue_url(&url)
        .message_body(body + "x")
        .send()
        .await;
    ensure(larger.is_err(), || "a larger one passes".to_owned())
}

async fn errors(client: &Client) -> Check {
    let missing = client
        .get_queue_url()
        .queue_name("contract-missing")
        .send()
        .await;
    ensure(
        missing.is_err_and(|error| error.into_service_error().is_queue_does_not_exist()),
        || "not typed as QueueDoesNotExist".to_owned(),
    )?;
    let url = queue(client, "contract-errors", &[]).await?;
    let deleted = client
        .delete_message()
        .queue_url(&url)
        .receipt_handle("made-up")
        .send()
        .await;
    refused(&deleted, &["ReceiptHandleIsInvalid"])
}

async fn queue(
    client: &Client,
    name: &str,
    attributes: &[(QueueAttributeName, &str)],
) -> Result<String, Box<dyn std::error::Error>> {
    let mut request = client.create_queue().queue_name(name);
    for (name, value) in attributes {
        request = request.attributes(name.clone(), *value);
    }
    Ok(request
        .send()
        .await?
        .queue_url()
        .ok_or("no URL")?
        .to_owned())
}

async fn receive(
    client: &Client,
    url: &str,
    wait: i32,
) -> Result<Option<Message>, Box<dyn std::error::Error>> {
    let answer = client
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(wait)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await?;
    Ok(answer.messages().first().cloned())
}

fn count(message: &Message) -> Option<&str> {
    message
        .attributes()?
        .get(&MessageSystemAttributeName::ApproximateReceiveCount)
        .map(String::as_str)
}
