//! What an observer is told adds up to what the sink reports.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_gelf::testing::Answer;
use forebay_gelf::{Grade, Observer, RefusalReason, Sink};

use crate::faults::{Bed, Over};
use crate::proxy::Fault;
use crate::support::{PATIENCE, batch, quick_sink};

#[derive(Default)]
struct Counts {
    connected: AtomicUsize,
    disconnected: AtomicUsize,
    unproven: AtomicUsize,
    waits: AtomicUsize,
    written: AtomicUsize,
    accepted: AtomicUsize,
    refused: Mutex<Vec<RefusalReason>>,
}

impl Observer for Counts {
    fn connected(&self, _: &str) {
        self.connected.fetch_add(1, Relaxed);
    }

    fn disconnected(&self, _: &str, reason: &str, unproven: usize) {
        assert!(!reason.is_empty());
        self.disconnected.fetch_add(1, Relaxed);
        self.unproven.fetch_add(unproven, Relaxed);
    }

    fn backing_off(&self, wait: Duration) {
        assert!(wait <= quick_sink().retry_cap);
        self.waits.fetch_add(1, Relaxed);
    }

    fn written(&self, messages: usize, bytes: usize) {
        assert!(bytes > 0);
        self.written.fetch_add(messages, Relaxed);
    }

    fn accepted(&self, messages: usize, _: Grade, _: Duration) {
        self.accepted.fetch_add(messages, Relaxed);
    }

    fn refused(&self, reason: RefusalReason) {
        self.refused.lock().unwrap().push(reason);
    }
}

#[tokio::test]
async fn counts_add_up_over_failures() {
    let cases = [
        // Written whole, but the close is never answered.
        (Over::Tcp, vec![Fault::Swallow], vec![]),
        (
            Over::Http(1),
            vec![],
            vec![Answer::Status(500), Answer::Status(400)],
        ),
    ];
    for (over, faults, script) in cases {
        let bed = Bed::new(over, &faults, script).await;
        let counts = Arc::new(Counts::default());
        let (sink, driver) =
            Sink::open(bed.transport(), quick_sink(), Arc::clone(&counts) as _).unwrap();
        tokio::spawn(driver.run());
        let ticket = sink.send(batch(0..10)).await.unwrap();
        assert!(
            tokio::time::timeout(PATIENCE, ticket)
                .await
                .unwrap()
                .is_ok()
        );
        let report = sink.close(PATIENCE).await;
        let refused = counts.refused.lock().unwrap().clone();
        assert_eq!(counts.accepted.load(Relaxed) as u64, report.accepted);
        assert_eq!(refused.len() as u64, report.refused);
        assert_eq!(report.accepted + report.refused, 10);
        let unproven = counts.unproven.load(Relaxed);
        assert!(
            unproven > 0 && counts.disconnected.load(Relaxed) > 0,
            "{over:?}"
        );
        assert!(counts.waits.load(Relaxed) > 0, "{over:?}");
        // Each message once, and once more for each time that it was not proven.
        assert_eq!(counts.written.load(Relaxed), 10 + unproven, "{over:?}");
        if over.is_http() {
            assert_eq!(refused, [RefusalReason::Status(400)]);
        } else {
            assert!(counts.connected.load(Relaxed) > 1);
        }
    }
}
