//! The driver's end of the handles: what comes in, and how it is settled.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use crate::batch::Batch;
use crate::sink::Shared;
use crate::sink::acceptance::{Acceptance, Grade, Refusal, RefusalReason, Report};
use crate::sink::health::State;
use crate::sink::observer::Observer;

/// From a handle to the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Parcel(Parcel),
    /// Answer when everything before it is settled.
    Flush(oneshot::Sender<()>),
    /// Drain until then and end.
    Close(Instant),
}

/// A batch inside, with its room in the budget.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) batch: Batch,
    refused: Vec<Refusal>,
    taken: Instant,
    serial: u64,
    settle: oneshot::Sender<Acceptance>,
    held: OwnedSemaphorePermit,
}

impl Parcel {
    pub(crate) fn new(
        batch: Batch,
        held: OwnedSemaphorePermit,
        settle: oneshot::Sender<Acceptance>,
    ) -> Self {
        Self {
            batch,
            refused: Vec::new(),
            taken: Instant::now(),
            serial: 0,
            settle,
            held,
        }
    }

    /// Marks one message as refused for good. Indexes may come in any order.
    pub(crate) fn refuse(&mut self, index: usize, reason: RefusalReason) {
        self.refused.push(Refusal { index, reason });
    }

    /// The place of the batch in the order of sending.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }
}

/// Receives commands and keeps the books. When it is dropped the sink is closed.
pub(crate) struct Inlet {
    incoming: mpsc::UnboundedReceiver<Command>,
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    /// Messages taken from the channel and not settled yet.
    unsettled: u64,
    /// Whether each batch from serial `first` on is settled. The front one never is.
    settled: VecDeque<bool>,
    first: u64,
    /// Who waits for all batches below a serial.
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    /// All handles are gone.
    gone: bool,
    ending: bool,
    deadline: Option<Instant>,
}

impl Inlet {
    pub(crate) fn new(
        incoming: mpsc::UnboundedReceiver<Command>,
        shared: Arc<Shared>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            incoming,
            shared,
            observer,
            unsettled: 0,
            settled: VecDeque::new(),
            first: 0,
            flushes: Vec::new(),
            gone: false,
            ending: false,
            deadline: None,
        }
    }

    /// The next batch, or `None` when something else has changed: somebody waits for proof or wants the end.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Parcel> {
        if self.gone {
            std::future::pending::<()>().await;
        }
        let Some(command) = self.incoming.recv().await else {
            self.gone = true;
            self.ending = true;
            return None;
        };
        self.enter(command)
    }

    /// Settles a batch: everything but its refused messages is accepted.
    pub(crate) fn settle(&mut self, mut parcel: Parcel, grade: Grade) {
        parcel.refused.sort_unstable_by_key(|refusal| refusal.index);
        let refused = parcel.refused.len();
        let accepted = parcel.batch.len() - refused;
        self.unsettled -= parcel.batch.len() as u64;
        for refusal in &parcel.refused {
            self.observer.refused(refusal.reason);
        }
        if accepted > 0 {
            self.observer
                .accepted(accepted, grade, parcel.taken.elapsed());
        }
        self.shared.status.progress(accepted as u64, refused as u64);
        let Parcel {
            batch,
            refused,
            settle,
            held,
            serial,
            ..
        } = parcel;
        // The room is free before the ticket completes, so that whoever waits for one sees the other.
        drop(held);
        // A dropped ticket asks for nothing.
        drop(settle.send(Acceptance {
            batch,
            grade,
            refused,
        }));
        self.mark_settled(serial);
    }

    /// Whether somebody waits for proof.
    pub(crate) fn flush_wanted(&self) -> bool {
        !self.flushes.is_empty()
    }

    /// Whether the sink is to end once everything is settled.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending
    }

    /// Whether the sink is to end now. What was handed over before the close is drained too.
    pub(crate) fn is_done(&self) -> bool {
        self.ending && self.settled.is_empty() && self.incoming.is_empty()
    }

    /// When the sink has to end whatever is not settled.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Shows a state to the handles.
    pub(crate) fn set_state(&self, state: State) {
        self.shared.status.set(state);
    }

    /// The user's observer.
    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// The same, for futures that outlive a borrow.
    pub(crate) fn observer_handle(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.observer)
    }

    /// Ends the sink and reports.
    pub(crate) fn end(mut self) -> Report {
        // What is still in the channel was never sent.
        self.incoming.close();
        while let Ok(command) = self.incoming.try_recv() {
            self.enter(command);
        }
        self.shared.status.close(self.unsettled)
    }

    fn enter(&mut self, command: Command) -> Option<Parcel> {
        match command {
            Command::Parcel(mut parcel) => {
                if self.settled.is_empty() {
                    // The clock of a stall starts when there is something to accept.
                    self.shared.status.progress(0, 0);
                }
                parcel.serial = self.first + self.settled.len() as u64;
                self.settled.push_back(false);
                self.unsettled += parcel.batch.len() as u64;
                return Some(parcel);
            }
            Command::Flush(done) => {
                if self.settled.is_empty() {
                    let _ = done.send(());
                } else {
                    self.flushes
                        .push((self.first + self.settled.len() as u64, done));
                }
            }
            Command::Close(deadline) => {
                self.ending = true;
                self.deadline = Some(deadline);
            }
        }
        None
    }

    fn mark_settled(&mut self, serial: u64) {
        let index = usize::try_from(serial - self.first).unwrap_or(usize::MAX);
        if let Some(settled) = self.settled.get_mut(index) {
            *settled = true;
        }
        while self.settled.front() == Some(&true) {
            self.settled.pop_front();
            self.first += 1;
        }
        let first = self.first;
        if self.flushes.iter().any(|(serial, _)| *serial <= first) {
            let waiting = std::mem::take(&mut self.flushes);
            let (done, open): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|(serial, _)| *serial <= first);
            self.flushes = open;
            for (_, done) in done {
                let _ = done.send(());
            }
        }
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inlet")
            .field("unsettled", &self.unsettled)
            .finish_non_exhaustive()
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        // Waiting senders learn that nobody will make room any more.
        self.shared.budget.close();
        self.shared.status.close(self.unsettled);
    }
}
