//! The queue that letters go to, and come back from when they are replayed.

use std::{sync::Mutex, time::Duration};

use anyhow::Context;
use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry},
};
use aws_smithy_types::error::display::DisplayErrorContext;
use forebay_s3::Queue;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

use crate::{aws::Account, config, stats::lock};

/// An SQS queue of letters, one message each.
#[derive(Debug)]
pub(crate) struct LetterQueue {
    client: Client,
    /// Name, URL or ARN.
    queue: String,
    url: OnceCell<String>,
    /// After a failure nothing is tried until then: bad input must not wait for the queue again and again.
    rests_until: Mutex<Option<Instant>>,
}

impl LetterQueue {
    /// The queue of the configuration, if it has one.
    pub(crate) fn new(settings: &config::DeadLetter, account: &Account) -> Option<Self> {
        Some(Self {
            client: account.sqs(settings.region.as_deref()),
            queue: settings.queue.clone()?,
            url: OnceCell::new(),
            rests_until: Mutex::new(None),
        })
    }

    /// Sends letters and gives back those that the queue did not take.
    ///
    /// # Cancel safety
    ///
    /// Letters may be in the queue although the future was dropped.
    pub(super) async fn send(&self, letters: Vec<String>) -> Vec<String> {
        let rests = *lock(&self.rests_until);
        if rests.is_some_and(|until| Instant::now() < until) {
            return letters;
        }
        let (mut letters, mut left) = (letters.into_iter().peekable(), Vec::new());
        while letters.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(letter) = letters.next_if(|next| {
                batch.is_empty() || batch.len() < BATCH && bytes + next.len() <= BATCH_BYTES
            }) {
                bytes += letter.len();
                batch.push(letter);
            }
            if bytes > MESSAGE_BYTES {
                left.append(&mut batch);
                continue;
            }
            let sent = timeout(PATIENCE, self.send_batch(&batch)).await;
            let refused = match sent {
                Ok(Ok(refused)) => refused,
                // A queue with a lower limit of its own.
                Ok(Err(_)) if bytes > BATCH_BYTES => vec![0],
                failed => {
                    let error = match failed {
                        Ok(Err(error)) => format!("{error:#}"),
                        _ => format!("no answer within {} s", PATIENCE.as_secs()),
                    };
                    tracing::warn!(
                        queue = self.queue,
                        error,
                        "the dead-letter queue takes nothing: letters go to the file"
                    );
                    *lock(&self.rests_until) = Some(Instant::now() + REST);
                    left.append(&mut batch);
                    left.extend(letters);
                    return left;
                }
            };
            if !refused.is_empty() {
                tracing::warn!(
                    queue = self.queue,
                    letters = refused.len(),
                    "the dead-letter queue refuses letters: they go to the file"
                );
            }
            let refused = |index: &usize| refused.contains(index);
            let kept_back = batch
                .into_iter()
                .enumerate()
                .filter(|(index, _)| refused(index));
            left.extend(kept_back.map(|(_, letter)| letter));
        }
        left
    }

    /// Sends at most ten letters; tells which were refused.
    async fn send_batch(&self, letters: &[String]) -> anyhow::Result<Vec<usize>> {
        let mut request = self
            .client
            .send_message_batch()
            .queue_url(self.url().await?);
        for (index, letter) in letters.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(letter)
                .build()?;
            request = request.entries(entry);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("sqs:SendMessage: {}", DisplayErrorContext(error)))?;
        let failed = answer.failed.iter();
        Ok(failed.filter_map(|entry| entry.id.parse().ok()).collect())
    }

    /// Some letters, hidden from others for [`VISIBILITY`]. None: the queue is empty.
    pub(crate) async fn receive(&self) -> anyhow::Result<Vec<Message>> {
        let request = self.client.receive_message().queue_url(self.url().await?);
        let answer = request
            .max_number_of_messages(10)
            // Long enough for all servers of the queue to be asked.
            .wait_time_seconds(1)
            .visibility_timeout(VISIBILITY)
            .send()
            .await
            .map_err(|error| {
                anyhow::anyhow!("sqs:ReceiveMessage: {}", DisplayErrorContext(error))
            })?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Deletes letters, at most ten.
    pub(crate) async fn delete(&self, handles: &[String]) -> anyhow::Result<()> {
        let mut request = self
            .client
            .delete_message_batch()
            .queue_url(self.url().await?);
        for (index, handle) in handles.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(handle)
                .build()?;
            request = request.entries(entry);
        }
        let answer = request.send().await.map_err(|error| {
            anyhow::anyhow!("sqs:DeleteMessage: {}", DisplayErrorContext(error))
        })?;
        anyhow::ensure!(
            answer.failed.is_empty(),
            "{} letters could not be deleted and will be sent again",
            answer.failed.len()
        );
        Ok(())
    }

    async fn url(&self) -> anyhow::Result<&str> {
        let find = || async {
            let queue = Queue::find(self.client.clone(), &self.queue).await;
            queue.map(|queue| queue.url().to_owned())
        };
        let url = self.url.get_or_try_init(find).await;
        url.map(String::as_str)
            .with_context(|| format!("`queue` {} of [dead_letter]", self.queue))
    }
}

/// Most messages of one request.
const BATCH: usize = 10;

/// Most bytes of a request with several letters: what a queue takes whose own limit is from before 2025.
const BATCH_BYTES: usize = 256 << 10;

/// SQS takes no longer message.
const MESSAGE_BYTES: usize = 1 << 20;

/// Longest wait for the queue.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a queue that failed is left alone.
const REST: Duration = Duration::from_secs(30);

/// Seconds in which a letter must be replayed before others see it again.
const VISIBILITY: i32 = 300;
