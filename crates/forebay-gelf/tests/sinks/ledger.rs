//! The oracle: what a sink said became of each message, against what its receiver really got.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use forebay_gelf::listener::Messages;
use forebay_gelf::testing::Request;
use forebay_gelf::{Acceptance, Grade, Sink, SinkError, Stored};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::http::inflate;
use crate::support::{PATIENCE, padded};

/// Books of one sink.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: BTreeSet<i64>,
    accepted: BTreeSet<i64>,
    grades: BTreeSet<&'static str>,
    most_in_flight: usize,
}

impl Ledger {
    /// Sends `count` messages from `first` on, five to a batch, and books what becomes of them within `patience`.
    pub(crate) async fn send(&mut self, sink: &Sink, first: i64, count: i64, patience: Duration) {
        let ranges = (first..first + count).step_by(5);
        self.send_ranges(sink, ranges.map(|number| number..number + 5), patience)
            .await;
    }

    /// Sends messages that are not settled through another sink.
    pub(crate) async fn send_again(&mut self, sink: &Sink, numbers: &[i64]) {
        let ranges = numbers.iter().map(|number| *number..number + 1);
        self.send_ranges(sink, ranges, PATIENCE).await;
    }

    async fn send_ranges(
        &mut self,
        sink: &Sink,
        ranges: impl Iterator<Item = Range<i64>>,
        patience: Duration,
    ) {
        let mut tickets = Vec::new();
        let sending = async {
            for numbers in ranges {
                self.sent.extend(numbers.clone());
                // A sink that was closed takes nothing; the books then say that nothing is known.
                if let Ok(ticket) = sink.send(padded(numbers, 100)).await {
                    tickets.push(ticket);
                }
                self.most_in_flight = self.most_in_flight.max(sink.in_flight());
            }
            // Whoever ends the sink at once still gets what was sent before.
            drop(sink.flush(patience).await);
            for ticket in tickets {
                self.book(ticket.await);
            }
        };
        tokio::time::timeout(patience, sending)
            .await
            .expect("everything is settled in time");
    }

    /// Books one outcome; an error means that nothing is known.
    fn book(&mut self, outcome: Result<Acceptance, SinkError>) {
        let Ok(acceptance) = outcome else {
            return;
        };
        assert_eq!(acceptance.refused, [], "no receiver here refuses anything");
        self.grades.insert(match acceptance.grade {
            Grade::Kernel => "kernel",
            Grade::Overrun => "overrun",
            Grade::Closed => "closed",
            Grade::Status => "status",
            _ => "unknown",
        });
        for message in acceptance.batch.iter() {
            let number = crate::support::number_of(message);
            assert!(self.accepted.insert(number), "{number} was accepted twice");
        }
    }

    /// What is not settled, to be sent again by the next sink.
    pub(crate) fn unsettled(&self) -> Vec<i64> {
        self.sent.difference(&self.accepted).copied().collect()
    }

    /// How many messages were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// Compares the books with each other and with what arrived.
    pub(crate) fn check(&self, arrived: &Arrived, budget: usize) {
        assert_eq!(
            self.accepted, self.sent,
            "everything is accepted in the end"
        );
        assert!(self.most_in_flight <= budget);
        arrived.check(&self.sent, &self.accepted);
    }

    pub(crate) fn grades(&self) -> impl Iterator<Item = &'static str> {
        self.grades.iter().copied()
    }
}

/// What a receiver got, in order per connection.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    connections: BTreeMap<u64, Vec<i64>>,
    /// Connections that ended within a frame.
    cut: BTreeSet<u64>,
}

impl Arrived {
    /// Everything that a listener has by now.
    pub(crate) fn drain(&mut self, messages: &mut Messages) {
        while let Some(arrived) = messages.try_next() {
            self.take(arrived.connection, &arrived.json);
        }
    }

    /// Everything that an HTTP receiver has taken by now; only what it answered with 2xx counts.
    pub(crate) fn drain_requests(&mut self, requests: &mut UnboundedReceiver<Request>) {
        while let Ok(request) = requests.try_recv() {
            if request.status.is_some_and(|status| status / 100 == 2) {
                for line in inflate(&request).split(|byte| *byte == b'\n') {
                    if !line.is_empty() {
                        self.take(request.connection, line);
                    }
                }
            }
        }
    }

    fn take(&mut self, connection: u64, json: &[u8]) {
        assert!(
            !self.cut.contains(&connection),
            "something follows half a frame"
        );
        let Ok(message) = forebay_gelf::receive(json) else {
            self.cut.insert(connection);
            return;
        };
        let Some(Stored::Integer(number)) = message.fields.get("number") else {
            panic!("a message that was not sent: {message:?}")
        };
        self.connections
            .entry(connection)
            .or_default()
            .push(*number);
    }

    /// How often something came that was there before.
    pub(crate) fn repeats(&self) -> usize {
        let all = self.connections.values().flatten();
        all.clone().count() - all.collect::<BTreeSet<_>>().len()
    }

    /// How many accepted messages are not there.
    pub(crate) fn lost(&self, accepted: &BTreeSet<i64>) -> usize {
        let all: BTreeSet<_> = self.connections.values().flatten().copied().collect();
        accepted.difference(&all).count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Nothing accepted is missing, and nothing came that was not sent.
    pub(crate) fn check(&self, sent: &BTreeSet<i64>, accepted: &BTreeSet<i64>) {
        assert_eq!(self.lost(accepted), 0, "accepted and lost");
        for numbers in self.connections.values() {
            assert!(numbers.iter().all(|number| sent.contains(number)));
        }
    }

    /// No connection ever went back. Only an HTTP request whose answer came too late is repeated on its own connection.
    pub(crate) fn check_order(&self, repeats: bool) {
        for (connection, numbers) in &self.connections {
            assert!(
                numbers.is_sorted_by(|a, b| a < b || repeats && a == b),
                "connection {connection} went back: {numbers:?}"
            );
        }
    }
}
