//! The books of a run: what was put in, what came out, and whether it came out unchanged.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tokio::sync::Notify;

/// A message that must come out: which it is, and the members it must have.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Kind of input, for the receipt.
    pub kind: &'static str,
    /// Unique within the kind.
    pub id: String,
    /// Members that the GELF message must have, value for value.
    pub members: Vec<(&'static str, Value)>,
}

/// The books of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<(&'static str, String), Entry>,
    kinds: BTreeMap<&'static str, Tally>,
    unexpected: u64,
    /// The first differences, for people.
    differences: Vec<String>,
    first_received: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    members: Vec<(&'static str, Value)>,
    received: u32,
}

/// The account of one kind of input.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tally {
    /// Events put in.
    pub produced: u64,
    /// Distinct messages received.
    pub received: u64,
    /// Messages received again.
    pub duplicated: u64,
    /// Messages received with another content than expected.
    pub altered: u64,
}

impl Tally {
    /// Events that never came out.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.produced - self.received
    }
}

impl Ledger {
    /// Books a message that must come out. Call it before the event is put in.
    pub fn expect(&self, expected: Expected) {
        let mut state = self.lock();
        state.kinds.entry(expected.kind).or_default().produced += 1;
        let entry = Entry {
            members: expected.members,
            received: 0,
        };
        state.entries.insert((expected.kind, expected.id), entry);
    }

    /// Books a message that came out, as kind and id tell it; `None` is a message that cannot be told.
    pub fn receive(
        &self,
        id: Option<(&'static str, String)>,
        message: &Map<String, Value>,
        now: Instant,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.first_received.get_or_insert(now);
        let Some((key, entry)) = id.and_then(|key| {
            let entry = state.entries.get_mut(&key)?;
            Some((key, entry))
        }) else {
            state.unexpected += 1;
            state.note(format!("not expected: {}", Value::Object(message.clone())));
            return;
        };
        entry.received += 1;
        let tally = state.kinds.entry(key.0).or_default();
        if entry.received > 1 {
            tally.duplicated += 1;
        } else {
            tally.received += 1;
        }
        let difference = entry
            .members
            .iter()
            .find(|(name, value)| message.get(*name) != Some(value));
        if let Some((name, value)) = difference {
            tally.altered += 1;
            let found = message.get(*name).unwrap_or(&Value::Null);
            let difference = format!("{} {}: `{name}` is {found}, expected {value}", key.0, key.1);
            state.note(difference);
        }
        drop(guard);
        self.changed.notify_waiters();
    }

    /// Waits until every expected message was received, at most `limit`.
    pub async fn complete(&self, limit: Duration) -> bool {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.lock().kinds.values().all(|tally| tally.lost() == 0) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// The accounts so far.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        let state = self.lock();
        let mut missing: Vec<String> = state
            .entries
            .iter()
            .filter(|(_, entry)| entry.received == 0)
            .take(REMARKS)
            .map(|((kind, id), _)| format!("lost: {kind} {id}"))
            .collect();
        missing.sort();
        Receipt {
            kinds: state
                .kinds
                .iter()
                .map(|(&kind, &tally)| (kind, tally))
                .collect(),
            unexpected: state.unexpected,
            remarks: state.differences.iter().cloned().chain(missing).collect(),
            first_received: state.first_received,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, difference: String) {
        if self.differences.len() < REMARKS {
            self.differences.push(difference);
        }
    }
}

/// The closed books.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The account of each kind of input, by name.
    pub kinds: Vec<(&'static str, Tally)>,
    /// Messages that nobody put in.
    pub unexpected: u64,
    /// The first differences and losses, for people.
    pub remarks: Vec<String>,
    /// When the first message arrived.
    pub first_received: Option<Instant>,
}

impl Receipt {
    /// Whether every event came out, unchanged, and nothing else.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unexpected == 0
            && self
                .kinds
                .iter()
                .all(|(_, tally)| tally.lost() == 0 && tally.altered == 0)
    }

    /// The sum over all kinds.
    #[must_use]
    pub fn total(&self) -> Tally {
        self.kinds
            .iter()
            .fold(Tally::default(), |sum, (_, tally)| Tally {
                produced: sum.produced + tally.produced,
                received: sum.received + tally.received,
                duplicated: sum.duplicated + tally.duplicated,
                altered: sum.altered + tally.altered,
            })
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<22}{:>10}{:>10}{:>7}{:>12}",
            "input", "produced", "received", "lost", "duplicated"
        )?;
        let mut row = |name: &str, tally: &Tally| {
            writeln!(
                formatter,
                "{name:<22}{:>10}{:>10}{:>7}{:>12}",
                tally.produced,
                tally.received,
                tally.lost(),
                tally.duplicated
            )
        };
        for (kind, tally) in &self.kinds {
            row(kind, tally)?;
        }
        row("total", &self.total())?;
        for remark in &self.remarks {
            writeln!(formatter, "{remark}")?;
        }
        Ok(())
    }
}

const REMARKS: usize = 5;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(text: &str) -> Map<String, Value> {
        match json!({"short_message": text}) {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    fn ledger() -> Ledger {
        let ledger = Ledger::default();
        for id in ["1", "2"] {
            let members = vec![("short_message", json!(format!("text {id}")))];
            ledger.expect(Expected {
                kind: "app",
                id: id.to_owned(),
                members,
            });
        }
        ledger
    }

    #[test]
    fn a_loss_a_repeat_and_a_change_are_told_apart() {
        let ledger = ledger();
        let now = tokio::time::Instant::now().into_std();
        ledger.receive(Some(("app", "1".into())), &message("text 1"), now);
        ledger.receive(Some(("app", "1".into())), &message("text one"), now);
        ledger.receive(Some(("app", "9".into())), &message("text 9"), now);
        let receipt = ledger.receipt();
        assert_eq!(
            receipt.total(),
            Tally {
                produced: 2,
                received: 1,
                duplicated: 1,
                altered: 1
            }
        );
        assert_eq!((receipt.total().lost(), receipt.unexpected), (1, 1));
        assert!(!receipt.is_clean());
        insta::assert_snapshot!(receipt);
    }

    #[tokio::test]
    async fn the_books_close_when_everything_came_out() {
        let ledger = ledger();
        assert!(!ledger.complete(Duration::ZERO).await);
        ledger.receive(
            Some(("app", "1".into())),
            &message("text 1"),
            tokio::time::Instant::now().into_std(),
        );
        ledger.receive(
            Some(("app", "2".into())),
            &message("text 2"),
            tokio::time::Instant::now().into_std(),
        );
        assert!(ledger.complete(Duration::ZERO).await);
        assert!(ledger.receipt().is_clean());
    }
}
