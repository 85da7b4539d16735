//! Between shaping and the sink: batches out, acceptance back to the records they came from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use forebay_gelf::{Acceptance, Batch, Encoded, RefusalReason, Sink, SinkError, Ticket};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;

use crate::{
    clock,
    dead_letter::{Class, DeadLetter, DeadLetters},
    settlement::Settlement,
    spare::Spare,
    stats::InputStats,
    throttle::{Gate, Pace},
};

/// Messages being collected for one send, and which record of their source batch each came from.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    batch: Batch,
    origins: Vec<u32>,
}

impl Outgoing {
    pub(crate) fn push(&mut self, message: &Encoded<'_>, record: u32) {
        self.batch.push(message);
        self.origins.push(record);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.byte_len() >= FULL
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.origins.clear();
    }
}

/// Where a source batch came from, for dead letters.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Input name of the configuration.
    pub(crate) input: Arc<str>,
    pub(crate) stats: Arc<InputStats>,
    /// The input's own cap.
    pub(crate) pace: Pace,
    /// Shard, or bucket and key.
    pub(crate) place: Arc<str>,
}

/// The way to one output.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    pub(crate) sink: Sink,
    /// JSON members that this output's messages have beside those of the others, with a comma in front.
    pub(crate) extra: Arc<[u8]>,
}

impl Outlet {
    /// The batch as this output gets it.
    pub(crate) fn own(&self, batch: Batch) -> Batch {
        if self.extra.is_empty() {
            return batch;
        }
        let mut own = Batch::with_capacity(
            batch.len(),
            batch.byte_len() + batch.len() * self.extra.len(),
        );
        let mut message = Vec::new();
        for common in batch.iter() {
            message.clear();
            message.extend_from_slice(common.strip_suffix(b"}").unwrap_or(common));
            message.extend_from_slice(&self.extra);
            message.push(b'}');
            // Neither part has a delimiter: the encoder escapes them.
            own.push_json(&message)
                .expect("an encoded message has no delimiter");
        }
        own
    }
}

/// The way from one input to its outputs.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    outlets: Arc<[Outlet]>,
    gate: Gate,
    waiting: mpsc::UnboundedSender<Waiting>,
    /// Emptied batches, to be filled again.
    spare: Arc<Spare<Outgoing>>,
    counters: Arc<DeliveryCounters>,
}

/// What was sent since the start.
#[derive(Debug, Default)]
pub(crate) struct DeliveryCounters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    origins: Vec<u32>,
    settlement: Arc<Settlement>,
    origin: Origin,
}

impl Delivery {
    /// A delivery without outputs, to be given some by [`Self::to`], and the settler that must run beside it.
    pub(crate) fn new(gate: Gate, dead_letters: DeadLetters) -> (Self, Settler) {
        let (waiting, incoming) = mpsc::unbounded_channel();
        let spare = Arc::new(Spare::default());
        let counters = Arc::new(DeliveryCounters::default());
        let delivery = Self {
            outlets: Arc::default(),
            gate,
            waiting,
            spare: Arc::clone(&spare),
            counters: Arc::clone(&counters),
        };
        (
            delivery,
            Settler {
                incoming,
                dead_letters,
                spare,
                counters,
            },
        )
    }

    /// The same for an input whose messages all go to each of `outlets`.
    pub(crate) fn to(&self, outlets: Vec<Outlet>) -> Self {
        Self {
            outlets: outlets.into(),
            ..self.clone()
        }
    }

    /// An empty batch.
    pub(crate) fn outgoing(&self) -> Outgoing {
        self.spare.take().unwrap_or_default()
    }

    /// Hands `outgoing` to every output and leaves an empty batch in its place. Waits while reading is held back, and while
    /// the budget of one of them is used up: the slowest output sets the pace.
    ///
    /// # Errors
    ///
    /// A sink is closed: nothing will be accepted any more.
    pub(crate) async fn send(
        &self,
        outgoing: &mut Outgoing,
        settlement: &Arc<Settlement>,
        origin: &Origin,
    ) -> Result<(), SinkError> {
        if outgoing.is_empty() {
            return Ok(());
        }
        let messages = outgoing.origins.len();
        origin.pace.wait(messages).await;
        self.gate.pass(messages).await;
        origin.stats.messages(messages);
        let Outgoing { batch, origins } = std::mem::replace(outgoing, self.outgoing());
        let Some((last, others)) = self.outlets.split_last() else {
            return Err(SinkError::Closed);
        };
        // Before anything is sent: a record is settled only when every output has taken all of it.
        for _ in self.outlets.iter() {
            open(settlement, &origins);
        }
        for outlet in others {
            let (batch, origins) = (batch.clone(), origins.clone());
            self.send_to(outlet, batch, origins, settlement, origin)
                .await?;
        }
        self.send_to(last, batch, origins, settlement, origin).await
    }

