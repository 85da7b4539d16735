use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::processor::{Outcome, Processor};

/// Turns the worker round: batches are pulled from a stream instead of pushed into a processor.
///
/// The processor goes into the worker, the stream stays with you. Batches of all shards come through the one stream,
/// those of one shard in order. Accept each with [`Batch::accept_all`] or through its acknowledger. A batch is handed
/// out only when it is asked for, so a slow puller slows the reading down.
///
/// ```
/// use forebay_kinesis::{Processor, pull};
///
/// let (processor, batches) = pull();
/// # fn is_processor(_: impl Processor) {}
/// # is_processor(processor);
/// # drop(batches);
/// ```
pub fn pull() -> (PullProcessor, Batches) {
    let (sender, receiver) = mpsc::channel(1);
    (PullProcessor { sender }, Batches { receiver })
}

/// The worker's end of [`pull`].
#[derive(Clone, Debug)]
pub struct PullProcessor {
    sender: mpsc::Sender<Batch>,
}

impl Processor for PullProcessor {
    async fn process(&self, batch: Batch) -> Outcome {
        match self.sender.send(batch).await {
            Ok(()) => Outcome::Pending,
            // Nobody will ever pull again; nothing may be accepted, so the shard stands still until the worker stops.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The puller's end of [`pull`]: a [`Stream`] of batches that ends with the worker.
#[derive(Debug)]
pub struct Batches {
    receiver: mpsc::Receiver<Batch>,
}

impl Batches {
    /// Waits for the next batch; `None` once the worker has ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses no batch.
    pub async fn next(&mut self) -> Option<Batch> {
        self.receiver.recv().await
    }
}

impl Stream for Batches {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.receiver.poll_recv(context)
    }
}
