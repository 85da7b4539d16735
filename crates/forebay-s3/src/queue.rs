//! An SQS queue: found by name, URL or ARN; received from, deleted from, hidden again.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    config::timeout::TimeoutConfig,
    error::ProvideErrorMetadata,
    types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName},
};

use crate::error::{Error, ErrorKind, is_of_credentials};

/// An SQS queue that carries notices.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
    name: String,
}

impl Queue {
    /// Finds the queue by name, URL or ARN.
    ///
    /// A URL needs no call. A name or ARN asks `sqs:GetQueueUrl`; where that is denied, a name is used as it is,
    /// which the service reads as "queue of this name in the caller's account" (the plugin does the same).
    ///
    /// # Errors
    ///
    /// The queue does not exist in the client's region, an ARN's right is missing, credentials are refused, or the
    /// service is not available.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn find(client: Client, queue: &str) -> Result<Self, Error> {
        let name = queue.rsplit(['/', ':']).next().unwrap_or(queue).to_owned();
        if queue.starts_with("https://") || queue.starts_with("http://") {
            return Ok(Self {
                client,
                url: queue.to_owned(),
                name,
            });
        }
        let owner = match queue.strip_prefix("arn:") {
            None => None,
            // arn:PARTITION:sqs:REGION:ACCOUNT:NAME
            Some(arn) => match arn.split(':').collect::<Vec<_>>()[..] {
                [_, "sqs", _, account, _] => Some(account.to_owned()),
                _ => {
                    return Err(Error::new(
                        ErrorKind::NoSuchResource,
                        format!("`{queue}` is not the ARN of a queue"),
                    ));
                }
            },
        };
        let answer = client
            .get_queue_url()
            .queue_name(&name)
            .set_queue_owner_aws_account_id(owner.clone())
            .send()
            .await;
        match answer {
            Ok(found) => Ok(Self {
                client,
                url: found.queue_url.unwrap_or_else(|| name.clone()),
                name,
            }),
            Err(error) => {
                let lacks_right = !is_of_credentials(error.code());
                let error = Error::from_sdk(error, "sqs:GetQueueUrl", &format!("queue `{queue}`"));
                if error.kind() == ErrorKind::Denied && lacks_right && owner.is_none() {
                    Ok(Self {
                        client,
                        url: name.clone(),
                        name,
                    })
                } else {
                    Err(error)
                }
            }
        }
    }

    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The queue's URL, or its bare name where `sqs:GetQueueUrl` is denied.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The account that owns the queue, if its URL or ARN tells it.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        let account = self.url.rsplit('/').nth(1)?;
        (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
            .then_some(account)
    }

    pub(crate) async fn receive(
        &self,
        most: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Received>, Error> {
        let limit = wait + Duration::from_secs(5);
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most.clamp(1, 10)).unwrap_or(10))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(10))
            .visibility_timeout(i32::try_from(visibility.as_secs()).unwrap_or(300))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            .config_override(timeouts(limit))
            .send()
            .await
            .map_err(|error| Error::from_sdk(error, "sqs:ReceiveMessage", &self.resource()))?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(Received::from)
            .collect())
    }

    /// Deletes messages, at most ten; tells which entries are worth another try and how many never are.
    pub(crate) async fn delete(&self, handles: &[String]) -> Result<Undeleted, Error> {
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (index, handle) in handles.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(handle)
                .build();
            request = request.entries(entry.map_err(|error| {
                Error::new(ErrorKind::Expired, self.resource()).caused_by(error)
            })?);
        }
        let answer = request
            .customize()
            .config_override(timeouts(SHORT))
            .send()
            .await
            .map_err(|error| Error::from_sdk(error, "sqs:DeleteMessage", &self.resource()))?;
        // A handle that the service no longer knows is not worth another try: the message is somebody else's now.
        let (gone, failed): (Vec<_>, Vec<_>) =
            answer.failed.iter().partition(|entry| entry.sender_fault);
        Ok(Undeleted {
            again: failed
                .iter()
                .filter_map(|entry| entry.id.parse().ok())
                .collect(),
            gone: gone.len(),
        })
    }

    /// Hides a received message for `visibility` from now on; zero hands it back at once.
    pub(crate) async fn hide(&self, handle: &str, visibility: Duration) -> Result<(), Error> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(handle)
            .visibility_timeout(i32::try_from(visibility.as_secs()).unwrap_or(43_200))
            .customize()
            .config_override(timeouts(SHORT))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| {
                Error::from_sdk(error, "sqs:ChangeMessageVisibility", &self.resource())
            })
    }

    fn resource(&self) -> String {
        format!("queue `{}`", self.name)
    }
}

/// Entries of a delete call that were not deleted.
#[derive(Debug)]
pub(crate) struct Undeleted {
    /// Which to try again.
    pub(crate) again: Vec<usize>,
    /// How many are not ours any more.
    pub(crate) gone: usize,
}

/// One message, as received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: String,
    pub(crate) handle: String,
    /// How often the service has handed the message out, this time included.
    pub(crate) receives: u32,
}

impl From<Message> for Received {
    fn from(message: Message) -> Self {
        let receives = message
            .attributes
            .as_ref()
            .and_then(|attributes| {
                attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount)
            })
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        Self {
            body: message.body.unwrap_or_default(),
            handle: message.receipt_handle.unwrap_or_default(),
            receives,
        }
    }
}

fn timeouts(attempt: Duration) -> aws_sdk_sqs::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 2)
        .build();
    aws_sdk_sqs::config::Builder::new().timeout_config(timeouts)
}

/// Longest wait for the short calls.
const SHORT: Duration = Duration::from_secs(5);
