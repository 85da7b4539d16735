//! Transports that send one batch after the other and have no answer to wait for.

use std::collections::VecDeque;
use std::future::Future;
use std::io;

use tokio::time::{Instant, sleep_until};

use crate::sink::acceptance::{Grade, Report};
use crate::sink::health::State;
use crate::sink::inlet::{Inlet, Parcel};
use crate::sink::observer::Observer;
use crate::sink::retry::Retry;

/// One way out.
pub(crate) trait Lane: Send {
    /// What health calls it.
    fn name(&self) -> &str;

    /// Sends what is left of a batch. Must be cancel safe: how far it came is kept in the lane.
    fn advance(
        &mut self,
        parcel: &mut Parcel,
        observer: &dyn Observer,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Ends in good order.
    fn end(&mut self) -> impl Future<Output = ()> + Send;
}

pub(crate) async fn run(mut lane: impl Lane, mut retry: Retry, mut inlet: Inlet) -> Report {
    let observer = inlet.observer_handle();
    let mut waiting: VecDeque<Parcel> = VecDeque::new();
    let mut pause: Option<Instant> = None;
    inlet.set_state(State::Ready);
    while !inlet.is_done() {
        let deadline = inlet.deadline();
        tokio::select! {
            biased;
            parcel = inlet.next() => waiting.extend(parcel),
            () = wait_for(deadline) => break,
            () = wait_for(pause), if pause.is_some() => pause = None,
            sent = advance(&mut lane, waiting.front_mut(), &*observer), if pause.is_none() => match sent {
                Ok(()) => {
                    retry.reset();
                    inlet.set_state(State::Ready);
                    if let Some(parcel) = waiting.pop_front() {
                        inlet.settle(parcel, Grade::Kernel);
                    }
                }
                Err(error) => {
                    let wait = retry.next_wait();
                    tracing::debug!(sink = lane.name(), %error, "write failed");
                    inlet.set_state(State::Down { reason: format!("{}: {error}", lane.name()).into() });
                    observer.backing_off(wait);
                    pause = Some(Instant::now() + wait);
                }
            },
        }
    }
    lane.end().await;
    drop(waiting);
    inlet.end()
}

async fn advance(
    lane: &mut impl Lane,
    parcel: Option<&mut Parcel>,
    observer: &dyn Observer,
) -> io::Result<()> {
    match parcel {
        Some(parcel) => lane.advance(parcel, observer).await,
        None => std::future::pending().await,
    }
}

/// Pending for ever without a time.
pub(crate) async fn wait_for(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
