//! The driver is dropped at each of its steps, and each future of the handle is dropped while it waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use forebay_gelf::testing::faulty_listener;
use forebay_gelf::{Sink, SinkError, listener::ListenerConfig};

use crate::faults::{Bed, Over};
use crate::ledger::Ledger;
use crate::support::{PATIENCE, collect, open, padded, quick_sink, quick_tcp, scaled};

/// A future that is given up after so many polls.
struct Polls<F> {
    inner: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match self.inner.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Drops the driver after each number of polls until it ends on its own; a second sink sends what is open.
async fn crash_everywhere(over: Over) -> usize {
    let mut bed = Bed::new(over, &[], Vec::new()).await;
    let mut ledger = Ledger::default();
    for polls in 1..100_000 {
        let first = polls as i64 * 1000;
        let accepted_before = ledger.accepted();
        let (sink, driver) = Sink::open(bed.transport(), quick_sink(), Arc::new(())).unwrap();
        let driver = tokio::spawn(Polls {
            inner: Box::pin(driver.run()),
            left: polls,
        });
        // Settled one after the other, so that each has steps of its own.
        for round in 0..scaled(5, 100) {
            ledger.send(&sink, first + 10 * round, 10, PATIENCE).await;
        }
        let report = sink.close(PATIENCE).await;
        assert_eq!(sink.in_flight(), 0, "everything is given back");
        let ended = driver.await.unwrap();
        let open_ones = ledger.unsettled();
        let accepted = (ledger.accepted() - accepted_before) as u64;
        assert_eq!(report.accepted, accepted, "{over:?}, {polls} polls");
        // The rest was refused by a sink that had ended.
        assert!(report.unsettled <= open_ones.len() as u64);
        if ended.is_some() {
            bed.drain();
            ledger.check(&bed.arrived, usize::MAX);
            return polls;
        }
        if !open_ones.is_empty() {
            let (sink, driver) = open(bed.transport(), quick_sink());
            ledger.send_again(&sink, &open_ones).await;
            sink.close(PATIENCE).await;
            driver.await.unwrap();
        }
    }
    panic!("{over:?}: the driver takes more steps than were tried");
}

#[tokio::test]
async fn a_driver_dropped_at_any_step_keeps_the_books_right() {
    let mut running = tokio::task::JoinSet::new();
    for over in [Over::Tcp, Over::Tls, Over::Http(1), Over::Https(4)] {
        running.spawn(async move { (over, crash_everywhere(over).await) });
    }
    while let Some(ended) = running.join_next().await {
        let (over, steps) = ended.unwrap();
        assert!(steps > 10, "{over:?} takes only {steps} steps");
        println!("{over:?}: dropped after each of {steps} steps");
    }
}

#[tokio::test]
async fn a_future_dropped_while_it_waits_leaves_nothing_behind() {
    let (listener, mut messages, faults) =
        faulty_listener(ListenerConfig::loopback()).await.unwrap();
    let address = listener.tcp_address().unwrap();
    tokio::spawn(listener.run());
    faults.stall(true);
    let mut config = quick_sink();
    config.budget = 1000;
    let mut tcp = quick_tcp(address);
    tcp.close_wait = PATIENCE;
    let (sink, driver) = open(tcp, config);
    let ticket = sink.send(padded(0..1, 800)).await.unwrap();
    let held = sink.in_flight();
    let moment = Duration::from_millis(5);
    // Each of these waits for room, proof or change that does not come.
    assert!(
        tokio::time::timeout(moment, sink.send(padded(100..101, 800)))
            .await
            .is_err()
    );
    assert!(
        tokio::time::timeout(moment, sink.reserve(800))
            .await
            .is_err()
    );
    assert!(
        tokio::time::timeout(moment, sink.flush(PATIENCE))
            .await
            .is_err()
    );
    let health = sink.health();
    let changed = async {
        let mut health = health;
        loop {
            health = sink.health_changed(&health).await;
        }
    };
    assert!(tokio::time::timeout(moment, changed).await.is_err());
    assert_eq!(sink.in_flight(), held);
    // A dropped ticket calls nothing back, a dropped permit gives its room back.
    drop(ticket);
    drop(sink.reserve(50).await.unwrap());
    assert_eq!(sink.in_flight(), held);
    // A close that nobody waits for goes on.
    assert!(
        tokio::time::timeout(moment, sink.close(PATIENCE))
            .await
            .is_err()
    );
    let refused = sink.send(padded(101..102, 0)).await.unwrap_err();
    assert_eq!(*refused.reason(), SinkError::Closed);
    faults.stall(false);
    let report = tokio::time::timeout(PATIENCE, sink.close(PATIENCE))
        .await
        .unwrap();
    assert_eq!((report.accepted, report.unsettled), (1, 0));
    assert_eq!(driver.await.unwrap(), report);
    assert_eq!(collect(&mut messages, 0..1).await.len(), 1);
    assert!(
        messages.try_next().is_none(),
        "what was cancelled never left"
    );
}
