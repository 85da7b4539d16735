//! The driver's end of the handles: what comes in, and how it is settled.

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
    settle: oneshot::Sender<Acceptance>,
    _held: OwnedSemaphorePermit,
}

impl Parcel {
    pub(crate) fn new(batch: Batch, held: OwnedSemaphorePermit, settle: oneshot::Sender<Acceptance>) -> Self {
        Self { batch, refused: Vec::new(), taken: Instant::now(), settle, _held: held }
    }

    /// Marks one message as refused for good. Indexes may come in any order.
    pub(crate) fn refuse(&mut self, index: usize, reason: RefusalReason) {
        self.refused.push(Refusal { index, reason });
    }

    /// When the batch was taken in.
    pub(crate) fn taken(&self) -> Instant {
        self.taken
    }
}

/// Receives commands and keeps the books. When it is dropped the sink is closed.
pub(crate) struct Inlet {
    incoming: mpsc::UnboundedReceiver<Command>,
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    /// Messages taken from the channel and not settled yet.
    unsettled: u64,
}

impl std::fmt::Debug for Inlet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inlet").field("unsettled", &self.unsettled).finish_non_exhaustive()
    }
}

impl Inlet {
    pub(crate) fn new(
        incoming: mpsc::UnboundedReceiver<Command>,
        shared: Arc<Shared>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { incoming, shared, observer, unsettled: 0 }
    }

    /// The next command; `None` when all handles are gone and nothing is left.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Command> {
        let command = self.incoming.recv().await;
        self.note(command.as_ref());
        command
    }

    /// The next command if there is one.
    pub(crate) fn try_next(&mut self) -> Option<Command> {
        let command = self.incoming.try_recv().ok();
        self.note(command.as_ref());
        command
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
            self.observer.accepted(accepted, grade, parcel.taken.elapsed());
        }
        self.shared.status.progress(accepted as u64, refused as u64);
        let Parcel { batch, refused, settle, _held, .. } = parcel;
        // The room is free before the ticket completes, so that a caller who waits for one sees the other.
        drop(_held);
        // A dropped ticket asks for nothing.
        drop(settle.send(Acceptance { batch, grade, refused }));
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
        while self.try_next().is_some() {}
        self.shared.status.close(self.unsettled)
    }

    fn note(&mut self, command: Option<&Command>) {
        if let Some(Command::Parcel(parcel)) = command {
            if self.unsettled == 0 {
                self.shared.status.progress(0, 0);
            }
            self.unsettled += parcel.batch.len() as u64;
        }
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        // Waiting senders learn that nobody will make room any more.
        self.shared.budget.close();
        self.shared.status.close(self.unsettled);
    }
}
