use std::collections::BTreeSet;
use std::fmt;

/// The books of a run: numbered events that were put in, and how often each came out.
///
/// Every event ends in exactly one of two ways: received, or kept as a dead letter because it is bad.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// What came out and was never put in, or came out changed.
    unexpected: Vec<String>,
}

#[derive(Debug, Default)]
struct Entry {
    is_bad: bool,
    received: u32,
    dead: u32,
}

impl Ledger {
    /// Books the next event before it is put in and tells its number, which begins at 0.
    pub fn produce(&mut self, is_bad: bool) -> u64 {
        self.entries.push(Entry {
            is_bad,
            ..Entry::default()
        });
        self.entries.len() as u64 - 1
    }

    /// Books an event that the receiver took.
    pub fn receive(&mut self, number: u64) {
        match self.entry(number) {
            Some(entry) if !entry.is_bad => entry.received += 1,
            _ => self.unexpected(format!("event {number} was received")),
        }
    }

    /// Books a dead letter.
    pub fn bury(&mut self, number: u64) {
        match self.entry(number) {
            Some(entry) if entry.is_bad => entry.dead += 1,
            _ => self.unexpected(format!("event {number} is a dead letter")),
        }
    }

    /// Books something that should not have come out at all.
    pub fn unexpected(&mut self, what: String) {
        self.unexpected.push(what);
    }

    /// The account so far.
    pub fn receipt(&self) -> Receipt {
        let count = |test: fn(&Entry) -> bool| self.entries.iter().filter(|e| test(e)).count();
        Receipt {
            produced: self.entries.len(),
            received: count(|entry| entry.received > 0),
            dead_lettered: count(|entry| entry.dead > 0),
            duplicates: self
                .entries
                .iter()
                .map(|entry| entry.received.saturating_sub(1) as usize)
                .sum(),
            lost: count(|entry| entry.received + entry.dead == 0),
            unexpected: self.unexpected.clone(),
        }
    }

    /// Numbers of the events that did not come out, at most ten, for messages.
    pub fn missing(&self) -> BTreeSet<usize> {
        let missing = self.entries.iter().enumerate();
        let missing = missing.filter(|(_, entry)| entry.received + entry.dead == 0);
        missing.map(|(number, _)| number).take(10).collect()
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(number).ok()?)
    }
}

/// The account of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receipt {
    /// Events put in.
    pub produced: usize,
    /// Distinct events received.
    pub received: usize,
    /// Distinct bad events kept as dead letters.
    pub dead_lettered: usize,
    /// Events received again.
    pub duplicates: usize,
    /// Events that did not come out.
    pub lost: usize,
    /// What should not have come out.
    pub unexpected: Vec<String>,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            produced,
            received,
            dead_lettered,
            duplicates,
            lost,
            unexpected: _,
        } = self;
        write!(
            f,
            "produced {produced}, received {received}, dead-lettered {dead_lettered}, duplicates {duplicates}, lost {lost}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_ends_in_one_way() {
        let mut ledger = Ledger::default();
        let numbers: Vec<u64> = [false, true, false, false]
            .into_iter()
            .map(|is_bad| ledger.produce(is_bad))
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        ledger.receive(0);
        ledger.receive(0);
        ledger.receive(2);
        ledger.bury(1);
        let receipt = ledger.receipt();
        assert_eq!(
            receipt.to_string(),
            "produced 4, received 2, dead-lettered 1, duplicates 1, lost 1"
        );
        assert_eq!(ledger.missing(), BTreeSet::from([3]));
        assert_eq!(receipt.unexpected, [""; 0]);
        ledger.receive(1);
        ledger.bury(3);
        ledger.receive(9);
        assert_eq!(ledger.receipt().unexpected.len(), 3);
    }
}