    async fn send_to(
        &self,
        outlet: &Outlet,
        batch: Batch,
        origins: Vec<u32>,
        settlement: &Arc<Settlement>,
        origin: &Origin,
    ) -> Result<(), SinkError> {
        let ticket = outlet.sink.send(outlet.own(batch)).await;
        let ticket = ticket.map_err(|error| error.reason().clone())?;
        let waiting = Waiting {
            ticket,
            origins,
            settlement: Arc::clone(settlement),
            origin: origin.clone(),
        };
        self.waiting.send(waiting).map_err(|_| SinkError::Closed)
    }

    /// Asks the outputs for proof of everything sent so far, and waits for it a moment.
    pub(crate) async fn flush(&self) {
        for outlet in &*self.outlets {
            // What is not proven by then is proven later.
            let _ = outlet.sink.flush(FLUSH).await;
        }
    }

    pub(crate) fn counters(&self) -> &DeliveryCounters {
        &self.counters
    }
}

/// Opens the messages of each record in one step per run of equal origins.
fn open(settlement: &Settlement, origins: &[u32]) {
    for run in origins.chunk_by(|a, b| a == b) {
        if let Some(&record) = run.first() {
            settlement.opened(record, u32::try_from(run.len()).unwrap_or(u32::MAX));
        }
    }
}

/// Waits for acceptance and passes it on.
#[derive(Debug)]
pub(crate) struct Settler {
    incoming: mpsc::UnboundedReceiver<Waiting>,
    dead_letters: DeadLetters,
    spare: Arc<Spare<Outgoing>>,
    counters: Arc<DeliveryCounters>,
}

impl Settler {
    /// Runs until every [`Delivery`] is gone and every ticket is settled.
    pub(crate) async fn run(mut self) {
        let mut open = FuturesUnordered::new();
        let mut ended = false;
        while !ended || !open.is_empty() {
            tokio::select! {
                waiting = self.incoming.recv(), if !ended => match waiting {
                    Some(Waiting { ticket, origins, settlement, origin }) => {
                        open.push(async move { (ticket.await, origins, settlement, origin) });
                    }
                    None => ended = true,
                },
                Some((answer, origins, settlement, origin)) = open.next() => {
                    // A closed sink accepts nothing: the records stay open and are read again later.
                    if let Ok(acceptance) = answer {
                        self.settle(acceptance, origins, &settlement, &origin).await;
                    }
                }
            }
        }
    }

    async fn settle(
        &self,
        acceptance: Acceptance,
        origins: Vec<u32>,
        settlement: &Settlement,
        origin: &Origin,
    ) {
        self.counters
            .accepted
            .fetch_add(acceptance.accepted() as u64, Ordering::Relaxed);
        self.counters
            .refused
            .fetch_add(acceptance.refused.len() as u64, Ordering::Relaxed);
        for refusal in &acceptance.refused {
            let payload = acceptance.batch.get(refusal.index).unwrap_or_default();
            let reason = refusal_reason(&refusal.reason);
            let letter = DeadLetter {
                input: &origin.input,
                origin: &origin.place,
                position: &format!("message {} of its batch", refusal.index),
                class: Class::Message,
                reason: &reason,
                payload,
            };
            tracing::warn!(input = %origin.input, origin = %origin.place, %reason, "message refused by the receiver");
            // A refused message that cannot be kept holds its record open: nothing is dropped.
            while let Err(error) = self.dead_letters.keep(&letter, clock::wall()).await {
                tracing::error!(%error, "dead letter not kept, trying again");
                tokio::time::sleep(DEAD_LETTER_RETRY).await;
            }
        }
        for &record in &origins {
            settlement.closed(record);
        }
        // One record can inflate to far more than what makes a batch full.
        if acceptance.batch.capacity() > 2 * FULL {
            return;
        }
        let mut outgoing = Outgoing {
            batch: acceptance.batch,
            origins,
        };
        outgoing.clear();
        self.spare.give(outgoing);
    }
}

pub(crate) fn refusal_reason(reason: &RefusalReason) -> String {
    match reason {
        RefusalReason::TooLong {
            bytes,
            limit: Some(limit),
        } => {
            format!("the message has {bytes} bytes, the receiver takes {limit}")
        }
        RefusalReason::TooLong { bytes, .. } => {
            format!("the message of {bytes} bytes is too long for the receiver")
        }
        RefusalReason::Status(status) => format!("the receiver answered with status {status}"),
        other => format!("the receiver refuses it: {other:?}"),
    }
}

/// A batch is sent when it has this many bytes: large enough for one system call to carry a thousand messages' worth,
/// small enough to be a small part of the budget.
const FULL: usize = 256 << 10;

/// How long an output may take to prove what it has.
const FLUSH: Duration = Duration::from_secs(2);

const DEAD_LETTER_RETRY: Duration = Duration::from_secs(5);
